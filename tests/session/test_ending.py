"""However a client ends the server, it ends at once, and the trial does what --on-exit says."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.effects import processes

from .conftest import RecipeRepo, until
from .test_interference import SLOW

pytestmark = pytest.mark.anyio

Process = subprocess.Popen[bytes]


def by_signal(number: signal.Signals) -> Callable[[Process], None]:
    return lambda process: process.send_signal(number)


def by_closing(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()


ENDS = {
    "SIGINT": (by_signal(signal.SIGINT), -signal.SIGINT),
    "SIGTERM": (by_signal(signal.SIGTERM), -signal.SIGTERM),
    "stdin closed": (by_closing, 0),
}


def send(process: Process, method: str, number: int | None = None, **params: Any) -> None:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    assert process.stdin is not None
    process.stdin.write(json.dumps(message | ({"id": number} if number else {})).encode() + b"\n")
    process.stdin.flush()


def serve(recipe: RecipeRepo, bare_python: Path, on_exit: str) -> Process:
    """Start a server and a call that would last an hour."""
    options = ["--repo", str(recipe.path), "--python", str(bare_python), "--on-exit", on_exit]
    process = subprocess.Popen(
        [sys.executable, "-m", "autoresearch_mcp", "serve", *options],
        env=dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    me = {"name": "test", "version": "1"}
    version = "2025-11-25"
    send(process, "initialize", 1, protocolVersion=version, capabilities={}, clientInfo=me)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["id"] == 1
    send(process, "notifications/initialized")
    arguments = {"hypothesis": "baseline", "wait_s": 3600}
    send(process, "tools/call", 2, name="run_trial", arguments=arguments)
    return process


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("on_exit", ["keep", "kill"])
async def test_the_server_ends_and_its_trial_does_as_it_was_told(
    recipe: RecipeRepo, bare_python: Path, end: str, on_exit: str
) -> None:
    recipe.write("train.py", SLOW)
    recipe.commit_all("A recipe that never ends")
    stop, code = ENDS[end]
    with serve(recipe, bare_python, on_exit) as process:
        await until(lambda: bool(recipe.ledger.last_trial() and recipe.ledger.get(1).runs))
        stop(process)
        assert process.wait(10) == code
    owner = recipe.ledger.get(1).process
    assert owner is not None
    if on_exit == "kill":
        await until(lambda: not processes.is_alive(owner))
    else:
        assert processes.is_alive(owner)
        processes.terminate(owner)
        await until(lambda: not processes.is_alive(owner))
    assert recipe.ledger.verify() > 0
