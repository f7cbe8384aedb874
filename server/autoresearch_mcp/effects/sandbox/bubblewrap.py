"""A policy's paths as bubblewrap's mounts: what is not named does not exist in the run."""

import os
from collections.abc import Iterable, Iterator

from autoresearch_mcp.effects.sandbox import masks

_STEPS = 400  # a loop of links ends here


def mounts(
    *, read: list[str], write: list[str], masked: list[str], devices: list[str]
) -> list[str]:
    """Return the options that build the run's view of the file system, read-only at the root.

    Inner paths are mounted after outer ones, so that the longest path decides.

    Args:
        read: Files and folders that may be read.
        write: Folders that may be filled.
        masked: What must not be read; an empty file or folder takes its place.
        devices: Device files to open.
    """
    plans = {path: ["--ro-bind", path, path] for path in masks.resolved(read)}
    empty: list[str] = []
    for path in sorted(set(masks.hidden(masked))):
        if path in plans or not os.path.exists(path):  # noqa: PTH110
            continue
        if not any(masks.below(path, one) for one in plans):
            continue
        if os.path.isdir(path):  # noqa: PTH112
            empty += ["--remount-ro", path]
            plans[path] = ["--tmpfs", path]
        else:
            plans[path] = ["--ro-bind", "/dev/null", path]
    plans |= {path: ["--bind", path, path] for path in masks.resolved(write)}
    plans |= {path: ["--dev-bind", path, path] for path in devices}
    links = _links([*read, *write], list(plans))
    ordered = [option for path in sorted(plans) for option in plans[path]]
    return [*ordered, *links, *empty, "--remount-ro", "/"]


def _links(paths: Iterable[str], mounted: list[str]) -> list[str]:
    """Return the options that make the symbolic links on the way to these paths."""
    links = dict(link for path in paths for link in _followed(path))
    return [
        option
        for place in sorted(links)
        if not any(masks.below(place, one) for one in mounted)
        for option in ("--symlink", links[place], place)
    ]


def _followed(path: str) -> Iterator[tuple[str, str]]:
    """Yield each symbolic link on the way to a path, where it really lies and what it says."""
    done, left = "/", path.strip("/").split("/")
    for _ in range(_STEPS):
        if not left:
            return
        name, *left = left
        step = os.path.normpath(os.path.join(done, name))  # noqa: PTH118
        if os.path.islink(step):  # noqa: PTH114
            target = os.readlink(step)  # noqa: PTH115
            yield step, target
            done = "/" if target.startswith("/") else done
            left = [*target.strip("/").split("/"), *left]
        else:
            done = step
