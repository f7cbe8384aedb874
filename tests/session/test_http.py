"""The door over HTTP: who gets in, and what they get."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from .conftest import Agent, RecipeRepo

pytestmark = pytest.mark.anyio

PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


@dataclass(frozen=True)
class Door:
    url: str
    token_file: Path
    process: "subprocess.Popen[str]"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}

    def post(self, content: bytes = PING, headers: Mapping[str, str] | None = None) -> int:
        """Send a request and return the status of the answer."""
        sent = {**ACCEPT, **self.headers, **(headers or {})}
        return httpx2.post(self.url, headers=sent, content=content).status_code


@asynccontextmanager
async def agent_at(door: Door, mode: str = "auto") -> AsyncGenerator[Agent]:
    async with (
        httpx2.AsyncClient(headers=door.headers, timeout=60) as web,
        Client(streamable_http_client(door.url, http_client=web), mode=mode) as client,
    ):
        yield Agent(client)


Serve = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def serve(recipe: RecipeRepo, bare_python: Path) -> Serve:
    def start(*options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "autoresearch_mcp", "serve", "--http", "--port", "0"]
        command += ["--evidence", "single"]
        rest = ["--repo", str(recipe.path), "--python", str(bare_python), *options]
        return subprocess.Popen(
            [*command, *rest], env=dict(os.environ), stderr=subprocess.PIPE, text=True
        )

    return start


@contextmanager
def opened(process: "subprocess.Popen[str]") -> Generator[Door]:
    with process:
        assert process.stderr is not None
        said = re.match(r"serving (\S+); .*\$\(cat (.*)\)\n", process.stderr.readline())
        assert said is not None
        try:
            yield Door(said[1], Path(said[2]), process)
        finally:
            process.kill()


@pytest.fixture
def door(serve: Serve) -> Generator[Door]:
    with opened(serve()) as found:
        yield found


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_loop_works_over_http_in_both_eras(door: Door, mode: str) -> None:
    async with agent_at(door, mode) as agent:
        baseline = await agent.trial("baseline")
        kept = await agent.try_value("1.5")

    assert baseline["outcome"]["value"] == 2.0
    assert kept["verdict"]["status"] == "keep"


def test_the_token_is_a_file_of_its_owner(door: Door) -> None:
    assert stat.S_IMODE(door.token_file.stat().st_mode) == 0o600
    assert len(door.token_file.read_text().strip()) >= 43


def test_without_the_token_nobody_gets_in(door: Door) -> None:
    assert door.post(headers={"Authorization": ""}) == 401
    assert door.post(headers={"Authorization": "Bearer guess"}) == 401
    assert door.post(headers={"Authorization": door.headers["Authorization"] + "x"}) == 401


def test_another_host_or_origin_is_turned_away(door: Door) -> None:
    port = door.url.rsplit(":", 1)[1].partition("/")[0]
    assert door.post(headers={"Host": "evil.example"}) == 421
    assert door.post(headers={"Host": f"127.0.0.1:{int(port) + 1}"}) == 421
    assert door.post(headers={"Origin": "http://evil.example"}) == 403
    assert door.post(headers={"Origin": "null"}) == 403


def test_a_body_of_another_kind_or_size_is_turned_away(door: Door) -> None:
    assert door.post(headers={"Content-Type": "text/plain"}) in {400, 415}
    assert door.post(b"x" * (600 * 1024)) == 413


def test_no_other_page_may_read_an_answer(door: Door) -> None:
    answer = httpx2.options(door.url, headers={**door.headers, "Origin": "http://127.0.0.1:1"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("host", "named"),
    [("0.0.0.0", "every address"), ("192.0.2.1", "--public"), ("example.org", "not an IP")],  # noqa: S104
)
def test_a_public_address_is_refused(serve: Serve, host: str, named: str) -> None:
    with serve("--host", host) as process:
        assert process.stderr is not None
        said = process.stderr.read()

    assert process.returncode == 3
    assert named in said
    assert said.count("\n") == 1


def test_a_token_that_others_may_read_is_refused(serve: Serve, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x" * 43)
    token.chmod(0o644)
    with serve("--token-file", str(token)) as process:
        assert process.stderr is not None
        said = process.stderr.read()

    assert process.returncode == 3
    assert "chmod 600" in said


async def test_a_watcher_sees_everything_and_changes_nothing(
    serve: Serve, recipe: RecipeRepo
) -> None:
    with opened(serve("--read-only")) as door:
        async with agent_at(door) as agent:
            tools = (await agent.client.list_tools()).tools
            state = await agent("recall_research")
            denied = await agent.client.call_tool("run_trial", {"hypothesis": "baseline"})

    assert {tool.name for tool in tools} == {"read_recipe", "get_metrics", "recall_research"}
    assert state["trials"] == 0
    assert denied.is_error
    assert not recipe.state.joinpath("ledger.sqlite").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server(door: Door, number: signal.Signals) -> None:
    door.process.send_signal(number)

    assert door.process.wait(10) == -number
