"""However wrong the calls: every one gets an answer, nothing crashes, nothing else is written."""

import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from .conftest import RecipeRepo
from .fuzzing import Fuzzer

_BATCH = 40
_TURN = 4000
"""Calls after which a verdict is carried out whose trial's number the fuzzer may never think of."""
_SECONDS_A_CALL = 0.1
"""What the slowest machine needs on average; far beyond it, a call was never answered."""
_LOGS = {"log", "log_tail"}
_CRASH = re.compile(r'"Error executing tool [^":]*"')
"""What the SDK says of an exception that nobody expected, and nothing more."""


class Wire:
    """A server's standard streams, line by line."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[bytes] = process.stdin
        self._out: IO[bytes] = process.stdout
        self.process = process
        self.awaited: set[int] = set()

    def send(self, data: bytes) -> None:
        self._in.write(data)
        self._in.flush()

    def until(self, most: int) -> None:
        """Read until at most so many requests are without their answer."""
        while len(self.awaited) > most:
            line = self._out.readline()
            assert line, f"the server ended with {self.awaited} unanswered"
            answer = json.loads(line)
            if "id" in answer and isinstance(answer["id"], int):
                self.awaited.discard(answer["id"])
                self.check(answer)

    def check(self, answer: dict[str, Any]) -> None:
        said = json.dumps(own_words(answer), ensure_ascii=False)
        assert "Traceback" not in said, said[:2000]
        assert not _CRASH.search(said), said[:2000]
        assert answer.get("error", {}).get("code") != -32603, said[:2000]
        told = answer.get("result", {}).get("structuredContent", "")
        # In bytes, as they travel.
        assert len(json.dumps(told, ensure_ascii=False).encode()) < 8192, said[:9000]

    def ask(self, number: int, method: str, **params: Any) -> dict[str, Any]:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.send(json.dumps(message).encode() + b"\n")
        while True:
            answer = json.loads(self._out.readline())
            if answer.get("id") == number:
                return answer


def move_on(wire: Wire, recipe: RecipeRepo) -> None:
    """Do what brings the research to its next trial, as a sane agent would."""
    wire.until(0)
    for trial in recipe.ledger.unfinished():
        tool = "wait_trial" if trial.undecided else "commit_or_revert"
        wire.ask(3, "tools/call", name=tool, arguments={"trial_id": trial.id})


def own_words(answer: dict[str, Any]) -> Any:
    """Return what the server itself says: a recipe's log may well have a traceback."""
    if "error" in answer:
        return answer["error"]
    result = answer.get("result", {})
    return without_logs(result.get("structuredContent") or (result if "isError" in result else {}))


def without_logs(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    return {name: without_logs(v) for name, v in fields.items() if name not in _LOGS}


@contextmanager
def serving(recipe: RecipeRepo, bare_python: Path, errors: Path, seconds: float) -> Generator[Wire]:
    options = ["--repo", str(recipe.path), "--python", str(bare_python), "--max-wait", "0.01"]
    command = [sys.executable, "-m", "autoresearch_mcp", "serve", *options, "--evidence", "single"]
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            command,
            env=dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        # A call that is never answered must fail the test, not hold it up for ever.
        watchdog = threading.Timer(seconds, process.kill)
        watchdog.daemon = True
        watchdog.start()
        wire = Wire(process)
        me = {"name": "fuzzer", "version": "1"}
        version = "2025-11-25"
        wire.ask(0, "initialize", protocolVersion=version, capabilities={}, clientInfo=me)
        wire.send(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        yield wire
        watchdog.cancel()


def fingerprint(recipe: RecipeRepo, home: Path) -> dict[str, bytes]:
    """Return all that no call may change: everything but the surface, the log and git's insides."""
    files = [p for p in recipe.path.rglob("*") if p.is_file() and ".git" not in p.parts]
    mine = [p for p in files if p.name not in {"train.py", "results.tsv"}]
    config = [recipe.path / ".git" / "config", *(recipe.path / ".git" / "hooks").rglob("*")]
    theirs = [p for p in home.rglob("*") if p.is_file() and ".local/state" not in str(p)]
    return {str(p): p.read_bytes() for p in (*mine, *config, *theirs)}


def test_fuzzed_calls_are_answered_and_write_nothing_else(
    recipe: RecipeRepo, bare_python: Path, home: Path, tmp_path: Path, full: bool
) -> None:
    count = 1_000_000 if full else 20_000
    seed = random.SystemRandom().randrange(2**32) if full else 1
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    errors = tmp_path / "stderr"
    with serving(recipe, bare_python, errors, 60 + count * _SECONDS_A_CALL) as wire:
        arguments = {"hypothesis": "baseline"}
        wire.ask(1, "tools/call", name="run_trial", arguments=arguments)
        while recipe.ledger.unfinished():
            wire.ask(2, "tools/call", name="wait_trial", arguments={"trial_id": 1})
        fuzzer = Fuzzer(seed, wire.ask(2, "tools/list")["result"]["tools"])
        before = fingerprint(recipe, home)
        for first in range(1000, 1000 + count, _BATCH):
            batch = list(fuzzer.messages(_BATCH, first))
            wire.awaited |= {number for number, _ in batch if number is not None}
            wire.send(b"".join(line for _, line in batch))
            wire.until(_BATCH)  # so that the server always has something to do
            if (first - 1000) % _TURN == 0:
                move_on(wire, recipe)
        wire.until(0)
        alive = wire.ask(3, "ping")
        trials = recipe.ledger.unfinished()
        for trial in trials:
            wire.ask(
                4 + trial.id, "tools/call", name="cancel_trial", arguments={"trial_id": trial.id}
            )
        wire.process.kill()

    assert alive["result"] == {}
    assert "Traceback" not in errors.read_text(errors="replace")
    assert fingerprint(recipe, home) == before
    assert recipe.ledger.verify() > 0
