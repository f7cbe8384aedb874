"""Processes told apart by number, start time and boot, so that a reused number fools nobody.

psutil is loaded where it is used: a server that starts has, as a rule, no process to look at, and
loading psutil is a fortieth of its start.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from autoresearch_mcp.core.trial import ProcessId

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_SESSION = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")  # macOS's name for the same


def start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one: its own session, no terminal, output to a file."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # Its starter may forget it: somebody has to collect its exit status when it ends before this.
    threading.Thread(target=process.wait, daemon=True).start()
    return process


def identify(pid: int | None = None) -> ProcessId:
    """Return the identity of a process, by default the caller's.

    Raises:
        psutil.NoSuchProcess: There is no such process.
    """
    pid = os.getpid() if pid is None else pid
    return ProcessId(pid=pid, started=_started(pid), boot=_boot())


def is_alive(identity: ProcessId) -> bool:
    """Tell whether that very process still runs; a zombie does not."""
    import psutil  # noqa: PLC0415

    try:
        zombie = psutil.Process(identity.pid).status() == psutil.STATUS_ZOMBIE
        return identify(identity.pid) == identity and not zombie
    except psutil.NoSuchProcess:
        return False


def kill_users_of(folder: Path) -> None:
    """Kill every process that was started with a folder in its arguments or environment.

    That is how a run is found whose supervisor was killed: its scratch is its HOME.
    """
    import psutil  # noqa: PLC0415

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(folder) in word for word in words):
                process.kill()


def terminate(identity: ProcessId) -> None:
    """Ask that very process to end, waking it where it is stopped; do nothing when it is gone."""
    for number in (signal.SIGTERM, signal.SIGCONT):
        _send(identity, number)


def kill(identity: ProcessId) -> None:
    """Kill that very process; do nothing when it is gone."""
    _send(identity, signal.SIGKILL)


def _send(identity: ProcessId, number: signal.Signals) -> None:
    if is_alive(identity):
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity.pid, number)


def _started(pid: int) -> str:
    # On Linux psutil's create_time() moves when the wall clock is corrected; the kernel's
    # own figure (clock ticks since boot, proc(5) field 22) does not.
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text(errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        import psutil  # noqa: PLC0415

        # So it does on macOS, by what the clock did since psutil was loaded. psutil tells
        # processes apart by the kernel's figure, which it lets one see as a hash alone: a pair
        # of numbers', the same in every process.
        return str(hash(psutil.Process(pid)))


@cache
def _boot() -> str:
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    # The time of the boot moves with every correction of the clock: the last resort.
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(_BOOT_SESSION, capture_output=True, text=True, check=True)
        if found := done.stdout.strip():
            return found
    import psutil  # noqa: PLC0415

    return str(round(psutil.boot_time()))
