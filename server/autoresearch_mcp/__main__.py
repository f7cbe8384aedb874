"""Run the command line as `python -m autoresearch_mcp`."""

import sys

from autoresearch_mcp.cli import main

if __name__ == "__main__":
    sys.exit(main())
