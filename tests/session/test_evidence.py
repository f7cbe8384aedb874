"""A change is kept on evidence: as many runs as it takes, and no lucky one."""

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.core.case import Action
from autoresearch_mcp.core.decision import judge
from autoresearch_mcp.core.events import Decided
from autoresearch_mcp.core.trial import Role
from autoresearch_mcp.session import court
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Options, Rooms

from .conftest import TRAIN, Agent, RecipeRepo, serving

pytestmark = pytest.mark.anyio

NOISY = TRAIN.replace(
    'print("step',
    'import random\nrandom.seed(42)\nVALUE += NOISE * random.gauss(0, 1)\nprint("step',
).replace("NOISE = 0\n", "NOISE = 0.01\n")
"""Its noise follows from the run's seed alone, which the server chooses: so do the verdicts."""

Research = Callable[..., AbstractAsyncContextManager[Agent]]


@pytest.fixture
def recipe(recipe: RecipeRepo) -> RecipeRepo:
    recipe.write("train.py", NOISY)
    recipe.commit_all("A recipe with noise")
    return recipe


@pytest.fixture
def research(recipe: RecipeRepo, bare_python: Path) -> Research:
    def start(evidence: str = "strict") -> AbstractAsyncContextManager[Agent]:
        options = ("--python", str(bare_python), "--evidence", evidence)
        return serving(recipe.path, *options, environment=dict(os.environ))

    return start


async def run(agent: Agent, hypothesis: str = "baseline", **said: bool) -> dict[str, Any]:
    """Run a trial to its verdict and carry that out."""
    trial = await agent("run_trial", hypothesis=hypothesis, wait_s=120, **said)
    if trial["status"] == "decided":
        await agent("commit_or_revert", trial_id=trial["trial_id"])
    return trial


async def try_value(agent: Agent, value: str, old: str = "2.0", **said: bool) -> dict[str, Any]:
    await agent.edit(f"VALUE = {old}", f"VALUE = {value}")
    return await run(agent, f"value {value}", **said)


def counted(recipe: RecipeRepo, trial: int, role: Role = Role.CANDIDATE) -> list[int]:
    """Return the seeds of a trial's runs that have a value: a busy machine may void others."""
    runs = recipe.ledger.get(trial).runs
    return [r.seed for r in runs if r.role is role and r.outcome and r.outcome.value is not None]


async def test_the_baseline_is_run_three_times_with_seeds_of_the_servers(
    research: Research, recipe: RecipeRepo
) -> None:
    async with research() as agent:
        trial = await run(agent)

    assert counted(recipe, 1) == [1, 2, 3]
    assert trial["verdict"]["runs"] == 3
    assert "mean of 3 runs" in trial["outcome"]["reason"]
    reasons = {r.why for r in recipe.ledger.get(1).runs}
    assert reasons == {f"run {n} of 3 of the baseline" for n in (1, 2, 3)}


async def test_a_clear_winner_is_run_until_the_evidence_is_20_to_1_and_then_kept(
    research: Research, recipe: RecipeRepo
) -> None:
    async with research() as agent:
        await run(agent)
        trial = await try_value(agent, "1.8")
        page = await agent("get_metrics", trial_id=2, log_lines=20)

    verdict = trial["verdict"]
    assert verdict["status"] == "keep"
    assert verdict["runs"] == len(counted(recipe, 2)) > 1
    assert verdict["gain"] == pytest.approx(0.2, abs=0.02)
    assert verdict["gain_in_noise"] == pytest.approx(verdict["gain"] / verdict["noise"], rel=0.01)
    assert verdict["evidence"].endswith(":1 for")
    assert "x noise, evidence" in verdict["reason"]
    assert "VALUE = 1.8" in recipe.git("show", "HEAD:train.py")
    own = [run.number for run in recipe.ledger.get(2).runs if run.role is Role.CANDIDATE]
    assert page["log_of"] == f"trial 2, run {own[-1]}"
    assert "val_bpb:          1.8" in page["log"] or "val_bpb:          1.7" in page["log"]
    later = recipe.ledger.get(2).runs[-1].why
    assert later.startswith("run 1 of at most 12, evidence ")
    assert later.endswith(" for, running the candidate once more")


async def test_a_clear_loser_is_dropped_after_one_run(
    research: Research, recipe: RecipeRepo
) -> None:
    async with research() as agent:
        await run(agent)
        trial = await try_value(agent, "2.2")

    assert trial["verdict"]["status"] == "discard"
    assert trial["verdict"]["evidence"].endswith("against")
    assert counted(recipe, 2) == [1]
    assert recipe.read("train.py") == NOISY


async def test_a_lucky_value_is_no_gain(research: Research, recipe: RecipeRepo) -> None:
    """Under `single` about half of such edits are kept."""
    async with research() as agent:
        await run(agent)
        for number in range(5):
            await agent.edit("NOISE = 0.01", f"NOISE = 0.01\nUNUSED = {number}")
            trial = await run(agent, f"unused {number}")
            assert trial["verdict"]["status"] != "keep"

    assert recipe.git("rev-parse", "HEAD") == recipe.git("rev-parse", "main")


async def test_a_race_is_inconclusive_when_the_research_runs_time_is_up(
    research: Research, recipe: RecipeRepo
) -> None:
    async with research() as agent:
        await run(agent)
        await try_value(agent, "1.8")

    rooms = Rooms.open(recipe.path, Options())
    whole = court.Docket.read(rooms.ledger, 2)
    first = next(r for r in whole.trial.runs if r.outcome and r.outcome.value is not None)
    earlier = tuple(r for r in whole.runs if r.trial == 1 or r.number <= first.number)
    trial = whole.trial.model_copy(update={"runs": whole.trial.runs[: first.number]})
    docket = replace(whole, trial=trial, runs=earlier)
    protocol = recipe_of(rooms, trial.research).protocol
    rule = court.rule_of(protocol, rooms.options, rankable=True)
    over = replace(rule, most_seconds=docket.seconds)
    in_time = replace(rule, most_seconds=docket.seconds + 1)

    assert judge(docket.case_under(rule), rule).action is Action.RUN_CANDIDATE
    assert judge(docket.case_under(in_time), in_time).action is Action.RUN_CANDIDATE
    judged = judge(docket.case_under(over), over)
    assert judged.action is Action.INCONCLUSIVE
    assert "time is up" in judged.reason


async def test_the_same_code_again_brings_its_runs_and_rolls_no_dice(
    research: Research, recipe: RecipeRepo
) -> None:
    async with research() as agent:
        await run(agent)
        first = await try_value(agent, "2.2")
        again = await try_value(agent, "2.2  # luckier\n\n")
        seeded = await agent("apply_edit", edits=[{"old": "seed(42)", "new": "seed(7)"}])
        same = await agent.refused("run_trial", hypothesis="a luckier seed")

    assert seeded["staged"]
    assert "session.no_change" in same
    assert again["verdict"] == first["verdict"]
    assert recipe.ledger.get(3).runs == ()
    assert again["outcome"]["value"] == first["outcome"]["value"]


async def test_code_that_failed_is_not_run_again_unchanged(
    research: Research, recipe: RecipeRepo
) -> None:
    async with research() as agent:
        await run(agent)
        await try_value(agent, "oops")
        again = await try_value(agent, "oops")

    assert recipe.ledger.get(3).runs == ()
    assert again["verdict"]["status"] == "discard"
    assert again["outcome"]["kind"] == "crash"
    assert "was run before" in again["outcome"]["reason"]


async def test_an_unclear_edit_ends_as_inconclusive_and_moves_nothing(
    research: Research, recipe: RecipeRepo
) -> None:
    """Every other seed is better by 0.02, and a gain of 0.011 hides in that."""
    wobble = "import os\nSEED = int(os.environ['ARAH_TRIAL_SEED'])\nBONUS = 0.0\n"
    shift = 'VALUE += 0.01 * (-1) ** SEED - BONUS * (SEED == 1)\nprint("step'
    recipe.write("train.py", wobble + TRAIN.replace('print("step', shift))
    recipe.commit_all("Two values")
    edits = [
        {"old": "VALUE = 2.0", "new": "VALUE = 1.989"},
        {"old": "BONUS = 0.0", "new": "BONUS = 0.03"},
    ]
    async with research() as agent:
        await run(agent)
        await agent("apply_edit", edits=edits)
        trial = await run(agent, "a little better")
        await agent("apply_edit", edits=edits)
        again = await run(agent, "a little better, again")

    assert trial["verdict"]["status"] == "inconclusive"
    assert "not enough to keep or to drop it" in trial["verdict"]["reason"]
    assert counted(recipe, 2) == list(range(1, 13))
    assert counted(recipe, 2, Role.INCUMBENT) == list(range(4, 12))
    assert recipe.git("rev-parse", "HEAD") == recipe.git("rev-parse", "main")
    assert recipe.log_rows()[1][3] == "inconclusive"
    assert again["verdict"] == trial["verdict"]
    assert recipe.ledger.get(3).runs == ()


async def test_shorter_code_that_is_no_worse_is_kept_when_that_is_what_it_is_for(
    research: Research, recipe: RecipeRepo
) -> None:
    line = 'print("num_steps:        10")\n'
    async with research() as agent:
        await run(agent)
        await agent.edit(line, "")
        kept = await run(agent, "nobody reads the steps", simplification=True)
        await agent.edit('print("---")\n', "")
        dropped = await run(agent, "nobody needs the line")

    assert kept["verdict"]["status"] == "keep"
    assert "simpler code (1 lines fewer)" in kept["verdict"]["reason"]
    assert dropped["verdict"]["status"] != "keep"


async def test_the_protocols_measured_trials_and_smallest_gain_apply_on_top(
    research: Research, recipe: RecipeRepo
) -> None:
    recipe.edit_protocol(
        lambda p: p["measurement"].update(
            sampling={"measuredTrials": 4}, minScoreImprovementBips=600
        )
    )
    async with research() as agent:
        await run(agent)
        small = await try_value(agent, "1.9")
        large = await try_value(agent, "1.8")

    assert counted(recipe, 1) == [1, 2, 3, 4]
    assert (small["verdict"]["runs"], large["verdict"]["runs"]) == (4, 4)
    assert small["verdict"]["status"] == "discard"
    assert "the protocol asks for" in small["verdict"]["reason"]
    assert large["verdict"]["status"] == "keep"


async def test_the_noise_outlives_the_research_run(research: Research, recipe: RecipeRepo) -> None:
    async with research() as agent:
        await run(agent)
        recipe.git("switch", "--quiet", "main")
        await run(agent)
        trial = await try_value(agent, "1.9")
    first, second = (recipe.ledger.started(name) for name in recipe.ledger.researches())

    assert first.noise.df == 0
    assert second.noise.df == 2
    verdict = recipe.ledger.get(trial["trial_id"]).verdict
    assert verdict is not None
    assert verdict.evidence is not None
    assert verdict.evidence.noise_df >= 4


async def test_replaying_the_ledger_gives_the_same_verdicts_byte_for_byte(
    research: Research, recipe: RecipeRepo
) -> None:
    async with research() as agent:
        await run(agent)
        for value in ("1.9", "1.85"):
            await try_value(agent, value, old="2.0" if value == "1.9" else "1.9")
        await try_value(agent, "2.1", old="1.85")
        await try_value(agent, "oops", old="1.85")
    rooms = Rooms.open(recipe.path, Options())

    decided = [event for _, event in rooms.ledger.events() if isinstance(event, Decided)]
    assert [d.verdict.status for d in decided] == ["keep", "keep", "keep", "discard", "discard"]
    for event in decided:
        docket = court.Docket.read(rooms.ledger, event.trial)
        protocol = recipe_of(rooms, docket.trial.research).protocol
        rule = court.rule_of(protocol, rooms.options, rankable=True)
        again = court.verdict_on(docket, rule, rankable=True)
        assert again.model_dump_json() == event.model_dump_json()
