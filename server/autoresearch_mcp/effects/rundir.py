"""A run's own directory: fresh for every run, gone after it.

recipe/    the tracked tree of the candidate's commit, written from git blobs
home/      HOME: empty
tmp/       TMPDIR
lent/      modules of the server's for the recipe's interpreter, where it evaluates the model
run.json   the run's settings, read-only
prover/    the same again for the process that answers for the model; the run never sees it
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_IMPORTABLE = frozenset({".py", ".pyc", ".pyi", ".so", ".pth", ".zip"})
_PREFIX = "autoresearch-run-"
_PASSED_ON = ("CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
"""Variables of the operator's that a GPU run needs; everything else is left out."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The folders of one run."""

    path: Path

    @classmethod
    def choose(cls) -> "RunDirectory":
        """Choose a place under the system's temporary directory; nothing is made yet.

        The ledger is to know it first: whoever mends a death finds what was left there.
        """
        return cls(Path(tempfile.gettempdir(), f"{_PREFIX}{secrets.token_hex(8)}"))

    def make(self) -> None:
        """Make the folders, private to the user.

        Raises:
            OSError: The disk is full, or not writable.
        """
        self.path.mkdir(mode=0o700)
        for name in ("home", "tmp"):
            (self.path / name).mkdir()

    def inner(self, name: str) -> "RunDirectory":
        """Make the folders of a process beside the run, inside this directory.

        So whoever looks for what a run left, finds that as well.
        """
        inner = self.inside(name)
        inner.make()
        return inner

    @property
    def prover(self) -> "RunDirectory":
        """Return the folders of the run's prover; whoever scores its model makes them."""
        return self.inside("prover")

    def inside(self, name: str) -> "RunDirectory":
        """Return the folders that `inner` makes."""
        return RunDirectory(self.path / name)

    @property
    def recipe(self) -> Path:
        """Return where the candidate's tree belongs; writing it there makes the folder."""
        return self.path / "recipe"

    @property
    def home(self) -> Path:
        """Return the run's HOME, empty at first."""
        return self.path / "home"

    @property
    def temporary(self) -> Path:
        """Return the run's TMPDIR, empty at first."""
        return self.path / "tmp"

    @property
    def kernels(self) -> Path:
        """Return where MLX keeps compiled CUDA kernels; whoever lends some makes the folder."""
        return self.temporary / "kernels"

    @property
    def lent(self) -> Path:
        """Return where modules are lent; whoever lends makes the folder."""
        return self.path / "lent"

    @property
    def settings(self) -> Path:
        """Return where the run's settings are written."""
        return self.path / "run.json"

    def write_settings(self, settings: Mapping[str, object]) -> Path:
        """Write the file that AUTORESEARCH_RUN names, read-only, and return its path."""
        self.settings.write_text(json.dumps(settings, indent=2))
        self.settings.chmod(0o400)
        return self.settings

    def environment(self, python: Path, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the whole environment of the run's process.

        Args:
            python: The recipe's interpreter; its folder comes first on PATH.
            extra: Variables on top: the settings file, the seed, the BLAS.
        """
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {
            "PATH": os.pathsep.join([str(python.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "LANG": "C.UTF-8",
            **passed_on,
            **extra,
        }

    def changed(self, files: Mapping[str, str]) -> str | None:
        """Say which file of the tree is not as it was written; None when all are.

        Args:
            files: Path -> sha256, as written before the run.
        """
        for name, digest in files.items():
            path = self.recipe / name
            if path.is_symlink():
                same = hashlib.sha256(os.fsencode(path.readlink())).hexdigest() == digest
            else:
                same = path.is_file() and _sha256(path) == digest
            if not same:
                return f"{name} was changed or removed during the run"
        for path in self.recipe.rglob("*"):
            name = path.relative_to(self.recipe).as_posix()
            if name not in files and path.suffix in _IMPORTABLE:
                return f"{name} was added during the run; it could stand in for a module"
        return None

    def remove(self) -> None:
        """Remove everything, whatever the run left there."""
        remove(self.path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Remove a run's directory, or a part of one; anything else is left alone."""
    is_ours = any(name.startswith(_PREFIX) for name in (path.name, path.parent.name))
    if is_ours and path.is_dir() and not path.is_symlink():
        # A run may have made folders without rights to them: each gets them before it is entered.
        for folder, names, _ in os.walk(path):
            for name in names:
                inner = Path(folder, name)
                with contextlib.suppress(OSError):
                    if not inner.is_symlink():
                        inner.chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)
