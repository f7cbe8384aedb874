"""Run the steps that set a recipe up, as its owner would: with network and without a sandbox."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from autoresearch_mcp.core.errors import Fault


def python_of(root: Path, override: Path | None) -> Path:
    """Return the interpreter that steps install into: the operator's, else the recipe's `.venv`.

    That environment is made where it is missing.

    Raises:
        Fault: It cannot be made.
    """
    if override is not None:
        return override.absolute()
    python = root / ".venv" / "bin" / "python"
    if not python.exists():
        command = [sys.executable, "-m", "venv", str(root / ".venv")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            raise Fault(f"{root / '.venv'} could not be made: {said[-1]}")
    return python


def program(name: str, root: Path) -> str:
    """Return the full path of a program, never one of the recipe's own.

    Raises:
        Fault: It is not installed.
    """
    if name == "uv" and (beside := Path(sys.executable).with_name("uv")).exists():
        return str(beside)
    found = shutil.which(name)
    if found is None or Path(found).resolve().is_relative_to(root.resolve()):
        raise Fault(f"the setup needs {name}, which is not installed: install it, then try again")
    return str(Path(found).absolute())


def run(argv: Sequence[str], folder: Path, *, quiet: bool) -> int:
    """Run one step to its end and return its exit status.

    Args:
        argv: Program and arguments.
        folder: Where.
        quiet: Whether its output goes to standard error, with standard output left for JSON.
    """
    # The server may run in an environment of its own, which is not the recipe's.
    foreign = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT"}
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    output = sys.stderr if quiet else None
    try:
        done = subprocess.run(
            argv, cwd=folder, env=kept, stdin=subprocess.DEVNULL, stdout=output, check=False
        )
    except OSError as error:
        raise Fault(f"{argv[0]} cannot be started: {error.strerror}") from error
    return done.returncode
