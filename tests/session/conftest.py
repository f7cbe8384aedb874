"""A recipe that trains in no time, and an agent that drives the real server over stdio."""

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import TextContent

TRAIN = """\
VALUE = 2.0
NOISE = 0

print("step 00001 (50.0%) | loss: 3.000000 | remaining: 1s", flush=True)
print("---")
print(f"val_bpb:          {VALUE:.6f}")
print("peak_vram_mb:     1024.0")
print("num_steps:        10")
"""
PREPARE = "EVAL_TOKENS = 4096\n"
HEADER = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
TOP = Path(__file__).parents[2]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the person who runs the tests: an empty home, no git variables."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "XDG_", "AUTORESEARCH_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    # pytest's own folder is long; a run's directory belongs in a place of its own.
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return folder


@dataclass(frozen=True)
class RecipeRepo:
    """A git repository with a recipe, seen as its owner sees it."""

    path: Path

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.path / name).read_text()

    def log_rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.read("results.tsv").splitlines()[1:]]

    def commit_all(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def edit_protocol(self, change: Callable[[dict[str, Any]], None]) -> None:
        document = json.loads(self.read("protocol.json"))
        change(document)
        self.write("protocol.json", json.dumps(document, indent=2))
        self.commit_all("Change the protocol")


@pytest.fixture
def recipe(tmp_path: Path, home: Path) -> RecipeRepo:
    """The box's own protocol over a train.py that takes no time and prints its VALUE."""
    assert home.exists()
    folder = tmp_path / "recipe"
    folder.mkdir()
    repo = RecipeRepo(folder)
    repo.git("init", "--quiet", "--initial-branch=main")
    repo.git("config", "user.name", "Ada Example")
    repo.git("config", "user.email", "ada@example.org")
    shutil.copy(TOP / "protocol.json", folder)
    repo.write("train.py", TRAIN)
    repo.write("prepare.py", PREPARE)
    repo.write("results.tsv", HEADER)
    repo.write("notes.txt", "mine\n")
    repo.write(".gitignore", ".autoresearch/\n")
    repo.commit_all("Recipe")
    return repo


async def until(condition: Callable[[], bool]) -> None:
    """Wait, for half a minute at most, for something that offers no event to wait on."""
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - files and processes send no event
            await anyio.sleep(0.02)


class Agent:
    """A client that reads what an agent reads: structured content, or the error's text."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        assert len(json.dumps(result.structured_content)) < 8192
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Return the words of the refusal, which must be one."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        (content,) = result.content
        assert isinstance(content, TextContent)
        assert "Traceback" not in content.text
        return content.text

    async def faulted(self, tool: str, **arguments: Any) -> str:
        """Return what a person is told to mend."""
        with pytest.raises(MCPError) as caught:
            await self.client.call_tool(tool, arguments)
        return caught.value.error.message

    async def edit(self, old: str, new: str) -> dict[str, Any]:
        return await self("apply_edit", edits=[{"old": old, "new": new}])

    async def trial(self, hypothesis: str = "it helps") -> dict[str, Any]:
        """Run a trial to its verdict."""
        return await self("run_trial", hypothesis=hypothesis, wait_s=60)

    async def try_value(self, value: str, old: str = "VALUE = 2.0") -> dict[str, Any]:
        """Edit, run and apply: one turn of the loop. Returns the trial."""
        await self.edit(old, f"VALUE = {value}")
        trial = await self.trial(f"value {value}")
        await self("commit_or_revert", trial_id=trial["trial_id"])
        return trial


Connect = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without any package: starts fast, and proves that a run needs no server."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


@pytest.fixture
def connect(recipe: RecipeRepo, bare_python: Path) -> Connect:
    """Start the real server on the recipe, as a client does, and return its agent."""

    @asynccontextmanager
    async def start(mode: str = "auto") -> AsyncGenerator[Agent]:
        options = ("--repo", str(recipe.path), "--python", str(bare_python))
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "autoresearch_mcp", "serve", *options],
            env=dict(os.environ),
        )
        async with Client(server, mode=mode) as client:
            yield Agent(client)

    return start
