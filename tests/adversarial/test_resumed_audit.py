"""A death in the middle of an audit: another process goes on with it, by the same rules."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import anyio
import psutil
import pytest

from autoresearch_mcp.effects.sealing import PROVER
from tests.driving import processes_below, until, words

from .arena import Arena, Strike
from .cases import Seen
from .conftest import Builder
from .test_audit import IN_ITS_AUDIT, begin, peeking_at
from .test_models import wrapped
from .variants import FEW, SOME, brief

pytestmark = pytest.mark.anyio

STEPS = {"audit_started", "audited", "decided"}
TWICE = ["audit_started", "audit_started", "audited", "decided"]
UNFIT_IN_ITS_AUDIT = IN_ITS_AUDIT.format("self.inner(tokens)[:, :1]")
DIES_IN_ITS_AUDIT = IN_ITS_AUDIT.format("os._exit(9)")


def end(world: Arena, number: int, sign: signal.Signals) -> None:
    """Send a signal to the process of a trial, and wait until it is gone."""
    process = world.repo.ledger.get(number).process
    assert process is not None
    os.kill(process.pid, sign)
    psutil.wait_procs([p for p in processes_below(world.folder) if p.pid == process.pid])


async def ended(world: Arena, number: int) -> dict[str, object]:
    return await world.agent("wait_trial", trial_id=number, wait_s=60)


def steps(world: Arena) -> list[str]:
    """Return how the last trial went on from its first audit."""
    return [event.kind for _, event in world.repo.ledger.events() if event.kind in STEPS][-4:]


async def ends_while_audited(world: Arena, source: str, sign: signal.Signals) -> Strike:
    """End a trial's process in its audit, and see the trial through to its applied verdict."""
    before = world.look()
    number = await begin(world, source)
    end(world, number, sign)
    trial = await ended(world, number)

    assert steps(world) == TWICE
    strike = await world.rest(trial, *before)
    assert list((world.folder / "tmp").iterdir()) == []
    return strike


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "shut-down"])
async def test_an_audit_that_was_cut_short_is_made_again(
    fort: Arena, lab: Arena, sign: signal.Signals
) -> None:
    every = {signal.SIGKILL: 3, signal.SIGTERM: 4}[sign]
    cheat = await ends_while_audited(fort, peeking_at(f"places % {every} == 0"), sign)
    honest = await ends_while_audited(lab, f"# {sign}\nDUMMY_{sign} = 1\n" + brief(FEW), sign)

    Seen(outcome="tampered", names="of row").check(cheat)
    Seen().check(honest)
    assert honest.trial["outcome"]["trust"] == "audited"


async def test_a_command_that_was_told_nothing_goes_on_by_the_servers_options(lab: Arena) -> None:
    """The server audits all; a command knows of no such option, and finds the trial dead."""
    before = lab.look()
    number = await begin(lab, "BY_ANOTHER = 1\n" + brief(FEW))
    end(lab, number, signal.SIGKILL)
    command = [sys.executable, "-m", "autoresearch_mcp", "finish", "--repo", str(lab.repo.path)]
    done = await anyio.run_process(command, env=lab.environment, check=False)
    trial = await ended(lab, number)

    assert done.returncode == 3, done
    assert f"trial {number}".encode() in done.stderr
    assert steps(lab) == TWICE
    assert (await lab.rest(trial, *before)).trial["outcome"]["trust"] == "audited"


async def test_nobody_is_blamed_whose_world_has_changed_meanwhile(lab: Arena) -> None:
    """Another data set is the newest when the audit is gone on with: nothing can be compared."""
    before = lab.look()
    number = await begin(lab, "IN_ANOTHER_WORLD = 1\n" + brief(FEW))
    end(lab, number, signal.SIGKILL)
    (data,) = (lab.folder / "data").glob("*/manifest.json")
    other = shutil.copytree(data.parent, lab.folder / "data" / "another") / "manifest.json"
    manifest = json.loads(data.read_text())
    other.write_text(json.dumps({**manifest, "data_id": "another", "created_at": "9999"}))
    trial = await ended(lab, number)
    shutil.rmtree(other.parent)

    strike = await lab.rest(trial, *before)
    Seen(outcome="interrupted", names="the setting changed").check(strike)


async def test_a_prover_that_the_machine_ended_is_asked_once_more(lab: Arena) -> None:
    before = lab.look()
    number = await begin(lab, "SHORT_OF_MEMORY = 1\n" + brief(FEW))
    (prover,) = await provers(lab)
    prover.kill()

    strike = await lab.rest(await ended(lab, number), *before)
    Seen().check(strike)
    assert strike.trial["outcome"]["trust"] == "audited"


async def provers(world: Arena) -> list[psutil.Process]:
    """Return the provers that load their model or have done so, once there are some."""
    found: list[psutil.Process] = []

    def some() -> bool:
        found[:] = [
            one
            for one in processes_below(world.folder)
            if any(Path(word).name == PROVER for word in words(one)) and has_begun(one)
        ]
        return bool(found)

    await until(some)
    return found


def has_begun(prover: psutil.Process) -> bool:
    """Tell whether code of the recipe's is running there: until then it is ours to start it."""
    try:
        return any("libmlx" in area.path for area in prover.memory_maps())
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("answers", [DIES_IN_ITS_AUDIT, UNFIT_IN_ITS_AUDIT])
async def test_a_baseline_that_cannot_be_asked_is_no_baseline(build: Builder, answers: str) -> None:
    """All others are held to it: research does not go on without audits because of that."""
    told = pytest.RaisesExc(AssertionError, match="the baseline could not be audited")
    with pytest.RaisesGroup(told, flatten_subgroups=True):
        async with build(baseline=brief(SOME, wrapped(answers))):
            pass
