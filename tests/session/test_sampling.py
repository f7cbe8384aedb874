"""Repeats of one candidate, as the protocol's `measurement.sampling` has them."""

from typing import Any

import pytest

from autoresearch_mcp.core.events import Decided
from autoresearch_mcp.core.trial import Role
from autoresearch_mcp.session import court
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Options, Rooms

from .conftest import TRAIN, Connect, RecipeRepo

pytestmark = pytest.mark.anyio

LISTED = "import os\nVALUES = [2.0, 2.0, 2.6]\n" + TRAIN.replace(
    "VALUE = 2.0\n", "VALUE = VALUES[(int(os.environ['ARAH_TRIAL_SEED']) - 1) % len(VALUES)]\n"
)
"""The n-th run of any code, whose seed is n, prints the n-th of its VALUES."""


@pytest.fixture
def sampled(recipe: RecipeRepo) -> Any:
    """Write a recipe of listed values whose protocol samples so."""

    def write(**sampling: Any) -> None:
        recipe.write("train.py", LISTED)
        recipe.edit_protocol(lambda p: p["measurement"].update(sampling=sampling))

    return write


def kinds(recipe: RecipeRepo, trial: int, role: Role = Role.CANDIDATE) -> list[tuple[int, str]]:
    """Return seed and kind of a trial's ended runs."""
    runs = recipe.ledger.get(trial).runs
    return [(r.seed, r.outcome.kind) for r in runs if r.role is role and r.outcome]


async def test_warm_ups_come_first_for_each_code_and_are_no_evidence(
    sampled: Any, connect: Connect, recipe: RecipeRepo
) -> None:
    sampled(warmupTrials=2, measuredTrials=3, aggregator="mean")
    async with connect() as agent:
        baseline = await agent.trial("baseline")
        await agent.edit("[2.0, 2.0, 2.6]", "[1.0, 1.0, 1.6]")
        better = await agent.trial("better")
        await agent("commit_or_revert", trial_id=2)

    measured = [(1, "measured"), (2, "measured"), (3, "measured")]
    assert kinds(recipe, 1) == [(1, "warm_up"), (1, "warm_up"), *measured]
    assert kinds(recipe, 2) == [(1, "warm_up"), (1, "warm_up"), *measured]
    assert kinds(recipe, 2, Role.INCUMBENT) == []
    first = recipe.ledger.get(1).runs[0]
    assert first.why == "warm-up 1 of 2, which does not count"
    assert first.outcome is not None
    assert first.outcome.value is None
    assert first.outcome.reason == "warm-up, which does not count: val_bpb 2.000000"
    assert "mean of 3 runs" in baseline["outcome"]["reason"]
    assert baseline["outcome"]["value"] == pytest.approx(2.2)
    assert better["verdict"]["status"] == "keep"
    assert (better["verdict"]["runs"], better["verdict"]["incumbent_runs"]) == (3, 3)


async def test_a_warm_up_that_crashes_has_crashed(
    sampled: Any, connect: Connect, recipe: RecipeRepo
) -> None:
    sampled(warmupTrials=2, measuredTrials=2)
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("[2.0, 2.0, 2.6]", "[1 / 0]")
        trial = await agent.trial("nothing")

    assert kinds(recipe, 2) == [(1, "crash")]
    assert trial["outcome"]["kind"] == "crash"
    assert trial["verdict"]["status"] == "discard"


async def test_a_limit_that_passes_during_warm_ups_leaves_nothing_to_judge(
    sampled: Any, connect: Connect, recipe: RecipeRepo
) -> None:
    sampled(warmupTrials=1, measuredTrials=1, aggregator="mean")
    recipe.edit_protocol(lambda p: p.setdefault("miningLoop", {}).update(maxSessionWallSeconds=20))
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("import os", "import os, time; time.sleep(20)")
        trial = await agent.trial("slow")

    assert kinds(recipe, 2) == [(1, "warm_up")]
    assert trial["outcome"]["kind"] == "interrupted"
    assert "time was up before a run that counts" in trial["outcome"]["reason"]
    assert trial["verdict"]["status"] == "inconclusive"
    assert "this research run is over" in trial["next_step"]


@pytest.mark.parametrize(
    ("aggregator", "shown"), [("median", 1.9), ("mean", 1.6), ("min", 0.9), ("max", 2.0)]
)
async def test_the_aggregator_says_what_is_shown_and_means_are_what_is_compared(
    sampled: Any, connect: Connect, recipe: RecipeRepo, aggregator: str, shown: float
) -> None:
    sampled(warmupTrials=0, measuredTrials=3, aggregator=aggregator)
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("[2.0, 2.0, 2.6]", "[1.9, 2.0, 0.9]")
        trial = await agent.trial("better by its mean")
        await agent("commit_or_revert", trial_id=2)
        listed = (await agent("get_metrics"))["trials"][-1]

    assert trial["outcome"]["value"] == pytest.approx(shown)
    assert f"{aggregator} of 3 runs" in trial["outcome"]["reason"]
    assert ("whose mean is 1.600000" in trial["outcome"]["reason"]) == (aggregator != "mean")
    assert listed["value"] == pytest.approx(shown)
    assert recipe.log_rows()[1][1] == f"{shown:.6f}"
    assert trial["verdict"]["gain"] == pytest.approx(0.6)
    assert trial["verdict"]["reason"].startswith("1.600000 against 2.200000")


async def test_what_spreads_wider_than_the_protocol_allows_is_not_kept(
    sampled: Any, connect: Connect, recipe: RecipeRepo
) -> None:
    sampled(warmupTrials=0, measuredTrials=2, maxRelativeStdDev=0.05)
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("[2.0, 2.0, 2.6]", "[1.0, 1.5]")
        wide = await agent.trial("better, now and then")
        await agent("commit_or_revert", trial_id=2)
        await agent.edit("[2.0, 2.0, 2.6]", "[1.5, 1.6]")
        narrow = await agent.trial("better each time")

    assert wide["verdict"]["status"] == "inconclusive"
    assert wide["verdict"]["reason"] == (
        "1.250000 against 2.000000: better by 0.750000; not kept: its runs spread by 28.3 % of "
        "their mean, and the protocol allows 5 % at most (maxRelativeStdDev)"
    )
    assert recipe.log_rows()[1][3] == "inconclusive"
    assert narrow["verdict"]["status"] == "keep"


async def test_a_replay_gives_the_same_verdicts_byte_for_byte(
    sampled: Any, connect: Connect, recipe: RecipeRepo
) -> None:
    sampled(warmupTrials=1, measuredTrials=2, aggregator="max", maxRelativeStdDev=0.05)
    async with connect() as agent:
        await agent.trial("baseline")
        for values in ("[1.0, 1.5]", "[1.5, 1.6]", "[3.0]"):
            await agent("apply_edit", content=LISTED.replace("[2.0, 2.0, 2.6]", values))
            trial = await agent.trial(values)
            await agent("commit_or_revert", trial_id=trial["trial_id"])
    rooms = Rooms.open(recipe.path, Options(preset="single"))

    rooms.ledger.verify()
    decided = [event for _, event in rooms.ledger.events() if isinstance(event, Decided)]
    statuses = [event.verdict.status for event in decided]
    assert statuses == ["keep", "inconclusive", "keep", "discard"]
    for event in decided:
        docket = court.Docket.read(rooms.ledger, event.trial)
        protocol = recipe_of(rooms, docket.trial.research).protocol
        rule = court.rule_of(protocol, rooms.options, rankable=True)
        again = court.verdict_on(docket, rule, rankable=True)
        assert again.model_dump_json() == event.model_dump_json()
