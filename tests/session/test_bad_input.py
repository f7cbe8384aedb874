"""What a person's machine lacks: an interpreter, room on the disk, a name for commits."""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.driving import RecipeRepo, serving

from .conftest import TRAIN, Connect

pytestmark = pytest.mark.anyio


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Generator[Path]:
    """Mount a file system of its own, and yield a folder in it."""
    if os.geteuid() != 0:
        pytest.skip("not run: only root may mount a small disk")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"not run: no small disk can be mounted here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room in a folder's file system, and return the file that takes it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast


async def test_a_missing_interpreter_is_told_and_nothing_begins(
    recipe: RecipeRepo, connect: Connect, tmp_path: Path
) -> None:
    missing = str(tmp_path / "gone" / "python")
    async with serving(recipe.path, "--python", missing, environment=dict(os.environ)) as agent:
        fault = await agent.faulted("run_trial", hypothesis="baseline")

    assert missing in fault
    assert "--python" in fault
    assert recipe.git("rev-parse", "--abbrev-ref", "HEAD") == "main"
    async with connect() as agent:
        assert (await agent.trial("baseline"))["outcome"]["value"] == 2.0


async def test_without_an_identity_commits_are_by_the_server(
    recipe: RecipeRepo, connect: Connect
) -> None:
    recipe.git("config", "--unset", "user.name")
    recipe.git("config", "--unset", "user.email")
    async with connect() as agent:
        await agent.trial("baseline")
        trial = await agent.try_value("1.5")

    assert trial["verdict"]["status"] == "keep"
    assert recipe.git("log", "-1", "--format=%an") == "autoresearch-mcp"


async def test_a_full_disk_under_the_repository_loses_nothing(
    tmp_path: Path, bare_python: Path, home: Path
) -> None:
    with small_disk(tmp_path / "disk", 32) as disk:
        recipe = RecipeRepo.fast(disk / "recipe")
        options = ("--python", str(bare_python))
        async with serving(recipe.path, *options, environment=dict(os.environ)) as agent:
            await agent.trial("baseline")
            ballast = fill(disk)
            faults = [
                await agent.faulted("apply_edit", content=TRAIN.replace("2.0", "1.5")),
                await agent.faulted("run_trial", hypothesis="no room"),
            ]
            assert recipe.read("train.py") == TRAIN
            ballast.unlink()
            trial = await agent.try_value("1.5")
        assert recipe.ledger.verify() > 0
        assert len(recipe.log_rows()) == 2

    assert trial["verdict"]["status"] == "keep"
    for fault in faults:
        assert "a person must act" in fault


async def test_a_full_temporary_folder_is_passed_by(
    recipe: RecipeRepo, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 32) as disk:
        monkeypatch.setenv("TMPDIR", str(disk))
        fill(disk)
        async with connect() as agent:
            trial = await agent.trial("baseline")

    assert trial["outcome"]["value"] == 2.0
