"""Execute one run: its process, its clock, its log, and the end of everything it started."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

LOG_CAP_BYTES = 64 * 2**20
_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.2
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What to execute.

    Args:
        argv: Program and arguments; no shell is involved.
        cwd: Working directory.
        environment: The whole environment: nothing is inherited.
        log: File that receives stdout and stderr, at most `LOG_CAP_BYTES` of it.
        hard_timeout: Seconds from process start to the end of the whole tree.
    """

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    log: Path
    hard_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How the process ended.

    Args:
        exit_code: Its exit status; minus the signal's number when a signal ended it.
        stopped: Why the supervisor ended it, or None when it ended by itself.
        seconds: Wall-clock seconds from start to end, on the supervisor's clock.
        dropped_bytes: Output beyond the log's cap.
    """

    exit_code: int
    stopped: str | None
    seconds: float
    dropped_bytes: int


def execute(spec: RunSpec, is_cancelled: Callable[[], bool]) -> Execution:
    """Run the process to its end, or end it, and leave no process of it behind.

    Args:
        spec: What to execute.
        is_cancelled: Asked about five times a second; True ends the run.
    """
    adopt_orphans()
    started = time.monotonic()
    with spec.log.open("wb", buffering=0) as log, contextlib.ExitStack() as opened:
        process = subprocess.Popen(
            spec.argv,
            cwd=spec.cwd,
            env=dict(spec.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        pump = _Pump(opened.enter_context(process.stdout), log)
        pump.start()
        try:
            stopped = _watch(process, started + spec.hard_timeout, is_cancelled)
            if stopped:
                _ask_to_end(process)
            seconds = time.monotonic() - started
        finally:
            # The process itself first: only Popen may collect its exit status.
            process.kill()
            exit_code = process.wait()
            kill_descendants()
        pump.join()
    return Execution(
        exit_code=exit_code, stopped=stopped, seconds=seconds, dropped_bytes=pump.dropped
    )


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux).

    A process that forks twice and starts its own session stays below us and is found.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_descendants() -> None:
    """Kill every process below this one, and those that they start meanwhile."""
    me = psutil.Process()
    while children := me.children(recursive=True):
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


def _watch(
    process: subprocess.Popen[bytes], deadline: float, is_cancelled: Callable[[], bool]
) -> str | None:
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return "timeout"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(min(left, _POLL_SECONDS))
            return None
        if is_cancelled():
            return "cancelled"


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Give the group a chance to end by itself; what stays is killed afterwards."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)


class _Pump(threading.Thread):
    """Copies output to the log up to its cap, and reads on, so that the child never blocks."""

    def __init__(self, source: IO[bytes], log: IO[bytes]) -> None:
        super().__init__(name="log pump", daemon=True)
        self._source = source
        self._log = log
        self.dropped = 0

    def run(self) -> None:
        room = LOG_CAP_BYTES
        while chunk := os.read(self._source.fileno(), 1 << 16):
            kept = chunk[:room]
            try:
                self._log.write(kept)
            except OSError:  # a full disk must not stop the run: its log ends here
                room, kept = 0, b""
            room -= len(kept)
            self.dropped += len(chunk) - len(kept)
