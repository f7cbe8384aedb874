"""Data that a recipe keeps outside its repository: lent to runs, read-only, at its usual place."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from autoresearch_mcp.core.errors import Fault

DEFAULT = Path(".cache") / "autoresearch"
"""Below the home folder; where recipes of this family keep data and tokenizer."""


def default() -> tuple[Path, ...]:
    """Return the usual folder, where there is one."""
    folder = Path.home() / DEFAULT
    return (folder,) if folder.is_dir() else ()


def check(asset: Path) -> None:
    """Return if an asset can be lent.

    Raises:
        Fault: There is no such file or folder, or it cannot be read.
    """
    if not asset.exists() or not os.access(asset, os.R_OK):
        raise Fault(f"the asset {asset} does not exist or cannot be read: prepare it, or name it")


def fingerprint(assets: tuple[Path, ...]) -> str | None:
    """Name a state of the assets: by path, size and time of change of every file.

    Their content is not read: a data set may be larger than what can be read before every trial,
    and runs cannot write there.
    """
    if not assets:
        return None
    digest = hashlib.sha256()
    for asset in assets:
        for name, size, changed in sorted(_files(asset)):
            digest.update(f"{len(name)}:{name}{size},{changed};".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def lend(assets: tuple[Path, ...], home: Path) -> None:
    """Let each asset of the user's home appear at the same place in a run's own."""
    for asset in assets:
        place = asset.absolute()
        if place.is_relative_to(Path.home()):
            link = home / place.relative_to(Path.home())
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(asset.resolve())


def _files(asset: Path) -> Iterator[tuple[str, int, int]]:
    paths = asset.rglob("*") if asset.is_dir() else [asset]
    for path in paths:
        state = path.lstat()
        if not path.is_dir() or path.is_symlink():
            yield path.relative_to(asset).as_posix(), state.st_size, state.st_mtime_ns
