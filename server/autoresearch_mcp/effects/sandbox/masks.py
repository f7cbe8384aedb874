"""Which parts of a folder stay visible when something below it must not be read.

Landlock can only grant, so a folder with something masked in it is granted piece by piece: its
other entries, one by one. Where readable and masked paths nest, the longest path decides.
"""

import os
from collections.abc import Iterable, Iterator


def resolved(paths: Iterable[str]) -> list[str]:
    """Return the real paths, each once, outer ones before inner ones."""
    return sorted({os.path.realpath(path) for path in paths})


def hidden(masked: Iterable[str]) -> list[str]:
    """Return the real paths of what is masked, and of what Python compiled those modules to."""
    names: dict[str, set[str]] = {}
    for path in masked:
        folder, _, name = path.rpartition("/")
        names.setdefault(folder, set()).add(name)
    found: list[str] = []
    for folder, wanted in names.items():
        real = os.path.realpath(folder)
        found += (f"{real}/{name}" for name in sorted(wanted))
        modules = {name.removesuffix(".py") for name in wanted if name.endswith(".py")}
        compiled = _entries(f"{real}/__pycache__") if modules else ()
        found += (entry for entry in compiled if _name(entry).partition(".")[0] in modules)
    return [os.path.realpath(path) if os.path.islink(path) else path for path in found]  # noqa: PTH114


def pieces(readable: Iterable[str], masked: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield what to grant: a path, and whether all below it is meant or its listing alone.

    Args:
        readable: Real paths of files and folders.
        masked: Real paths of what must not be read, though a folder above it is readable.
    """
    left_out = frozenset(masked)
    opened = frozenset(folder for path in left_out for folder in _above(path))
    for path in readable:
        yield from _pieces(path, left_out, opened)


def below(path: str, folder: str) -> bool:
    """Tell whether a path lies in a folder, at any depth."""
    return path.startswith(folder.rstrip("/") + "/")


def _pieces(
    path: str, left_out: frozenset[str], opened: frozenset[str]
) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of one path; the opened folders have something hidden in them."""
    if path not in opened:
        yield path, True
        return
    yield path, False
    for entry in _entries(path):
        # A link needs no grant, and what it leads to must have its own.
        if entry not in left_out and not os.path.islink(entry):  # noqa: PTH114
            yield from _pieces(entry, left_out, opened)


def _above(path: str) -> Iterator[str]:
    while path != "/":
        path = os.path.dirname(path)  # noqa: PTH120
        yield path


def _entries(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return sorted(entry.path for entry in found)
    except OSError:
        return []


def _name(path: str) -> str:
    return path.rpartition("/")[2]
