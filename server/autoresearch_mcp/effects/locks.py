"""Locks that the kernel drops with their holder: no stale lock survives a crash."""

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_POLL_SECONDS = (0.01, 0.2)
"""The first pause between two tries, and the longest."""


@contextmanager
def hold(*paths: Path, while_waiting: Callable[[], None] = lambda: None) -> Generator[None]:
    """Hold an exclusive lock on a file for the duration of the block, or on one of several.

    Args:
        paths: The lock files; created, with their folders, where missing. They are never
            removed: removing a lock file lets two holders in.
        while_waiting: Called at least five times a second or so while other processes hold all
            of them; it may raise to give up waiting.
    """
    with ExitStack() as opened:
        descriptors = [_open(path, opened) for path in paths]
        pause, longest = _POLL_SECONDS
        # In order, so that one that a stricter neighbour waits for is the first to be taken.
        while not any(map(_try, descriptors)):
            while_waiting()
            # flock has no timeout, and a blocking call could not be given up.
            time.sleep(pause)
            pause = min(2 * pause, longest)
        yield


def _open(path: Path, opened: ExitStack) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    opened.callback(os.close, descriptor)
    return descriptor


def is_held(path: Path) -> bool:
    """Tell whether a process holds the lock of a file right now.

    Raises:
        OSError: The file cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try(descriptor)
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
