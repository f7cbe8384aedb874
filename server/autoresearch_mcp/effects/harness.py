"""Run a recipe's own prepare.py in the recipe's interpreter, ending in plain words.

Started by path in that interpreter, which has none of the server's packages: nothing but the
standard library may be imported.

    python -B -u harness.py /recipe/prepare.py ARG...
"""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

_FAULT = 3
_INTERRUPTED = 130


def command(python: Path, script: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs a harness script by this file."""
    return [str(python), "-B", "-u", __file__, str(script), *arguments]


def main(arguments: list[str]) -> int:
    """Run the script in place; return 3 where a person must act, 130 after Ctrl-C."""
    script = arguments[0]
    sys.argv = arguments
    sys.path[0] = str(Path(script).parent)
    try:
        runpy.run_path(script, run_name="__main__")
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on from here", _INTERRUPTED)
    except ImportError as missing:
        return _say(f"{sys.executable} cannot import {missing.name}: {_remedy(missing.name)}")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _say(f"{error.strerror or error}{where}: choose a folder with --cache DIR")
    except SystemExit as end:
        if isinstance(end.code, str):
            return _say(end.code)
        raise
    return 0


def _remedy(module: str | None) -> str:
    if module in {"httpx2", "pyarrow", "rich"}:
        return "install autoresearch-mcp[climbmix] there"
    return "install autoresearch-mcp[cpu] there (on NVIDIA GPUs [cuda12] or [cuda13])"


def _say(text: str, status: int = _FAULT) -> int:
    print(f"autoresearch-mcp prepare: {text}", file=sys.stderr)  # noqa: T201 - it is a program
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
