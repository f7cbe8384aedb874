"""What a run's files take is counted, however they are kept."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.sandbox import scratch

_NOBODY = 65534


def test_blocks_count_not_lengths(tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/file").write_bytes(bytes(1 << 20))
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert 1 << 20 <= scratch.used_bytes([tmp_path]) < 2 << 20


def test_every_small_file_counts(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / str(number)).touch()
    assert scratch.used_bytes([tmp_path]) >= 100 * 4096


def test_a_link_to_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "big").write_bytes(bytes(1 << 20))
    (tmp_path / "scratch/link").symlink_to(tmp_path / "big")
    (tmp_path / "scratch/folder").symlink_to(tmp_path)
    assert scratch.used_bytes([tmp_path / "scratch"]) < 1 << 16


def test_a_folder_that_is_gone_takes_nothing(tmp_path: Path) -> None:
    assert scratch.used_bytes([tmp_path / "gone"], [2**22 + 1]) == 0


def _as_somebody(task: Callable[[], None]) -> int:
    """Run a task in a process of a user who is not root, and return its exit status."""
    if (child := os.fork()) == 0:
        with contextlib.suppress(BaseException):
            if os.getuid() == 0:
                os.setuid(_NOBODY)
            task()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_folder_that_nobody_can_look_into_is_told_and_is_removed_with_the_run() -> None:
    def run() -> None:
        directory = RunDirectory.choose()
        directory.make()
        hidden = directory.temporary / "hidden"
        hidden.mkdir(mode=0o300)
        (hidden / "below").mkdir(mode=0)
        (hidden / "file").write_bytes(b"1")
        with pytest.raises(PermissionError):
            scratch.used_bytes([directory.temporary])
        directory.remove()
        assert not directory.path.exists()

    assert _as_somebody(run) == 0


@pytest.fixture
def used(tmp_path: Path) -> Callable[[str], int]:
    """How much more is counted once a process has done something in its scratch."""

    def look(code: str) -> int:
        with subprocess.Popen(
            [sys.executable, "-c", f"import os, sys\n{code}\nprint(flush=True); sys.stdin.read()"],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            return scratch.used_bytes([tmp_path], [process.pid])

    return look


DELETED = 'file = os.open("deleted", os.O_RDWR | os.O_CREAT); os.unlink("deleted")\n'


@pytest.mark.skipif(sys.platform != "linux", reason="not run: needs /proc")
class TestOpenFiles:
    """What a run still holds open counts, wherever its name went."""

    def test_a_deleted_file_counts(self, used: Callable[[str], int]) -> None:
        assert 1 << 20 <= used(f"{DELETED}os.write(file, bytes(1 << 20))") < 2 << 20

    def test_a_file_that_never_had_a_name_counts(self, used: Callable[[str], int]) -> None:
        nameless = 'file = os.open(".", os.O_RDWR | os.O_TMPFILE)'
        assert used(f"{nameless}\nos.write(file, bytes(1 << 20))") >= 1 << 20

    def test_a_file_that_is_open_twice_counts_once(self, used: Callable[[str], int]) -> None:
        assert used(f"{DELETED}os.dup(file); os.write(file, bytes(1 << 20))") < 2 << 20

    def test_a_file_with_a_name_counts_once(self, used: Callable[[str], int]) -> None:
        assert used("file = open('kept', 'wb', 0); file.write(bytes(1 << 20))") < 2 << 20

    def test_a_file_in_memory_takes_no_disk(self, used: Callable[[str], int]) -> None:
        assert used("os.write(os.memfd_create('x'), bytes(1 << 20))") < 1 << 16
