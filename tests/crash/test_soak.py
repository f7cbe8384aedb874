"""Thousands of trials in one server, which neither grows nor leaves anything.

The short form has 30 trials, the long one 10,000.
"""

from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.driving import Agent, server_of, until

from .conftest import Lab, source

pytestmark = pytest.mark.anyio

_MOST_GROWTH = 0.05
_MOST_GROWTH_AT_FIRST = 0.15
"""In the short form: for some dozens of trials a server's caches and its allocator fill up."""


@dataclass(frozen=True)
class Footprint:
    """What a server takes of its machine while it waits.

    Args:
        memory: Bytes that are its own alone.
        files: Open descriptors.
        threads: Threads.
    """

    memory: int
    files: int
    threads: int

    @classmethod
    def of(cls, server: psutil.Process) -> "Footprint":
        memory = server.memory_full_info().uss
        return cls(memory, server.num_fds(), server.num_threads())


async def test_a_server_neither_grows_nor_leaves_anything_in_a_long_night(
    measured: Lab, tmp_path: Path, full: bool
) -> None:
    lab = measured.copy(tmp_path / "lab")
    warm, whole = (1000, 10_000) if full else (10, 30)
    async with lab.serve() as agent:
        server = server_of(lab.folder)
        for number in range(warm):
            await turn(agent, number)
        before = await at_rest(lab, server)
        for number in range(warm, whole):
            await turn(agent, number)
        after = await at_rest(lab, server)
    print(f"after {warm} trials {before}, after {whole} {after}")  # noqa: T201 - the figures

    lab.check()
    assert len(lab.trials()) == 1 + whole
    growth = _MOST_GROWTH if full else _MOST_GROWTH_AT_FIRST
    assert after.memory < before.memory * (1 + growth)
    assert after.files <= before.files
    # Idle workers come and go; a leak shows in every trial.
    assert after.threads - before.threads < (whole - warm) / 10


async def at_rest(lab: Lab, server: psutil.Process) -> Footprint:
    """Return what the server takes once nothing that it started goes on, or stays as a zombie."""
    await lab.at_rest()
    await until(lambda: not server.children())
    return Footprint.of(server)


async def turn(agent: Agent, number: int) -> None:
    """Try one idea: one in ten is better, one in ten crashes, the others are worse."""
    value = {0: f"1.9 - {number} / 1e6", 5: f"1 / 0 + {number}"}.get(
        number % 10, f"2.5 + {number} / 1e6"
    )
    await agent("apply_edit", content=source(value))
    trial = await agent("run_trial", hypothesis=f"idea {number}", wait_s=60)
    await agent("commit_or_revert", trial_id=trial["trial_id"])
