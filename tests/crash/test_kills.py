"""Deaths at every point of a running trial: of the server, and of the trial's own process."""

import contextlib
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
import psutil
import pytest
from mcp import MCPError

from autoresearch_mcp.effects import locks
from tests.driving import Agent, server_of, until

from .conftest import Lab

pytestmark = pytest.mark.anyio

GATE = """\
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while not os.path.exists(os.environ["TMPDIR"] + "/gate"): time.sleep(0.01)
"""
CLOSED = (MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError)


def candidate(value: float, gate: str | None) -> str:
    """Return a train.py that prints a value, and waits at its start, middle or end."""
    waits = {place: GATE if place == gate else "" for place in ("start", "middle", "end")}
    return f"""\
VALUE = {value}
{waits["start"]}
print("step 00001 (50.0%) | loss: 3.000000 | remaining: 1s", flush=True)
{waits["middle"]}
print(f"val_bpb: {{VALUE:.6f}}", flush=True)
{waits["end"]}
"""


def values(full: bool) -> list[float]:
    """Return ever better values, one for each repetition."""
    return [round(1.9 - number / 100, 2) for number in range(20 if full else 2)]


def reached(lab: Lab, point: str, seen: int) -> bool:
    """Tell whether the trial that follows the first `seen` events has come to a point."""
    kinds = lab.kinds()[seen:]
    match point:
        case "output" | "metric":
            line = {"output": "step 00001", "metric": "val_bpb"}[point]
            return "run_started" in kinds and line in lab.log()
        case "tree" | "settings" | "log":
            if "run_started" not in kinds:
                return False
            written = lab.scratch("").parent
            return {
                "tree": written / "recipe" / "train.py",
                "settings": written / "run.json",
                "log": lab.repo.state / "trials" / str(lab.trials()[-1].id) / "run-1.log",
            }[point].exists()
        case _:
            return point in kinds


# The first four are reached while the run waits at its gate, so that the trial certainly goes on;
# at the others nothing waits, and the death comes as close behind as it can.
SERVER_POINTS = {
    **dict.fromkeys(("queued", "running", "run_started"), "start"),
    "output": "middle",
    **dict.fromkeys(("edited", "staged", "run_finished", "measured", "decided", "applying")),
}
"""Point at which the server dies -> where the run waits."""


@pytest.mark.parametrize("point", SERVER_POINTS)
async def test_a_trial_survives_the_death_of_its_server(lab: Lab, point: str, full: bool) -> None:
    for value in values(full):
        source = candidate(value, SERVER_POINTS[point])
        before = len(lab.trials())
        await kill_the_server(lab, point, source)
        async with lab.serve() as agent:
            if len(lab.trials()) == before:
                await stage_again(lab, agent, source)
            ended = await see_through(lab, agent, waits=SERVER_POINTS[point] is not None)
            if point == "staged" and ended["outcome"]["kind"] == "interrupted":
                await agent("run_trial", hypothesis="again", wait_s=0)
                ended = await see_through(lab, agent, waits=False)
            else:
                assert len(lab.trials()) == before + 1
            assert ended["outcome"]["value"] == value
            await lab.check()
        assert lab.repo.git("show", "HEAD:train.py").startswith(f"VALUE = {value}")


async def kill_the_server(lab: Lab, point: str, source: str) -> None:
    """Let a client take a turn, and kill its server once the ledger has come to a point."""
    seen = len(lab.kinds())
    with contextlib.suppress(MCPError):
        async with lab.serve() as agent, anyio.create_task_group() as tasks:
            server = server_of(lab.folder)
            tasks.start_soon(turn, agent, source)
            await until(lambda: reached(lab, point, seen), every=0.001)
            server.kill()


async def turn(agent: Agent, source: str) -> None:
    """Take one turn of the loop, as far as the server lives."""
    with contextlib.suppress(*CLOSED):
        await agent("apply_edit", content=source)
        trial = await agent("run_trial", hypothesis="a turn", wait_s=60)
        await agent("commit_or_revert", trial_id=trial["trial_id"])


async def stage_again(lab: Lab, agent: Agent, source: str) -> None:
    """Go on where only the edit's intent is recorded: the file is the old or the new one."""
    if lab.repo.read("train.py") != source:
        await agent("apply_edit", content=source)
    await agent("run_trial", hypothesis="a turn", wait_s=0)


async def see_through(lab: Lab, agent: Agent, *, waits: bool) -> dict[str, Any]:
    """Wait for the latest trial on another server, and apply its verdict."""
    number = lab.trials()[-1].id
    if waits:
        seen = await agent("wait_trial", trial_id=number, wait_s=0)
        assert seen["verdict"] is None
        await until(lambda: lab.run() is not None)
        lab.scratch("gate").touch()
    ended = await agent("wait_trial", trial_id=number, wait_s=60)
    if ended["status"] == "decided":
        await agent("commit_or_revert", trial_id=number)
    return ended


TRIAL_POINTS = {
    **dict.fromkeys(("queued", "running", "run_started", "tree", "settings", "log"), "start"),
    "output": "middle",
    **dict.fromkeys(("metric", "run_finished"), "end"),
    "cancel_requested": "start",
}
"""Point at which the trial's process dies -> where the run waits, so that it cannot get further."""


@pytest.mark.parametrize("point", TRIAL_POINTS)
async def test_a_trial_whose_process_dies_ends_once(lab: Lab, point: str, full: bool) -> None:
    async with lab.serve() as agent:
        for value in values(full):
            before = len(lab.trials())
            await agent("apply_edit", content=candidate(value, TRIAL_POINTS[point]))
            async with brought_to(lab, agent, point):
                process = lab.trials()[-1].process
                assert process is not None
                psutil.Process(process.pid).kill()
            ended = await agent("wait_trial", trial_id=before + 1, wait_s=60)
            cancelled = point == "cancel_requested"
            assert ended["outcome"]["kind"] == ("cancelled" if cancelled else "interrupted")
            if cancelled:
                await agent("commit_or_revert", trial_id=before + 1)
            assert len(lab.trials()) == before + 1
            await lab.check()


@asynccontextmanager
async def brought_to(lab: Lab, agent: Agent, point: str) -> AsyncGenerator[None]:
    """Start a trial and hold it at a point, by the very locks that it needs to go on."""
    seen = len(lab.kinds())
    async with anyio.create_task_group() as tasks:
        with ExitStack() as held:
            if point == "queued":
                held.enter_context(locks.hold(lab.lease))
            trial = await agent("run_trial", hypothesis="a trial", wait_s=0)
            if point == "run_finished":
                held.enter_context(locks.hold(lab.repo.state / "lock"))
                await until(lambda: reached(lab, "metric", seen))
                lab.scratch("gate").touch()
            if point == "cancel_requested":
                await until(lambda: reached(lab, "log", seen))
                tasks.start_soon(cancel, agent, trial["trial_id"])
            await until(lambda: reached(lab, point, seen), every=0.001)
            yield


async def cancel(agent: Agent, trial_id: int) -> None:
    await agent("cancel_trial", trial_id=trial_id)
