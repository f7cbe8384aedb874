"""Compiled CUDA kernels, kept from one run to the next.

MLX compiles its CUDA kernels when they are first used: up to two minutes of a cold run, a few
seconds with the kernels of an earlier one. Every run gets a copy of its own, and only runs of
the recipe as committed fill the store: what a candidate leaves in its copy reaches no other run.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

_FINISHED = "finished"
"""Present in a store that was filled to the end."""


def store(cache: Path, made_with: Iterable[str]) -> Path:
    """Return the store's folder for what kernels depend on.

    Args:
        cache: The server's own cache folder.
        made_with: MLX's version, its back end, the device, the recipe: another value of any of
            them asks for other kernels.
    """
    digest = hashlib.sha256("\n".join(made_with).encode()).hexdigest()
    return cache / "kernels" / digest[:16]


def is_filled(store: Path) -> bool:
    """Tell whether a run may start from this store."""
    return (store / _FINISHED).is_file()


def environment(folder: Path) -> dict[str, str]:
    """Return the variables that make MLX keep its kernels in a folder, and the driver none."""
    return {"MLX_PTX_CACHE_DIR": str(folder), "CUDA_CACHE_DISABLE": "1"}


def lend(store: Path, folder: Path) -> None:
    """Copy the store's kernels to a run's own folder, made here; an unfilled store has none."""
    if is_filled(store):
        shutil.copytree(store, folder, ignore=shutil.ignore_patterns(_FINISHED))
    else:
        folder.mkdir()


def fill(store: Path, folders: Iterable[Path]) -> None:
    """Keep the kernels that a run of the recipe as committed left in its folders.

    A store that is filled already stays as it is.
    """
    store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.parent) as made:
        fresh = Path(made) / "kernels"
        for folder in folders:
            if folder.is_dir():
                shutil.copytree(folder, fresh, ignore=_all_but_files, dirs_exist_ok=True)
        fresh.mkdir(exist_ok=True)
        (fresh / _FINISHED).touch()
        if not is_filled(store):
            shutil.rmtree(store, ignore_errors=True)
            fresh.rename(store)


def _all_but_files(folder: str, names: list[str]) -> list[str]:
    """Name what is neither a plain file nor a folder: no link leads out of the store."""
    paths = (Path(folder, name) for name in names)
    return [p.name for p in paths if p.is_symlink() or not (p.is_file() or p.is_dir())]
