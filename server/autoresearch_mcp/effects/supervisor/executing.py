"""The process of a run from its start to its end, and nothing of it left."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from autoresearch_mcp.effects.supervisor.channel import Channel
from autoresearch_mcp.effects.supervisor.descendants import adopt_orphans, kill_descendants
from autoresearch_mcp.effects.supervisor.pump import Pump

_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """What to execute.

    Args:
        argv: Program and arguments; no shell is involved.
        cwd: Working directory.
        environment: The whole environment: nothing is inherited.
        log: File that receives stdout and stderr, up to the cap.
        hard_timeout: Seconds from process start to the end of the whole tree, less what `attend`
            takes: while the supervisor works, the run waits for it.
    """

    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]
    log: Path
    hard_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How the process ended. All seconds are on the supervisor's monotonic clock.

    Args:
        exit_code: Its exit status; minus the signal's number when a signal ended it.
        stopped: Why it was ended, None when it ended by itself.
        seconds: From start to end.
        launched: Whether the launcher told that the run began.
        startup: From start to the first training batch, None when nobody told.
        training: From the first training batch to the hand-over, None when nobody told.
        clock_jump: By how many seconds the wall clock ran ahead of the monotonic one: the
            machine slept, or its clock was set.
        dropped_bytes: Output beyond the log's cap.
        log_problem: Why a part of the log could not be written, None where all of it could.
    """

    exit_code: int
    stopped: str | None
    seconds: float
    launched: bool
    startup: float | None
    training: float | None
    clock_jump: float
    dropped_bytes: int
    log_problem: str | None = None


def execute(
    spec: RunSpec,
    channel: Channel,
    watch: Callable[[], str | None],
    attend: Callable[[], None] = lambda: None,
) -> Execution:
    """Run the process to its end, or end it, and leave no process of it behind.

    Args:
        spec: What to execute.
        channel: The run inherits its end of it.
        watch: Asked about five times a second; a reason ends the run.
        attend: Called before each of these; it does what the run asked for and waits for.
    """
    adopt_orphans()
    started, wall = time.monotonic(), time.time()
    with spec.log.open("wb", buffering=0) as log, _started(spec, channel.child_end) as process:
        channel.close_child_end()
        assert process.stdout is not None
        pump = Pump(process.stdout, log)
        pump.start()
        try:
            stopped = _wait(process, started + spec.hard_timeout, watch, attend)
            if stopped:
                _ask_to_end(process)
            seconds = time.monotonic() - started
            clock_jump = time.time() - wall - seconds
        finally:
            # The process itself first: only Popen may collect its exit status.
            process.kill()
            exit_code = process.wait()
            kill_descendants()
        # Where a stray process cannot be found (macOS), it may hold the pipe for ever.
        pump.join(_GRACE_SECONDS)
    batch, handover = channel.at("batch"), channel.at("handover")
    return Execution(
        exit_code=exit_code,
        stopped=stopped,
        seconds=seconds,
        launched=channel.at("launched") is not None,
        startup=None if batch is None else batch - started,
        training=None if batch is None or handover is None else handover - batch,
        clock_jump=clock_jump,
        dropped_bytes=pump.dropped,
        log_problem=pump.problem and pump.problem.strerror,
    )


@contextmanager
def attended(spec: RunSpec, theirs: socket.socket) -> Generator[None]:
    """Keep a process beside a run, its output in its log, for as long as the block lasts.

    Orphans of it, which a sandbox lets nobody make, end with the run.

    Args:
        spec: What to execute; its hard timeout is the caller's to keep.
        theirs: The end of a socket pair that the process inherits; ours of it is closed.
    """
    with spec.log.open("wb", buffering=0) as log, _started(spec, theirs.fileno()) as process:
        theirs.close()
        assert process.stdout is not None
        pump = Pump(process.stdout, log)
        pump.start()
        try:
            yield
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
            process.kill()
            process.wait()
        pump.join(_GRACE_SECONDS)


def _started(spec: RunSpec, channel: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        spec.argv,
        cwd=spec.cwd,
        env=dict(spec.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(channel,),
        start_new_session=True,
    )


def _wait(
    process: subprocess.Popen[bytes],
    deadline: float,
    watch: Callable[[], str | None],
    attend: Callable[[], None],
) -> str | None:
    """Return why the run must end, or None once it has ended by itself."""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return "timeout"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(min(left, _POLL_SECONDS))
            return None
        asked = time.monotonic()
        attend()
        deadline += time.monotonic() - asked
        if reason := watch():
            return reason


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Give the group a chance to end by itself; what stays is killed afterwards."""
    # On macOS a group of which only a zombie is left may not be signalled (EPERM).
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
