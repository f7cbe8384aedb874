"""How much room a run's files take, for a supervisor that ends the run beyond its cap.

The kernel caps a single file only. Counted are blocks really taken, a file without any as one
block, and files that were deleted and are still open.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_BLOCK = 512  # st_blocks counts in these, whatever the file system's own
_LEAST = 4096


def used_bytes(folders: Iterable[Path], pids: Iterable[int] = ()) -> int:
    """Return the bytes that the folders' files take on the disk.

    Args:
        folders: Folders the run may write.
        pids: The run's processes, whose deleted but open files count as well (Linux).

    Raises:
        PermissionError: The run made a folder that cannot be looked into.
    """
    states = [
        *(state for folder in folders for state in _below(str(folder))),
        *(state for pid in pids for state in _deleted_but_open(pid)),
    ]
    # Each file once: it may be open twice, or have been deleted between the two looks.
    return sum({(state.st_dev, state.st_ino): _taken(state) for state in states}.values())


def _below(folder: str) -> Iterable[os.stat_result]:
    """Yield the state of every entry below a folder; what vanishes meanwhile is left out."""
    waiting = [folder]
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except PermissionError:
            raise
        except OSError:
            continue
        with entries:
            for entry in entries:
                try:
                    state = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                yield state
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _deleted_but_open(pid: int) -> Iterator[os.stat_result]:
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208
    except OSError:
        return
    for descriptor in descriptors:
        try:
            state = os.stat(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH116
        except OSError:
            continue
        if state.st_nlink == 0 and not _is_in_memory(f"/proc/{pid}/fd/{descriptor}"):
            yield state


def _is_in_memory(descriptor: str) -> bool:
    """Tell a file of memfd_create, which CUDA uses, by a name that no run can give to others."""
    try:
        return os.readlink(descriptor).startswith("/memfd:")  # noqa: PTH115
    except OSError:  # its name is too long
        return False


def _taken(state: os.stat_result) -> int:
    return max(state.st_blocks * _BLOCK, _LEAST)
