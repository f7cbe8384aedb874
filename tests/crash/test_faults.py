"""A full disk or a broken one at every call of a turn: nothing is lost, and the loop goes on.

One turn is apply_edit, run_trial, commit_or_revert. In the server, in the trial's process and in
git, the n-th write, fsync, rename or git call fails, for n = 1, 2, 3 ... until a turn has no
n-th call any more; in the short form, some of them.
"""

import errno
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError

from tests.driving import Agent, clean_environment, serving

from .conftest import Lab
from .faults import KINDS, Faults, Kind, compiler, words

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(compiler() is None, reason="a C compiler on Linux makes the faults"),
]

MOST_CALLS = 12
"""Calls of tools that a turn takes at most, those that failed included."""
SHORT = 4
"""Calls of each kind that fail in the short form."""
MOST_MAPPED = 50
"""Those of them in the full form that only make room in memory which files share."""


@dataclass
class Bench:
    """A recipe whose turns can be made to fail.

    Args:
        lab: The recipe.
        faults: What fails.
        agent: The client of a server that faults can happen to.
        turns: How many turns were taken.
        told: What was said of failures, in the turn under way.
    """

    lab: Lab
    faults: Faults
    agent: Agent
    turns: int = 0
    told: list[str] = field(default_factory=list[str])

    async def turn(self) -> None:
        """Take a turn to its end, as an agent does that tries again once the fault is gone."""
        self.turns += 1
        self.told = []
        # Every other one is worse than the incumbent, so that both ends of a turn are met.
        value = 2.0 - self.turns / 1000 if self.turns % 2 else 3.0 + self.turns / 1000
        value = round(value, 6)  # as a run prints it: the ledger's number is to be the same one
        source = f'VALUE = {value}\nprint(f"val_bpb: {{VALUE:.6f}}")\n'
        for _ in range(MOST_CALLS):
            call = self.next_call(value, source)
            if call is None:
                return
            try:
                await call()
            except MCPError as error:
                self.told.append(error.error.message)
                self.faults.disarm()
        pytest.fail(f"the turn does not come to its end: {self.told}")

    def next_call(self, value: float, source: str) -> Callable[[], Coroutine[Any, Any, Any]] | None:
        """Return what is to be done next, as the ledger and the file stand; None at the end."""
        last = self.lab.trials()[-1]
        if last.undecided:
            return lambda: self.agent("wait_trial", trial_id=last.id, wait_s=60)
        if last.awaits_application:
            return lambda: self.agent("commit_or_revert", trial_id=last.id)
        assert last.outcome is not None
        if last.outcome.value == value:
            return None
        if last.outcome.kind == "interrupted":
            self.told.append(last.outcome.reason)
            self.faults.disarm()
        if self.lab.repo.read("train.py") != source:
            return lambda: self.agent("apply_edit", content=source)
        return lambda: self.agent("run_trial", hypothesis=f"turn {self.turns}", wait_s=60)


@asynccontextmanager
async def failing(lab: Lab, folder: Path) -> AsyncGenerator[Bench]:
    """Serve the recipe with faults that can be armed."""
    faults = Faults(folder, below=lab.folder)
    environment = {**clean_environment(), **lab.world.environment, **faults.environment}
    options = ("--python", str(lab.python), "--sandbox", "none")
    async with serving(lab.repo.path, *options, environment=environment) as agent:
        yield Bench(lab, faults, agent)


def chosen(kind: Kind, count: int, full: bool) -> list[tuple[int, int, bool]]:
    """Return which calls of a turn fail, how, and whether all that follow them fail too.

    In the full form every call fails once for good and once for a moment; in the short one some
    that are spread over the turn fail, in turns.
    """
    most = {"mapped": MOST_MAPPED}.get(kind, count) if full else SHORT
    places = sorted({1 + (count - 1) * place // max(1, most - 1) for place in range(most)})
    ways = ((errno.ENOSPC, True), (errno.EIO, False))
    if full:
        return [(nth, *way) for nth in places for way in ways]
    return [(nth, *ways[number % 2]) for number, nth in enumerate(places)]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_loop_survives_a_failure_of_any_call(
    measured: Lab,
    tmp_path_factory: pytest.TempPathFactory,
    kind: Kind,
    full: bool,
) -> None:
    folder = tmp_path_factory.mktemp("faults")
    async with failing(measured.copy(folder / "lab"), folder) as bench:
        await bench.turn()
        bench.faults.arm(kind, 0, 0, lasting=False)  # the 0th never comes: this turn is counted
        await bench.turn()
        count, met = bench.faults.calls()[kind], 0
        failures = chosen(kind, count, full)
        for nth, error, lasting in failures:
            bench.faults.arm(kind, nth, error, lasting=lasting)
            await bench.turn()
            bench.faults.disarm()
            met += bench.faults.fired > 0
            await check(bench, f"{kind} {nth} of {count}, {words(error)}")
        # How often a turn looks for the trial's end varies; the last calls may not be met.
        assert met >= len(failures) / 2
    print(f"{kind}: {count} calls in a turn, {met} of {len(failures)} failures met")  # noqa: T201


async def check(bench: Bench, what: str) -> None:
    """Nothing is lost, doubled or left, and what was told is clear."""
    assert not any("Traceback" in text for text in bench.told), (what, bench.told)
    await bench.lab.at_rest()
    try:
        bench.lab.check()
    except AssertionError as error:
        raise AssertionError(f"after {what}, told {bench.told}: {error}") from error
