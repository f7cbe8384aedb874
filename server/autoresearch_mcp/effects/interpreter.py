"""The recipe's own Python: which one it is and what it offers."""

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from autoresearch_mcp.core.errors import Fault

_PROBE_SECONDS = 60
_PROBE = """
import json, platform, importlib.metadata as metadata
found = {"python": platform.python_version(), "mlx": None, "problem": None}
found["device"] = found["device_kind"] = platform.machine()
found["backends"] = sorted({d.metadata["Name"] for d in metadata.distributions()
                            if d.metadata["Name"] in ("mlx-cpu", "mlx-cuda-12", "mlx-cuda-13")})
try:
    found["mlx"] = metadata.version("mlx")
    import mlx.core as mx
    found["device_kind"] = ("metal" if mx.metal.is_available() else
                            "cuda" if mx.cuda.is_available() else "cpu")
    found["device"] = mx.device_info().get("device_name", "unknown")
except metadata.PackageNotFoundError:
    pass
except Exception as error:
    found["problem"] = f"{type(error).__name__}: {error}".splitlines()[0]
print(json.dumps(found))
"""


class Interpreter(BaseModel):
    """What the recipe's interpreter offers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    python: str
    mlx: str | None
    device: str
    device_kind: str
    """metal, cuda or cpu; the machine's architecture where there is no MLX."""
    backends: tuple[str, ...]
    """Installed MLX back ends for Linux; more than one overwrite each other."""
    problem: str | None
    """Why MLX cannot be imported, where it is installed and cannot."""


@lru_cache(maxsize=4)
def distributions(python: Path) -> dict[str, list[str]]:
    """Return the installed distributions that bring each top-level module.

    Raises:
        Fault: The interpreter does not start or does not answer.
    """
    code = "import importlib.metadata as m, json; print(json.dumps(m.packages_distributions()))"
    try:
        answer = subprocess.run(
            [str(python), "-I", "-c", code],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=True,
        )
        return json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Fault(f"the recipe's interpreter {python} does not work: {error}") from error


def choose(root: Path, override: Path | None, folder: str = "") -> Path:
    """Return the recipe's interpreter.

    In this order: the operator's choice, the environment in the recipe's own folder, that in its
    repository's, the server's.
    """
    if override is not None:
        return override.absolute()
    found = (env / "bin" / "python" for env in (*_own(root / folder), *_own(root)))
    return next((python for python in found if python.exists()), Path(sys.executable))


def _own(folder: Path) -> tuple[Path, ...]:
    """Return a folder's environments, such as `.venv-cuda13` first where the server runs there."""
    server, usual = Path(sys.prefix), folder / ".venv"
    chosen = server.name.startswith(".venv-") and server.resolve().parent == folder.resolve()
    return (server, usual) if chosen else (usual,)


def probe(python: Path) -> Interpreter:
    """Start the interpreter once and ask what it offers.

    Raises:
        Fault: It does not start or does not answer.
    """
    command = [str(python), "-I", "-c", _PROBE]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True
        )
        return Interpreter(path=python, **json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, ValidationError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        raise Fault(
            f"the recipe's interpreter {python} does not work: {detail.strip().splitlines()[-1]}; "
            "name another with --python, or build the recipe's .venv again"
        ) from error
