"""Locks and process identities: nothing stale survives a death."""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from autoresearch_mcp.effects import locks, processes

_HOLDER = """
import sys
from pathlib import Path
from autoresearch_mcp.effects import locks
with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input closes."""
    command = [sys.executable, "-c", _HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


class _WaitedLongEnough(Exception):
    pass


def _give_up() -> None:
    raise _WaitedLongEnough


def test_a_lock_that_another_process_holds_is_waited_for(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.poll() is None
    with pytest.raises(_WaitedLongEnough), locks.hold(tmp_path / "lock", while_waiting=_give_up):
        pass


def test_a_lock_is_free_once_its_holder_was_killed(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    with locks.hold(tmp_path / "lock", while_waiting=_give_up):
        assert (tmp_path / "lock").exists()


def test_a_process_is_alive_until_it_ends(holder: subprocess.Popen[str]) -> None:
    identity = processes.identify(holder.pid)
    assert processes.is_alive(identity)

    holder.kill()
    # Ended, but not collected: a zombie is dead.
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(identity)


def test_every_process_says_the_same_of_another(holder: subprocess.Popen[str]) -> None:
    code = (
        "from autoresearch_mcp.effects import processes\n"
        f"print(processes.identify({holder.pid}).model_dump_json())"
    )
    told = {subprocess.check_output([sys.executable, "-c", code]) for _ in range(2)}

    assert told == {f"{processes.identify(holder.pid).model_dump_json()}\n".encode()}


@pytest.mark.skipif(sys.platform != "darwin", reason="not run: macOS's name for a boot")
def test_on_macos_a_boot_is_told_by_its_name_and_not_by_a_time(
    holder: subprocess.Popen[str],
) -> None:
    assert len(processes.identify(holder.pid).boot) == len("01234567-89AB-CDEF-0123-456789ABCDEF")


@pytest.mark.parametrize("field", ["started", "boot"])
def test_another_process_of_the_same_number_is_not_the_same(
    holder: subprocess.Popen[str], field: str
) -> None:
    identity = processes.identify(holder.pid).model_copy(update={field: "other"})

    assert not processes.is_alive(identity)
    processes.terminate(identity)
    assert holder.poll() is None


def test_termination_reaches_the_process_that_is_meant(holder: subprocess.Popen[str]) -> None:
    processes.terminate(processes.identify(holder.pid))

    assert holder.wait(timeout=30) != 0
