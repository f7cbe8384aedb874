"""One run: its log, its end, and the end of everything it started."""

import itertools
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from autoresearch_mcp.effects import supervisor
from autoresearch_mcp.effects.supervisor import Channel, Execution, RunSpec, executing, pump


def run(
    tmp_path: Path, code: str, *, hard_timeout: float = 60.0, stop_after: int | None = None
) -> tuple[Execution, bytes]:
    """Execute a piece of Python; end it when asked the n-th time. FD is the channel."""
    asked = itertools.count(1)

    def watch() -> str | None:
        return "cancelled" if stop_after is not None and next(asked) > stop_after else None

    with Channel() as channel:
        spec = RunSpec(
            argv=(sys.executable, "-I", "-u", "-c", f"FD = {channel.child_end}\n{code}"),
            cwd=tmp_path,
            environment={"PATH": os.defpath, "MARK": str(tmp_path)},
            log=tmp_path / "run.log",
            hard_timeout=hard_timeout,
        )
        ended = supervisor.execute(spec, channel, watch)
    return ended, spec.log.read_bytes() if spec.log.is_file() else b""


def survivors(tmp_path: Path) -> list[psutil.Process]:
    """Return processes that still carry the run's mark in their environment."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == str(tmp_path):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
    return found


def test_output_of_both_streams_and_the_exit_status_are_kept(tmp_path: Path) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"
    ended, log = run(tmp_path, code)

    assert (ended.exit_code, ended.stopped) == (7, None)
    assert set(log.splitlines()) == {b"out", b"err"}


def test_a_signal_shows_as_a_negative_exit_status(tmp_path: Path) -> None:
    ended, _ = run(tmp_path, "import os; os.kill(os.getpid(), 9)")

    assert ended.exit_code == -9


def test_nothing_of_the_environment_is_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    _, log = run(tmp_path, "import os; print(sorted(os.environ))")

    assert b"SECRET" not in log
    assert b"MARK" in log


def test_standard_input_is_empty(tmp_path: Path) -> None:
    _, log = run(tmp_path, "import sys; print(repr(sys.stdin.read()))")

    assert log == b"''\n"


def test_the_hard_timeout_ends_the_run(tmp_path: Path) -> None:
    ended, log = run(tmp_path, "print('begun'); import time; time.sleep(3600)", hard_timeout=1.0)

    assert ended.stopped == "timeout"
    assert log == b"begun\n"


def test_a_run_that_ignores_sigterm_ends_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "_GRACE_SECONDS", 0.2)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(3600)"
    ended, _ = run(tmp_path, code, hard_timeout=1.0)

    assert (ended.stopped, ended.exit_code) == ("timeout", -9)


def test_cancelling_ends_the_run(tmp_path: Path) -> None:
    ended, _ = run(tmp_path, "import time; time.sleep(3600)", stop_after=1)

    assert ended.stopped == "cancelled"


def test_a_run_that_ends_while_it_is_cancelled_ends_all_the_same(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")

    def watch() -> str | None:
        (tmp_path / "go").write_bytes(b"")  # waits until the run opens it, too
        (run,) = psutil.Process().children()
        while run.status() != psutil.STATUS_ZOMBIE:
            pass
        return "cancelled"

    with Channel() as channel:
        spec = RunSpec(
            argv=(sys.executable, "-I", "-c", "open('go').read()"),
            cwd=tmp_path,
            environment={},
            log=tmp_path / "run.log",
            hard_timeout=60.0,
        )
        ended = supervisor.execute(spec, channel, watch)

    assert (ended.stopped, ended.exit_code) == ("cancelled", 0)


@pytest.mark.parametrize("is_waited_for", [False, True])
def test_only_what_a_run_waits_for_is_none_of_its_time(tmp_path: Path, is_waited_for: bool) -> None:
    def once() -> None:  # longer than the run may take
        until = time.monotonic() + 3
        while looks == [1] and time.monotonic() < until:
            pass

    looks: list[int] = []

    def watch() -> str | None:
        looks.append(1)
        if not is_waited_for:
            once()
        return "cancelled" if len(looks) > 2 else None

    with Channel() as channel:
        spec = RunSpec(
            argv=(sys.executable, "-I", "-c", "import time; time.sleep(3600)"),
            cwd=tmp_path,
            environment={},
            log=tmp_path / "run.log",
            hard_timeout=3.0,
        )
        attend = once if is_waited_for else lambda: None
        ended = supervisor.execute(spec, channel, watch, attend)

    assert ended.stopped == ("cancelled" if is_waited_for else "timeout")


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_no_daemon_survives_its_run(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        time.sleep(3600)\n"
        "    os._exit(0)\n"
    )
    ended, _ = run(tmp_path, code)

    assert ended.exit_code == 0
    assert survivors(tmp_path) == []


def test_a_log_past_its_cap_keeps_its_start_and_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "LOG_CAP_BYTES", 1000)
    ended, log = run(
        tmp_path,
        "for n in range(100_000): print('noise', n)\nprint('val_bpb: 1.5'); raise SystemExit(3)",
    )

    assert ended.exit_code == 3
    assert log.startswith(b"noise 0\nnoise 1\n")
    assert log.endswith(b"noise 99999\nval_bpb: 1.5\n")
    assert b" bytes of the log are not kept]\nnoise" in log
    assert len(log) < 70_000
    assert ended.dropped_bytes > 1_000_000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="not run: macOS has no full device")
def test_a_log_that_the_disk_has_no_room_for_is_told_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "run.log").symlink_to("/dev/full")
    ended, _ = run(tmp_path, "for n in range(100_000): print('noise', n)\nraise SystemExit(3)")

    assert ended.exit_code == 3
    assert ended.log_problem == "No space left on device"


def test_what_the_harness_tells_is_timed_on_the_supervisors_clock(tmp_path: Path) -> None:
    code = (
        "import os, time; os.write(FD, b'batch\\n'); time.sleep(0.5); os.write(FD, b'handover\\n')"
    )
    ended, _ = run(tmp_path, code)

    assert ended.startup is not None
    assert ended.training is not None
    assert 0.5 <= ended.training < ended.seconds - ended.startup


def test_only_the_first_of_an_event_counts(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "for word in (b'batch', b'batch', b'handover'): os.write(FD, word + b'\\n')\n"
        "time.sleep(0.5); os.write(FD, b'handover\\n')\n"
    )
    ended, _ = run(tmp_path, code)

    assert ended.training is not None
    assert ended.training < 0.4


def test_a_run_that_closed_its_end_long_ago_is_ended_as_any_other(tmp_path: Path) -> None:
    ended, log = run(tmp_path, "import os; os.write(FD, b'batch\\n'); os.close(FD); print('on')")

    assert (ended.exit_code, log) == (0, b"on\n")
    assert ended.startup is not None


@pytest.mark.parametrize("junk", ["b'x' * 10_000_000", "b'batchhandover'", "bytes(range(256))"])
def test_junk_on_the_channel_tells_nothing(tmp_path: Path, junk: str) -> None:
    ended, _ = run(tmp_path, f"import os; os.write(FD, {junk})")

    assert ended.exit_code == 0
    assert (ended.startup, ended.training) == (None, None)


def test_a_run_that_floods_its_log_leaves_its_mark_and_no_process(tmp_path: Path) -> None:
    ended, log = run(tmp_path, "while True: print('y' * 1000)", hard_timeout=1.0)

    assert ended.stopped == "timeout"
    assert log.startswith(b"yyy")
    assert survivors(tmp_path) == []
