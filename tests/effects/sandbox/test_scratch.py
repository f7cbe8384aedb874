"""What a run's files take is counted, however they are kept."""

import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch_mcp.effects.sandbox import scratch


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


@pytest.mark.skipif(sys.platform != "linux", reason="not run: needs /proc")
def test_a_deleted_file_counts_while_it_is_open(tmp_path: Path) -> None:
    code = """
import os, sys
file = os.open("deleted", os.O_RDWR | os.O_CREAT)
os.unlink("deleted")
os.write(file, bytes(1 << 20))
print("up", flush=True)
sys.stdin.read()
"""
    folder = tmp_path / "scratch"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert scratch.used_bytes([folder]) < 1 << 16
        assert scratch.used_bytes([folder], [process.pid]) >= 1 << 20
