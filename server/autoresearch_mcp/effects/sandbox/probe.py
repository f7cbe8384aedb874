"""Which sandboxes work here, found by really running each: nothing is taken on trust."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.sandbox import attempts, files, landlock, syscalls
from autoresearch_mcp.effects.sandbox.linux import Bubblewrapped, Locked
from autoresearch_mcp.effects.sandbox.policy import Bare, Policy, Sandbox
from autoresearch_mcp.effects.sandbox.seatbelt import Seatbelt

AUTOMATIC = "auto"
_SECONDS = 60
_ABANDONED_SECONDS = 10 * _SECONDS
_PREFIX = "autoresearch-probe-"
_NEEDED = frozenset(
    [
        *("write", "read", "mask", "metadata", "tcp", "udp", "unix", "letters"),
        *("processes", "signals", "ptrace"),
    ]
)
_NAMES = ("bubblewrap+landlock+seccomp", "bubblewrap+seccomp", "landlock+seccomp", "seatbelt")
_USER_NAMESPACES = (
    "; user namespaces may be restricted: on Ubuntu allow bwrap an AppArmor profile with `userns`"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """What a sandbox showed when it was run here."""

    name: str
    works: bool
    detail: str
    """One line: why it does not work, or what it was seen to hold."""
    gives: frozenset[str] = field(default_factory=frozenset[str])
    """What it denied: write, read, mask, metadata (modes, owners and times of files outside),
    tcp, udp, unix, letters (from a pair of sockets to a local one), processes, signals, ptrace;
    all to a run that was allowed none of them."""


def available() -> tuple[Probe, ...]:
    """Run every sandbox once and return what each showed, best first; `none` comes last."""
    return tuple(_probe(name) for name in (*_NAMES, Bare.name))


def select(preference: str | None = None) -> Sandbox:
    """Return the best sandbox that works here, or the one asked for.

    Args:
        preference: The name of a sandbox; None or `auto` for the best.

    Raises:
        Fault: There is no such sandbox, or it does not work here.
    """
    if preference in (None, AUTOMATIC):
        for name in _NAMES:
            sandbox = _found(name)
            if not isinstance(sandbox, str) and _probe(name).works:
                return sandbox
        return Bare()
    if preference == Bare.name:
        return Bare()
    if preference not in _NAMES:
        known = ", ".join((AUTOMATIC, *_NAMES, Bare.name))
        raise Fault(f"there is no sandbox {preference!r}; choose one of {known}")
    sandbox, probe = _found(preference), _probe(preference)
    if isinstance(sandbox, str) or not probe.works:
        raise Fault(f"the sandbox {preference} does not work here: {probe.detail}")
    return sandbox


def _found(name: str) -> Sandbox | str:
    """Return the sandbox of that name, or why it cannot even be tried here."""
    if name == Bare.name:
        return Bare()
    if name == "seatbelt":
        return Seatbelt() if sys.platform == "darwin" else "it is part of macOS"
    if sys.platform != "linux":
        return "it is part of Linux"
    if syscalls.machine() not in syscalls.MACHINES:
        return f"no call filter is written for {syscalls.machine()}"
    has_landlock, bwrap = landlock.version() > 0, shutil.which("bwrap")
    if "landlock" in name and not has_landlock:
        return "the kernel has no Landlock (it needs Linux 5.13, and `landlock` among its lsm=)"
    if name == Locked.name:
        return Locked()
    if bwrap is None:
        return "bubblewrap is not installed"
    return Bubblewrapped(bwrap, landlock="landlock" in name)


def _probe(name: str) -> Probe:
    sandbox = _found(name)
    if isinstance(sandbox, str):
        return Probe(name, False, sandbox)
    with ExitStack() as stack:
        where = stack.enter_context(_targets())
        answers = _run(sandbox, where)
    if isinstance(answers, str):
        return Probe(name, False, answers)
    gives = frozenset(one for one in _NEEDED if answers[one] != "allowed")
    if name == Bare.name:
        return Probe(name, True, "a run may do whatever you may", gives)
    if answers["scratch"] != "allowed":
        return Probe(name, False, f"a run cannot write its scratch: {answers['scratch']}", gives)
    if missing := sorted(_NEEDED - gives):
        return Probe(name, False, f"it does not hold: {', '.join(missing)}", gives)
    return Probe(name, True, _holding(name), gives)


def _holding(name: str) -> str:
    parts = ["files, processes, signals and sockets held"]
    if "bubblewrap" in name:
        parts.append("in namespaces of its own")
    if "landlock" in name:
        parts.append(f"Landlock version {landlock.version()}")
    return "; ".join(parts)


@contextmanager
def _targets() -> Generator[dict[str, str]]:
    """Make what a run must not reach: files, listeners, and this process."""
    with ExitStack() as stack:
        # A socket's path may have 107 characters at most, and TMPDIR may be longer than that.
        short = os.path.realpath("/tmp") if os.access("/tmp", os.W_OK) else None  # noqa: S108
        _sweep(Path(short or tempfile.gettempdir()))
        folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=short)
        root = Path(stack.enter_context(folder))
        for name in ("scratch", "outside", "readable"):
            (root / name).mkdir()
        (root / "outside/secret").write_text("secret")
        (root / "readable/masked").write_text("masked")
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(root / "readable/unix"))
        unix.listen()
        letters = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        letters.bind(str(root / "readable/letters"))
        yield {
            "scratch": str(root / "scratch"),
            "outside": str(root / "outside"),
            "readable": str(root / "readable"),
            "masked": str(root / "readable/masked"),
            "tcp": str(tcp.getsockname()[1]),
            "udp": str(udp.getsockname()[1]),
            "unix": str(root / "readable/unix"),
            "letters": str(root / "readable/letters"),
            "pid": str(os.getpid()),
        }


def _sweep(folder: Path) -> None:
    """Remove what probes that were killed left; one that is under way is younger."""
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's, or gone by now
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _run(sandbox: Sandbox, where: dict[str, str]) -> dict[str, str] | str:
    """Return the answers of the attempts in a sandbox, or why there are none."""
    python = Path(sys.executable)
    own = files.runtime(python)
    policy = Policy(
        read=(*own.read, Path(attempts.__file__), Path(where["readable"])),
        write=(Path(where["scratch"]),),
        masked=(*own.masked, Path(where["masked"])),
    )
    argv = (sys.executable, "-I", "-S", attempts.__file__, json.dumps(where))
    wrapped = sandbox.wrap(argv, {"PATH": os.defpath, "HOME": where["scratch"]}, policy)
    try:
        done = subprocess.run(
            wrapped.argv,
            cwd=where["scratch"],
            env=dict(wrapped.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        return json.loads(done.stdout)
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        remedy = _USER_NAMESPACES if "bwrap" in lines[-1] else ""
        return f"{lines[-1]}{remedy}"
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        return str(error)
