"""Other people at work: the user's editor, a second client, a death, a branch that moves."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.driving import processes_below, server_of, serving, words

from .conftest import TRAIN, Agent, Connect, RecipeRepo, until

pytestmark = pytest.mark.anyio

WAIT_FOR_GATE = """
import os, time
while not os.path.exists(os.environ["TMPDIR"] + "/gate"): time.sleep(0.05)
"""
SLOW = "import time; time.sleep(3600)"


async def start_slow_trial(agent: Agent, recipe: RecipeRepo) -> int:
    """Start a trial that never ends by itself, and return once its run is under way."""
    await agent.edit("NOISE = 0", f"print('begun', flush=True); {SLOW}")
    trial = await agent("run_trial", hypothesis="sleep", wait_s=0)
    await until(lambda: "begun" in recipe.run_log(trial["trial_id"]))
    return trial["trial_id"]


def open_gate(recipe: RecipeRepo, trial_id: int) -> None:
    """Let a run go on that waits for its gate; its scratch is all of the disk that it sees."""
    record = recipe.ledger.trial(trial_id)
    assert record is not None
    (Path(record.runs[-1].directory) / "tmp" / "gate").touch()


def processes_of(recipe: RecipeRepo) -> list[psutil.Process]:
    """Return what still runs of this recipe's trials."""
    return processes_below(recipe.path.parent)


async def test_a_cancelled_trial_is_recorded_and_leaves_no_process(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        trial_id = await start_slow_trial(agent, recipe)
        cancelled = await agent("cancel_trial", trial_id=trial_id)
        assert processes_of(recipe) == []
        await agent("commit_or_revert", trial_id=trial_id)

    assert cancelled["outcome"]["kind"] == "cancelled"
    assert cancelled["verdict"]["status"] == "discard"
    assert recipe.read("train.py") == TRAIN
    assert "cancelled" in recipe.log_rows()[-1][4]


async def test_while_a_trial_is_going_on_edits_and_trials_wait(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent, connect() as other:
        await agent.trial("baseline")
        trial_id = await start_slow_trial(agent, recipe)
        busy = await other.refused("run_trial", hypothesis="me too")
        edit = await other.refused("apply_edit", content="VALUE = 1\n")
        early = await other.refused("commit_or_revert", trial_id=trial_id)
        seen = await other("wait_trial", trial_id=trial_id, wait_s=0)
        await other("cancel_trial", trial_id=trial_id)

    for text in (busy, edit, early):
        assert "session.busy" in text
    assert f"trial {trial_id}" in busy
    assert seen["verdict"] is None
    assert f"wait_trial(trial_id={trial_id})" in seen["next_step"]


async def test_a_decided_trial_must_be_applied_before_the_next(connect: Connect) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 3.0")
        trial = await agent.trial("worse")
        again = await agent.refused("run_trial", hypothesis="again")
        edit = await agent.refused("apply_edit", content="VALUE = 1\n")
        await agent("commit_or_revert", trial_id=trial["trial_id"])
        repeated = await agent("commit_or_revert", trial_id=trial["trial_id"])

    assert f"commit_or_revert(trial_id={trial['trial_id']})" in again
    assert "session.verdict" in edit
    assert repeated["verdict"]["status"] == "discard"


async def test_a_trial_outlives_its_server_and_the_next_one_shows_it(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("NOISE = 0\n", WAIT_FOR_GATE + "VALUE = 1.0\n")
        trial = await agent("run_trial", hypothesis="outlive the server", wait_s=0)
        assert trial["verdict"] is None
    async with connect() as agent:
        waiting = await agent("wait_trial", trial_id=trial["trial_id"], wait_s=0)
        open_gate(recipe, trial["trial_id"])
        ended = await agent("wait_trial", trial_id=trial["trial_id"], wait_s=60)

    assert waiting["verdict"] is None
    assert ended["outcome"]["value"] == 1.0
    assert ended["verdict"]["status"] == "keep"


async def test_a_trial_whose_process_is_killed_is_interrupted_and_can_be_repeated(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        trial_id = await start_slow_trial(agent, recipe)
        record = recipe.ledger.trial(trial_id)
        assert record is not None
        assert record.process is not None
        os.kill(record.process.pid, signal.SIGKILL)
        ended = await agent("wait_trial", trial_id=trial_id, wait_s=60)
        await until(lambda: not processes_of(recipe))
        again = await agent("run_trial", hypothesis="once more", wait_s=0)
        await agent("cancel_trial", trial_id=again["trial_id"])

    assert ended["outcome"]["kind"] == "interrupted"
    assert ended["status"] == "done"
    assert again["trial_id"] == trial_id + 1
    assert [row[3] for row in recipe.log_rows()] == ["keep", "inconclusive", "discard"]
    assert recipe.ledger.verify() > 0


async def test_a_file_edited_outside_is_never_overwritten_and_can_be_adopted(
    connect: Connect, recipe: RecipeRepo
) -> None:
    mine = TRAIN.replace("2.0", "1.25")
    async with connect() as agent:
        await agent.trial("baseline")
        recipe.write("train.py", mine)
        edit = await agent.refused("apply_edit", content=TRAIN.replace("2.0", "9.0"))
        run = await agent.refused("run_trial", hypothesis="my own editor")
        assert recipe.read("train.py") == mine
        adopted = await agent("apply_edit", adopt=True)
        trial = await agent.trial("my own editor")

    assert "adopt=true" in edit
    assert "adopt=true" in run
    assert "-VALUE = 2.0" in adopted["diff"]
    assert trial["outcome"]["value"] == 1.25


async def test_an_adopted_file_goes_through_the_same_gatehouse(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        recipe.write("train.py", "VALUE = (\n")
        refusal = await agent.refused("apply_edit", adopt=True)

    assert "edit.syntax" in refusal


async def test_an_edit_in_the_middle_of_a_trial_survives_the_verdict(
    connect: Connect, recipe: RecipeRepo
) -> None:
    mine = TRAIN.replace("2.0", "7.0  # the user's next idea")
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 3.0")
        trial = await agent.trial("worse")
        recipe.write("train.py", mine)
        applied = await agent("commit_or_revert", trial_id=trial["trial_id"])

    assert recipe.read("train.py") == mine
    assert any("train.py" in note and "adopt=true" in note for note in applied["notes"])


async def test_a_branch_that_somebody_moved_is_a_fault_that_says_how_to_go_on(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")
        recipe.git("commit", "--allow-empty", "--quiet", "--message", "mine")
        moved = recipe.git("rev-parse", "HEAD")
        fault = await agent.faulted("run_trial", hypothesis="better")

    assert "git switch -c" in fault
    assert recipe.git("rev-parse", "HEAD") == moved


async def test_a_branch_moved_between_verdict_and_commit_is_not_overwritten(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")
        trial = await agent.trial("better")
        recipe.git("commit", "--allow-empty", "--quiet", "--message", "mine")
        moved = recipe.git("rev-parse", "HEAD")
        fault = await agent.faulted("commit_or_revert", trial_id=trial["trial_id"])
        assert recipe.git("rev-parse", "HEAD") == moved
        recipe.git("update-ref", "HEAD", "HEAD^")
        applied = await agent("commit_or_revert", trial_id=trial["trial_id"])

    assert "nothing was overwritten" in fault
    assert "git switch -c" in fault
    assert applied["commit"] == recipe.git("rev-parse", "--short=7", "HEAD")


async def test_on_another_branch_a_new_research_run_begins(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        first = recipe.git("rev-parse", "--abbrev-ref", "HEAD")
        recipe.git("switch", "--quiet", "--discard-changes", "main")
        trial = await agent.trial("baseline of the second run")

    assert trial["baseline"]
    assert recipe.git("rev-parse", "--abbrev-ref", "HEAD") == f"{first}-2"


async def test_code_that_only_looks_different_is_no_candidate(connect: Connect) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("NOISE = 0", "NOISE = 0  # a remark")
        refusal = await agent.refused("run_trial", hypothesis="a comment helps")

    assert "session.no_change" in refusal


async def test_the_same_code_again_is_judged_by_the_runs_it_has_had(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        first = await agent.try_value("2.5")
        second = await agent.try_value("2.5")

    assert second["verdict"] == first["verdict"]
    record = recipe.ledger.trial(second["trial_id"])
    assert record is not None
    assert record.runs == ()


async def test_another_recipe_waits_for_the_machine(
    connect: Connect, recipe: RecipeRepo, bare_python: Path
) -> None:
    other = RecipeRepo.fast(recipe.path.parent / "other")
    options = ("--python", str(bare_python))
    async with connect() as agent:
        await agent.trial("baseline")
        trial_id = await start_slow_trial(agent, recipe)
        async with serving(other.path, *options, environment=dict(os.environ)) as neighbour:
            waiting = await neighbour("run_trial", hypothesis="baseline", wait_s=0)
            await agent("cancel_trial", trial_id=trial_id)
            ended = await neighbour("wait_trial", trial_id=waiting["trial_id"], wait_s=60)

    assert waiting["status"] == "queued"
    assert ended["outcome"]["value"] == 2.0


async def test_a_queued_trial_can_be_cancelled(
    connect: Connect, recipe: RecipeRepo, bare_python: Path
) -> None:
    other = RecipeRepo.fast(recipe.path.parent / "other")
    options = ("--python", str(bare_python))
    async with connect() as agent:
        await agent.trial("baseline")
        trial_id = await start_slow_trial(agent, recipe)
        async with serving(other.path, *options, environment=dict(os.environ)) as neighbour:
            waiting = await neighbour("run_trial", hypothesis="baseline", wait_s=0)
            cancelled = await neighbour("cancel_trial", trial_id=waiting["trial_id"])
        await agent("cancel_trial", trial_id=trial_id)

    assert cancelled["outcome"]["kind"] == "cancelled"


async def test_with_on_exit_kill_a_trial_ends_with_its_server_however_that_ends(
    connect: Connect, recipe: RecipeRepo, bare_python: Path
) -> None:
    options = ("--python", str(bare_python), "--on-exit", "kill")
    async with connect() as agent:
        await agent.trial("baseline")
    async with serving(recipe.path, *options, environment=dict(os.environ)) as agent:
        trial_id = await start_slow_trial(agent, recipe)
        server_of(recipe.path).kill()
    await until(lambda: not processes_of(recipe))
    async with connect() as agent:
        ended = await agent("wait_trial", trial_id=trial_id, wait_s=60)

    assert ended["outcome"]["kind"] == "cancelled"
    assert "--on-exit kill" in ended["outcome"]["reason"]


async def test_a_diverged_run_ends_early(connect: Connect, recipe: RecipeRepo) -> None:
    diverging = (
        "import time\n"
        "for n in range(6): print(f'\\rstep {n:05} (1.0%) | loss: nan | x', flush=True)\n"
        "time.sleep(3600)\n"
    )
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("NOISE = 0\n", diverging)
        trial = await agent.trial("far too hot")

    assert trial["outcome"]["kind"] == "crash"
    assert trial["outcome"]["error_class"] == "nan"
    assert "nan in 5 reports" in trial["outcome"]["reason"]
    # The trial's own process needs a moment after its last entry in the ledger; its run has none.
    assert [p for p in processes_of(recipe) if "train.py" in words(p)] == []
    await until(lambda: not processes_of(recipe))


async def test_what_a_run_claims_is_recorded_beside_what_was_measured(connect: Connect) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit('print("---")', 'print("training_seconds: 299.5")')
        trial = await agent.trial("claim to have trained")

    assert trial["outcome"]["claimed_seconds"] == 299.5
    assert trial["outcome"]["seconds"] < 60
    assert trial["outcome"]["training_seconds"] is None
    assert trial["outcome"]["trust"] == "printed"
    assert any("training clock" in missing for missing in trial["outcome"]["trust_missing"])
