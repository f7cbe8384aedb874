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
from pathlib import Path
from typing import Literal

Whose = Literal["run", "prover"]

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


def environment(folder: Path) -> dict[str, str]:
    """Return the variables that make MLX and the driver keep their kernels in a folder."""
    return {"MLX_PTX_CACHE_DIR": str(folder), "CUDA_CACHE_PATH": str(folder / "driver")}


def lend(store: Path, whose: Whose, folder: Path) -> None:
    """Copy the store's kernels to a process's own folder, made here; it is empty without them."""
    if holds(store, [whose]):
        shutil.copytree(store / whose, folder)
    else:
        folder.mkdir()


def fill(store: Path, folders: Mapping[Whose, Path]) -> None:
    """Keep the kernels that a run of the recipe as committed and its prover left in their folders.

    A store that holds them already stays as it is.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.parent) as made:
        fresh = Path(made) / "kernels"
        fresh.mkdir()
        for whose, folder in folders.items():
            if folder.is_dir() and not folder.is_symlink():
                shutil.copytree(folder, fresh / whose, ignore=_all_but_files)
        if not holds(store, folders):
            shutil.rmtree(store, ignore_errors=True)
            fresh.rename(store)


def _all_but_files(folder: str, names: list[str]) -> list[str]:
    """Name what is neither a plain file nor a folder: no link leads out of the store."""
    paths = (Path(folder, name) for name in names)
    return [p.name for p in paths if p.is_symlink() or not (p.is_file() or p.is_dir())]
