"""Locks that the kernel drops with their holder: no stale lock survives a crash."""

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.2


@contextmanager
def hold(path: Path, *, while_waiting: Callable[[], None] = lambda: None) -> Generator[None]:
    """Hold an exclusive lock on a file for the duration of the block.

    Args:
        path: The lock file; created, with its folder, where missing. It is never removed:
            removing a lock file lets two holders in.
        while_waiting: Called about five times a second while another process holds the
            lock; it may raise to give up waiting.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try(descriptor):
            while_waiting()
            # flock has no timeout, and a blocking call could not be given up.
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


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
