"""What the server lends to a recipe's interpreter for as long as a run lasts."""

import shutil
from importlib.util import find_spec
from pathlib import Path

_LENT = Path(__file__).parent / "lent"
PROVER = "autoresearch_prover.py"
"""The prover's script, in the folder that is lent."""


def lend(folder: Path) -> None:
    """Copy our modules and cloudpickle, pure Python all of it, into a new folder."""
    folder.mkdir()
    for module in _LENT.glob("*.py"):
        shutil.copyfile(module, folder / module.name)
    found = find_spec("cloudpickle")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, folder / package.name, ignore=skipped, copy_function=shutil.copyfile)
