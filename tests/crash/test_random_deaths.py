"""A night of trials through the real door, with servers and trials killed at any moment.

The short form ends after 20 trials, the long one after 1,000.
"""

import contextlib
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import MCPError

from autoresearch_mcp.core.trial import Phase
from tests.driving import Agent, server_of

from .conftest import Lab, source

pytestmark = pytest.mark.anyio

_SEED = 4
_LONGEST_LIFE_SECONDS = 4.0
_CLOSED = (MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError)


@dataclass
class Night:
    """A client that never gives up, and somebody who kills.

    Args:
        lab: Where it happens.
        wanted: How many trials there are to be.
    """

    lab: Lab
    wanted: int
    acknowledged: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    killed: dict[str, int] = field(default_factory=lambda: {"server": 0, "trial": 0})
    ideas: int = 0
    dice: random.Random = field(default_factory=lambda: random.Random(_SEED))

    async def pass_by(self) -> None:
        """Serve, and serve again, until there are enough trials."""
        while not self.is_over:
            # What the transport says of a server that was killed is no matter.
            with contextlib.suppress(*_CLOSED):
                async with self.lab.serve() as agent, anyio.create_task_group() as tasks:
                    server = server_of(self.lab.folder)
                    tasks.start_soon(self._kill_somebody, server)
                    await self._work(agent, server)
                    tasks.cancel_scope.cancel()

    @property
    def is_over(self) -> bool:
        """Tell whether enough trials have ended, and the last is carried out."""
        trials = self.lab.trials()
        return len(trials) >= self.wanted and trials[-1].phase is Phase.DONE

    async def _work(self, agent: Agent, server: psutil.Process) -> None:
        while server.is_running() and not self.is_over:
            with contextlib.suppress(*_CLOSED):
                await self._go_on(agent)

    async def _go_on(self, agent: Agent) -> None:
        """Do what is next, as the ledger has it."""
        last = self.lab.trials()[-1]
        if last.phase is Phase.DECIDED or last.phase is Phase.APPLYING:
            await agent("commit_or_revert", trial_id=last.id)
        elif last.phase is not Phase.DONE:
            self._note(await agent("wait_trial", trial_id=last.id, wait_s=60))
        else:
            self.ideas += 1
            await agent("apply_edit", content=self._idea(self.ideas))
            self._note(await agent("run_trial", hypothesis=f"idea {last.id}", wait_s=60))

    def _idea(self, number: int) -> str:
        """Return a candidate: a third is better, a third worse, a third crashes."""
        value = [f"1.9 - {number} / 1e6", f"2.5 + {number} / 1e6", f"1 / 0 + {number}"]
        return source(self.dice.choice(value))

    def _note(self, answer: dict[str, Any]) -> None:
        if answer["verdict"] is not None:
            self.acknowledged[answer["trial_id"]] = answer

    async def _kill_somebody(self, server: psutil.Process) -> None:
        while True:
            await anyio.sleep(self.dice.uniform(0, _LONGEST_LIFE_SECONDS))
            if self.dice.random() < 1 / 2:
                self.killed["server"] += 1
                server.kill()
                return
            process = self.lab.trials()[-1].process
            with contextlib.suppress(psutil.NoSuchProcess):
                if process and self.lab.trials()[-1].undecided:
                    psutil.Process(process.pid).kill()
                    self.killed["trial"] += 1


async def test_every_acknowledged_trial_has_exactly_one_row_whoever_is_killed(
    measured: Lab, tmp_path: Path, full: bool
) -> None:
    lab = measured.copy(tmp_path / "lab")
    night = Night(lab, 1000 if full else 20)
    await night.pass_by()
    await lab.at_rest()
    lab.check()

    trials = {trial.id: trial for trial in lab.trials()}
    for number, answer in night.acknowledged.items():
        verdict = trials[number].verdict
        assert verdict is not None
        assert answer["verdict"]["status"] == verdict.status
        assert answer["verdict"]["reason"] == verdict.reason
    print(  # noqa: T201 - the figures
        f"{len(trials)} trials, {len(night.acknowledged)} acknowledged, "
        f"killed: {night.killed['server']} servers, {night.killed['trial']} trials"
    )
