"""What an agent gets back that has lost the thread."""

import json

import pytest

from .conftest import Connect, RecipeRepo

pytestmark = pytest.mark.anyio


async def test_before_the_first_trial_it_names_the_goal_and_the_baseline(connect: Connect) -> None:
    async with connect() as agent:
        state = await agent("recall_research")

    assert state["goal"]
    assert state["metric"] == "val_bpb, minimize"
    assert state["incumbent"] is None
    assert state["ideas_tried"] == []
    assert "hypothesis='baseline'" in state["next_step"]


async def test_it_tells_each_idea_once_with_what_came_of_it(connect: Connect) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.try_value("1.5")
        for value in ("1.75", "1.6"):
            await agent.edit("VALUE = 1.5", f"VALUE = {value}")
            trial = await agent.trial("A Wider head")
            await agent("commit_or_revert", trial_id=trial["trial_id"])
        await agent.edit("VALUE = 1.5", "VALUE = oops")
        crash = await agent.trial("a typo")
        undecided = await agent("recall_research")
        await agent("commit_or_revert", trial_id=crash["trial_id"])
        state = await agent("recall_research")

    assert state["baseline"] == 2.0
    assert state["incumbent"]["value"] == 1.5
    verdicts = ["5 crash", "4 discard -0.1", "3 discard -0.25", "2 keep +0.5", "1 keep"]
    assert state["last_verdicts"] == verdicts
    assert state["ideas_tried"] == [
        "crash: a typo (5)",
        "discard -0.1: A Wider head (4, 3)",
        "keep +0.5: value 1.5 (2)",
    ]
    assert "commit_or_revert(trial_id=5)" in undecided["next_step"]
    assert "apply_edit" in state["next_step"]


async def test_it_stays_under_2_kilobytes_and_counts_what_it_leaves_out(connect: Connect) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        for number in range(9):
            await agent.edit("VALUE = 2.0", f"VALUE = 2.{number}5")
            trial = await agent.trial(f"{number} " + "ä" * 450)
            await agent("commit_or_revert", trial_id=trial["trial_id"])
        state = await agent("recall_research")

    assert len(json.dumps(state, ensure_ascii=False).encode()) < 2048
    assert len(state["ideas_tried"]) + state["ideas_left_out"] == 9
    assert state["ideas_left_out"] > 0


async def test_while_a_trial_runs_it_names_the_trial(connect: Connect, recipe: RecipeRepo) -> None:
    recipe.write("train.py", "import time; time.sleep(3600)\n")
    recipe.commit_all("A recipe that never ends")
    async with connect() as agent:
        await agent("run_trial", hypothesis="baseline", wait_s=0)
        state = await agent("recall_research")
        await agent("cancel_trial", trial_id=1)

    assert state["running"] == "trial 1: baseline"
    assert "wait_trial(trial_id=1)" in state["next_step"]
