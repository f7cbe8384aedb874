"""Attacks by way of the tools, and collisions with other people."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from autoresearch_mcp.core.trial import Run
from tests.driving import until

from .arena import Arena
from .cases import best_level
from .variants import TRAIN, attacking

pytestmark = [pytest.mark.anyio, best_level]

PATHS = (
    "prepare.py",
    "./train.py",
    "../recipe/train.py",
    "sub/../train.py",
    "/etc/passwd",
    "train.py/",
    "train.py\0.txt",
    "TRAIN.PY",
    "PREPARE.py",
    "tr\u0061in\u200b.py",
    "\u0074rain.p\u0443",
    "train.py::$DATA",
    ".git/config",
    ".GIT/hooks/pre-commit",
    "protocol.json",
    "~/train.py",
)


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("path", PATHS, ids=[f"73-path-variant-{n}" for n in range(1, 17)])
async def test_an_edit_of_anything_but_the_surface_is_refused(arena: Arena, path: str) -> None:
    before = arena.look()
    await arena.agent.refused("apply_edit", path=path, content="print('mine')\n")
    await arena.agent.refused("apply_edit", path=path, adopt=True)

    assert arena.look() == before


def symlink(train: Path, elsewhere: Path) -> None:
    train.symlink_to(elsewhere)


def hardlink(train: Path, elsewhere: Path) -> None:
    train.hardlink_to(elsewhere)


def fifo(train: Path, elsewhere: Path) -> None:
    os.mkfifo(train)


def folder(train: Path, elsewhere: Path) -> None:
    train.mkdir()


def unix_socket(train: Path, elsewhere: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(train))


@pytest.mark.parametrize(
    "make", [symlink, hardlink, fifo, folder, unix_socket], ids=lambda make: f"74-{make.__name__}"
)
async def test_a_surface_that_is_no_plain_file_is_refused(arena: Arena, make: object) -> None:
    assert callable(make)
    train = arena.repo.path / "train.py"
    elsewhere = arena.folder / "outside" / "precious.txt"
    before = elsewhere.read_bytes()
    train.unlink()
    make(train, elsewhere)
    try:
        edit = await arena.agent.refused("apply_edit", content="print('mine')\n")
        run = await arena.agent.refused("run_trial", hypothesis="through the link")
        assert elsewhere.read_bytes() == before
    finally:
        if train.is_dir() and not train.is_symlink():
            train.rmdir()
        else:
            train.unlink()
        train.write_text(TRAIN)

    assert "surface.file" in edit
    assert "surface.file" in run


async def test_75_64MiB_edit_is_refused(arena: Arena) -> None:  # noqa: N802
    refusal = await arena.agent.refused("apply_edit", content="#" * (64 << 20))

    assert "edit.size" in refusal
    assert arena.repo.read("train.py") == TRAIN


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(TRAIN + "x = '\0'\n", "edit.encoding", id="76-NUL"),
        pytest.param("\ufeff" + TRAIN, "edit.encoding", id="76-BOM"),
        pytest.param(TRAIN.replace("\n", "\r\n"), "edit.newline", id="76-CRLF"),
        pytest.param(TRAIN + "# a remark\rprint('hidden')\n", "edit.newline", id="76-CR"),
    ],
)
async def test_a_source_with_characters_that_hide_code_is_refused(
    arena: Arena, content: str, code: str
) -> None:
    assert code in await arena.agent.refused("apply_edit", content=content)
    assert arena.repo.read("train.py") == TRAIN


async def test_77_stale_base_sha(arena: Arena) -> None:
    stale = digest_of(arena.repo.path / "prepare.py")
    edits = [{"old": "mx.random.seed(42)", "new": "mx.random.seed(1)"}]
    refusal = await arena.agent.refused("apply_edit", edits=edits, expected_sha256=stale)

    assert "edit.stale" in refusal
    assert arena.repo.read("train.py") == TRAIN


async def start(arena: Arena, pause: float) -> tuple[int, Path]:
    """Start a trial that ends once a file is there; return its number and that file.

    Args:
        arena: Where.
        pause: Seconds; another figure makes another candidate.
    """
    waiting = f"""
    while not (Path(os.environ["TMPDIR"]) / "go").exists(): time.sleep({pause})
    """
    await arena.agent("apply_edit", content=attacking(waiting, {}))
    started = await arena.agent("run_trial", hypothesis="wait", wait_s=0)
    number = started["trial_id"]
    await until(lambda: bool(runs_of(arena, number)))
    return number, Path(runs_of(arena, number)[0].directory) / "tmp" / "go"


def runs_of(arena: Arena, number: int) -> tuple[Run, ...]:
    record = arena.repo.ledger.trial(number)
    return record.runs if record else ()


async def test_78_two_clients_run(arena: Arena) -> None:
    before = arena.look()
    async with arena.join() as other:
        number, go = await start(arena, 0.05)
        busy = await other.refused("run_trial", hypothesis="me too")
        edit = await other.refused("apply_edit", content="print('mine')\n")
        go.touch()
        seen = await other("wait_trial", trial_id=number, wait_s=60)
        trial = await arena.agent("wait_trial", trial_id=number, wait_s=60)
    strike = await arena.rest(trial, *before)

    assert f"trial {number} is going on" in busy
    assert "session.busy" in edit
    assert seen["verdict"] == trial["verdict"]
    assert strike.changed == set()


async def test_79_user_edits_mid_trial(arena: Arena) -> None:
    mine = TRAIN + "# the user's next idea\n"
    number, go = await start(arena, 0.06)
    arena.repo.write("train.py", mine)
    go.touch()
    trial = await arena.agent("wait_trial", trial_id=number, wait_s=60)
    applied = await arena.agent("commit_or_revert", trial_id=number)
    present = arena.repo.read("train.py")
    arena.repo.write("train.py", TRAIN)

    assert trial["outcome"]["kind"] == "measured"
    assert present == mine
    assert any("adopt=true" in note for note in applied["notes"])


async def test_80_branch_moved_mid_trial(arena: Arena) -> None:
    number, go = await start(arena, 0.07)
    base = arena.repo.git("rev-parse", "HEAD")
    arena.repo.git("commit", "--allow-empty", "--quiet", "--message", "somebody else's")
    moved = arena.repo.git("rev-parse", "HEAD")
    go.touch()
    await arena.agent("wait_trial", trial_id=number, wait_s=60)
    fault = await arena.agent.faulted("commit_or_revert", trial_id=number)
    after = arena.repo.git("rev-parse", "HEAD")
    candidate = arena.repo.git("rev-parse", f"refs/autoresearch/trials/{number}")
    arena.repo.git("update-ref", "HEAD", base)
    await arena.agent("commit_or_revert", trial_id=number)

    assert "somebody" in fault
    assert after == moved
    assert arena.repo.git("cat-file", "-t", candidate) == "commit"
