"""Compiled CUDA kernels, kept from one run to the next.

MLX compiles its CUDA kernels when they are first used: up to two minutes of a cold run, a few
seconds with the kernels of an earlier one; and the driver makes machine code of them, a second or
two of every process unless it finds that of an earlier one. Every process gets a copy of its own,
and only a run of the recipe as committed and its prover fill the store: what a candidate leaves in
its copy reaches no other run. A run and a prover have kernels of their own, since the driver lists
what it has in one file and two such lists can't be made one.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

Whose = Literal["run", "prover"]

_MOST_TRIES = 2
"""A recipe that always ends before its model is evaluated would be warmed up for ever."""

_TRIES = "tries"
"""A file with one character for each time that a store was filled."""

_LAYOUT = "run, prover"
"""What a store holds: one of another layout, of an earlier version, is another store."""


def store(cache: Path, made_with: Iterable[str]) -> Path:
    """Return the store's folder for what kernels depend on.

    Args:
        cache: The server's own cache folder.
        made_with: MLX's version, its back end, the device, the recipe: another value of any of
            them asks for other kernels. Also who may have left them: what processes leave that
            saw validation rows goes to none that may not.
    """
    digest = hashlib.sha256("\n".join((_LAYOUT, *made_with)).encode()).hexdigest()
    return cache / "kernels" / digest[:16]


def holds(store: Path, whose: Iterable[Whose]) -> bool:
    """Tell whether a store has the kernels of all of these."""
    return all((store / one).is_dir() for one in whose)


def are_due(store: Path, whose: Iterable[Whose]) -> bool:
    """Tell whether a store lacks kernels of some of these, and it is worth trying to make them."""
    return not holds(store, whose) and _tries(store) < _MOST_TRIES


def environment(folder: Path) -> dict[str, str]:
    """Return the variables that make MLX and the driver keep their kernels in a folder."""
    return {"MLX_PTX_CACHE_DIR": str(folder), "CUDA_CACHE_PATH": str(folder / "driver")}


def lend(store: Path, whose: Whose, folder: Path) -> None:
    """Copy the store's kernels to a process's own folder, made here; it is empty without them."""
    try:
        shutil.copytree(store / whose, folder)
    except OSError:  # there are none, or another process is putting a fuller store in its place
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()


def fill(store: Path, folders: Mapping[Whose, Path]) -> None:
    """Keep the kernels that a run of the recipe as committed and its prover left in their folders.

    A store that holds them already keeps those, and counts one more try.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.parent) as made:
        fresh = Path(made) / "kernels"
        fresh.mkdir()
        for whose, folder in folders.items():
            if folder.is_dir() and not folder.is_symlink():
                shutil.copytree(folder, fresh / whose, ignore=_all_but_files)
        tries = "." * (_tries(store) + 1)
        if holds(store, folders):
            (store / _TRIES).write_text(tries)
            return
        (fresh / _TRIES).write_text(tries)
        shutil.rmtree(store, ignore_errors=True)
        with suppress(OSError):  # another process was quicker
            fresh.rename(store)


def _tries(store: Path) -> int:
    try:
        return len((store / _TRIES).read_text())
    except OSError:
        return 0


def _all_but_files(folder: str, names: list[str]) -> list[str]:
    """Name what is neither a plain file nor a folder: no link leads out of the store."""
    paths = (Path(folder, name) for name in names)
    return [p.name for p in paths if p.is_symlink() or not (p.is_file() or p.is_dir())]
