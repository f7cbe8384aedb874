"""What an agent and the owner of a recipe do: drive the real server, look at the repository."""

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import TextContent

from autoresearch_mcp.effects.ledger import Ledger

TOP = Path(__file__).parents[1]
"""The project, and the recipe in the box."""

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

_PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class RecipeRepo:
    """A git repository with a recipe, seen as its owner sees it."""

    path: Path

    @classmethod
    def create(cls, path: Path, files: Mapping[str, str]) -> "RecipeRepo":
        """Commit files to a new repository of Ada's."""
        path.mkdir()
        repo = cls(path)
        repo.git("init", "--quiet", "--initial-branch=main")
        repo.git("config", "user.name", "Ada Example")
        repo.git("config", "user.email", "ada@example.org")
        for name, text in files.items():
            repo.write(name, text)
        repo.commit_all("Recipe")
        return repo

    @classmethod
    def fast(cls, path: Path) -> "RecipeRepo":
        """Commit the box's own protocol over a train.py that takes no time and prints its VALUE."""
        files = {
            "protocol.json": (TOP / "protocol.json").read_text(),
            "train.py": TRAIN,
            "prepare.py": PREPARE,
            "results.tsv": HEADER,
            "notes.txt": "mine\n",
            ".gitignore": ".autoresearch/\n",
        }
        return cls.create(path, files)

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

    @property
    def state(self) -> Path:
        """The folder of ledger and logs."""
        return self.path / ".git" / "autoresearch"

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.state / "ledger.sqlite")

    def run_log(self, trial: int, run: int = 1) -> str:
        file = self.state / "trials" / str(trial) / f"run-{run}.log"
        return file.read_text(errors="replace") if file.exists() else ""


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
        """Run a trial to its verdict: on a GPU the first one compiles kernels for minutes."""
        trial = await self("run_trial", hypothesis=hypothesis, wait_s=60)
        while trial["verdict"] is None:
            trial = await self("wait_trial", trial_id=trial["trial_id"], wait_s=60)
        return trial

    async def try_value(self, value: str, old: str = "VALUE = 2.0") -> dict[str, Any]:
        """Edit, run and apply: one turn of the loop. Returns the trial."""
        await self.edit(old, f"VALUE = {value}")
        trial = await self.trial(f"value {value}")
        await self("commit_or_revert", trial_id=trial["trial_id"])
        return trial


Connect = Callable[..., AbstractAsyncContextManager[Agent]]


@asynccontextmanager
async def serving(
    repo: Path, *options: str, environment: Mapping[str, str], mode: str = "auto", **client: Any
) -> AsyncGenerator[Agent]:
    """Start the real server on a recipe, as a client does, and give its agent."""
    server = StdioServerParameters(
        command=sys.executable,
        # One run a trial; tests that are about evidence ask for more.
        args=[
            *("-m", "autoresearch_mcp", "serve", "--repo", str(repo), "--evidence", "single"),
            *options,
        ],
        env=dict(environment),
    )
    async with Client(server, mode=mode, **client) as connected:
        yield Agent(connected)


def clean_environment() -> dict[str, str]:
    """Return the environment without what a person's own set-up would change."""
    foreign = ("GIT_", "XDG_", "AUTORESEARCH_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


async def until(condition: Callable[[], bool], *, every: float = 0.02) -> None:
    """Wait, for half a minute at most, for something that offers no event to wait on."""
    with anyio.fail_after(_PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - files and processes send no event
            await anyio.sleep(every)


def wait_for(condition: Callable[[], bool], *, every: float = 0.02) -> None:
    """Wait as `until` does, where nothing else is to go on meanwhile."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(every)


def words(process: psutil.Process) -> list[str]:
    """Return the command line of a process, nothing of one that has ended."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def processes_below(folder: Path) -> list[psutil.Process]:
    """Return every process but servers that was started with, or for, something in a folder."""
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid()
        and "serve" not in words(process)
        and any(str(folder) in text for text in (*words(process), *_variables(process)))
    ]


def server_of(folder: Path) -> psutil.Process:
    """Return the one server whose recipe lies in a folder."""
    (server,) = (
        process
        for process in psutil.process_iter()
        if {"serve", "autoresearch_mcp"} <= set(words(process))
        and any(str(folder) in word for word in words(process))
    )
    return server


def _variables(process: psutil.Process) -> list[str]:
    try:
        # The servers' own children of git and the like share the tests' environment: what
        # tells a run apart is where it may put its files.
        return [value for name, value in process.environ().items() if name in {"TMPDIR", "HOME"}]
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return []
