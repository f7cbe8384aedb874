"""Python imports this at its start where this folder is on PYTHONPATH."""

import dying

dying.from_environment()
