"""The processes below this one: which they are, and the end of them."""

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from autoresearch_mcp.core.errors import Fault

_GRACE_SECONDS = 5.0
_KILL_SECONDS = 60.0
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux).

    A process that forks twice and starts its own session stays below us and is found.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> Iterator[int]:
    """Yield the number of every process below this one (Linux; nothing elsewhere).

    Five times a second: asking after those alone leaves the machine to the run, where psutil
    would read the state of every process there is.
    """
    if sys.platform != "linux":
        return
    waiting = [os.getpid()]
    if not Path(f"/proc/{waiting[0]}/task/{waiting[0]}/children").exists():  # kernel without them
        yield from (child.pid for child in psutil.Process().children(recursive=True))
        return
    while waiting:
        for file in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                found = [int(pid) for pid in file.read_text().split()]
                waiting += found
                yield from found


def kill_descendants() -> None:
    """Kill every process below this one, and those that they start meanwhile.

    Raises:
        Fault: One cannot be killed: it hangs in the kernel.
    """
    me, deadline = psutil.Process(), time.monotonic() + _KILL_SECONDS
    while children := me.children(recursive=True):
        if time.monotonic() > deadline:
            pids = ", ".join(str(child.pid) for child in children)
            raise Fault(f"these processes of a run cannot be killed: {pids}; end them, or reboot")
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=_GRACE_SECONDS)
        _reap()


def _reap() -> None:
    """Collect adopted zombies, which nobody else waits for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
