"""The loop through the highest door: a client, the real server, git and the results log."""

from typing import Any

import pytest

from .conftest import HEADER, TRAIN, Connect, RecipeRepo

pytestmark = pytest.mark.anyio


async def test_the_first_trial_is_the_baseline_and_starts_a_research_branch(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        before = await agent("read_recipe")
        trial = await agent.trial("baseline")

    assert before["incumbent"] is None
    assert "baseline" in before["next_step"]
    assert trial["baseline"]
    assert trial["status"] == "done"
    assert trial["outcome"]["value"] == 2.0
    assert recipe.git("symbolic-ref", "HEAD").startswith("refs/heads/autoresearch/")
    assert recipe.git("rev-parse", "HEAD") == recipe.git("rev-parse", "main")
    assert recipe.log_rows() == [
        [recipe.git("rev-parse", "--short=7", "HEAD"), "2.000000", "1.0", "keep", "baseline"]
    ]


async def test_nothing_is_edited_before_the_baseline(connect: Connect, recipe: RecipeRepo) -> None:
    async with connect() as agent:
        refusal = await agent.refused("apply_edit", content="VALUE = 1\n")
        recipe.write("train.py", TRAIN.replace("2.0", "1.0"))
        unmeasured = await agent.refused("run_trial", hypothesis="skip the baseline")

    assert "session.baseline" in refusal
    assert "run_trial first" in refusal
    assert "session.baseline" in unmeasured
    assert "train.py" in unmeasured
    assert recipe.git("symbolic-ref", "HEAD") == "refs/heads/main"


async def test_a_better_candidate_becomes_one_commit_of_surface_and_log(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.5")
        trial = await agent.trial("lower is better")
        applied = await agent("commit_or_revert", trial_id=trial["trial_id"])

    assert (
        trial["verdict"].items()
        >= {
            "status": "keep",
            "reason": "1.500000 against 2.000000: better by 0.500000",
            "gain": 0.5,
        }.items()
    )
    assert recipe.git("rev-parse", "--short=7", "HEAD") == applied["commit"]
    assert recipe.git("rev-parse", "HEAD^") == recipe.git("rev-parse", "main")
    changed = recipe.git("diff", "--name-only", "HEAD^", "HEAD").splitlines()
    assert changed == ["results.tsv", "train.py"]
    assert "VALUE = 1.5" in recipe.git("show", "HEAD:train.py")
    assert recipe.git("show", "HEAD:results.tsv") == recipe.read("results.tsv").strip()
    assert "lower is better" in recipe.git("log", "-1", "--format=%s")
    assert "better by 0.500000" in recipe.git("log", "-1", "--format=%b")
    assert recipe.git("status", "--porcelain") == ""


async def test_a_worse_candidate_leaves_the_branch_and_gives_the_incumbent_back(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        trial = await agent.try_value("2.5")
        after = await agent("read_recipe")

    assert trial["verdict"]["status"] == "discard"
    assert recipe.read("train.py") == TRAIN
    assert recipe.git("rev-parse", "HEAD") == recipe.git("rev-parse", "main")
    assert [row[3] for row in recipe.log_rows()] == ["keep", "discard"]
    assert after["incumbent"]["value"] == 2.0
    candidate = recipe.git("show", f"refs/autoresearch/trials/{trial['trial_id']}:train.py")
    assert "VALUE = 2.5" in candidate


async def test_a_tie_is_discarded(connect: Connect, recipe: RecipeRepo) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("NOISE = 0", "NOISE = 1")
        trial = await agent.trial("same value, other code")

    assert trial["verdict"]["status"] == "discard"
    assert "tie" in trial["verdict"]["reason"]
    assert len(recipe.log_rows()) == 2


async def test_a_crash_is_data_with_a_null_value_and_the_end_of_its_log(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("NOISE = 0", "NOISE = 1 / 0")
        trial = await agent.trial("divide by zero")
        await agent("commit_or_revert", trial_id=trial["trial_id"])
        shown = await agent("get_metrics", trial_id=trial["trial_id"], log_lines=5)

    outcome = trial["outcome"]
    assert (outcome["kind"], outcome["value"], outcome["exit_code"]) == ("crash", None, 1)
    assert outcome["reason"] == "ZeroDivisionError: division by zero"
    assert outcome["hint"]
    assert "ZeroDivisionError" in trial["log_tail"]
    assert "ZeroDivisionError" in shown["log"]
    _, value, memory, status, description = recipe.log_rows()[-1]
    assert (value, memory, status) == ("", "", "crash")
    assert description.startswith("divide by zero [crash: ZeroDivisionError")
    assert recipe.read("train.py") == TRAIN


async def test_a_run_that_prints_no_metric_is_not_measured(connect: Connect) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit('print(f"val_bpb:          {VALUE:.6f}")\n', "")
        trial = await agent.trial("print nothing")

    assert trial["outcome"]["kind"] == "no_metric"
    assert trial["outcome"]["value"] is None
    assert trial["verdict"]["status"] == "discard"


async def test_the_hard_timeout_ends_a_run(connect: Connect, recipe: RecipeRepo) -> None:
    def hurry(protocol: dict[str, Any]) -> None:
        protocol["execution"]["stopCondition"]["trainingSecondsBudget"] = 1
        protocol["execution"]["hardTimeoutSeconds"] = 2

    recipe.edit_protocol(hurry)
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("NOISE = 0", "import time; time.sleep(3600)")
        trial = await agent.trial("sleep for an hour")

    assert trial["outcome"]["kind"] == "timeout"
    assert "hard limit is 2 s" in trial["outcome"]["reason"]
    assert [row[3] for row in recipe.log_rows()] == ["keep", "crash"]


async def test_every_answer_says_which_budget_is_in_force(connect: Connect) -> None:
    async with connect() as agent:
        recipe_view = await agent("read_recipe")
        trial = await agent.trial("baseline")

    budget = {"training_seconds": 300.0, "hard_timeout_seconds": 900.0, "set_by": "protocol"}
    assert recipe_view["budget"] == budget
    assert trial["budget"] == budget


async def test_what_the_user_was_doing_is_untouched(connect: Connect, recipe: RecipeRepo) -> None:
    recipe.write("notes.txt", "staged\n")
    recipe.git("add", "notes.txt")
    recipe.write("notes.txt", "staged, then edited\n")
    recipe.write("scratch.txt", "untracked\n")
    status = recipe.git("status", "--porcelain")
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.try_value("2.5")
        await agent.try_value("1.5")

    assert recipe.git("status", "--porcelain") == status
    assert recipe.git("show", ":notes.txt") == "staged"
    assert recipe.read("notes.txt") == "staged, then edited\n"
    assert recipe.git("show", "HEAD:notes.txt") == "mine"
    assert recipe.git("fsck", "--strict") == ""


async def test_rows_that_the_log_held_before_stay(connect: Connect, recipe: RecipeRepo) -> None:
    recipe.write("results.tsv", HEADER + "abc1234\t2.500000\t1.0\tkeep\tof an earlier night\n")
    recipe.commit_all("Results of an earlier night")
    async with connect() as agent:
        await agent.trial("baseline")

    assert [row[4] for row in recipe.log_rows()] == ["of an earlier night", "baseline"]


async def test_a_log_that_somebody_else_writes_is_left_alone(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        recipe.write("results.tsv", "mine now\n")
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")
        trial = await agent.trial("better")
        applied = await agent("commit_or_revert", trial_id=trial["trial_id"])

    assert recipe.read("results.tsv") == "mine now\n"
    assert any("results.tsv" in note for note in applied["notes"])
    assert len(recipe.git("show", "HEAD:results.tsv").splitlines()) == 3


async def test_both_protocol_eras_can_drive_the_loop(connect: Connect) -> None:
    async with connect(mode="legacy") as agent:
        await agent.trial("baseline")
        trial = await agent.try_value("1.5")
        results = await agent("get_metrics", best=True, last=1)

    assert trial["verdict"]["status"] == "keep"
    assert results["trials"][0]["trial_id"] == trial["trial_id"]
    assert results["total"] == 2


async def test_a_recipe_without_a_tracked_log_gets_one_with_its_first_keep(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.git("rm", "--quiet", "results.tsv")
    recipe.commit_all("No log")
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.try_value("2.5")
        await agent.try_value("1.5")

    assert [row[3] for row in recipe.log_rows()] == ["keep", "discard", "keep"]
    assert recipe.git("show", "HEAD:results.tsv") == recipe.read("results.tsv").strip()
    assert recipe.git("status", "--porcelain") == ""


async def test_the_baselines_log_goes_where_the_protocol_asks_and_overwrites_nothing(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        first = recipe.read(".autoresearch/create/baseline_run.log")
        recipe.write(".autoresearch/create/baseline_run.log", "mine\n")
        recipe.git("switch", "--quiet", "--discard-changes", "main")
        await agent.trial("baseline of another run")

    assert "val_bpb" in first
    assert recipe.read(".autoresearch/create/baseline_run.log") == "mine\n"


async def test_of_several_files_each_counts_an_emptied_one_too(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.write("model.py", "WIDTH = 1\n")
    recipe.commit_all("A second file")
    recipe.edit_protocol(
        lambda p: p["mutableSurface"].update(allowedGlobs=["train.py", "model.py"])
    )
    async with connect() as agent:
        await agent.trial("baseline")
        unnamed = await agent.refused("apply_edit", content="VALUE = 1\n")
        await agent("apply_edit", path="model.py", content="")
        trial = await agent.trial("without a model")

    assert "model.py, train.py" in unnamed
    assert trial["outcome"]["value"] == 2.0
    assert recipe.git("show", f"refs/autoresearch/trials/{trial['trial_id']}:model.py") == ""


@pytest.mark.parametrize(
    "ending", ["raise SystemExit(125)", "print('bwrap: no'); raise SystemExit(1)"]
)
async def test_a_candidate_cannot_pretend_that_its_sandbox_failed(
    connect: Connect, ending: str
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("NOISE = 0", f"print('\\x1b[2J' + 'x' * 300000); {ending}")
        trial = await agent.trial("a failing sandbox is nobody's fault")

    assert trial["outcome"]["kind"] == "crash"
    assert trial["verdict"]["status"] == "discard"
    assert len(trial["outcome"]["reason"]) < 400


async def test_what_the_user_staged_of_the_surface_stays_staged_and_is_named(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")
        recipe.git("add", "train.py")
        await agent.edit("VALUE = 1.0", "VALUE = 0.5")
        trial = await agent.trial("better")
        applied = await agent("commit_or_revert", trial_id=trial["trial_id"])

    assert "VALUE = 1.0" in recipe.git("show", ":train.py")
    assert any("train.py is left staged" in note for note in applied["notes"])


async def test_whichever_trial_is_asked_for_the_next_step_is_what_is_due_now(
    connect: Connect,
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.5")
        await agent.trial("better")
        page = await agent("get_metrics", trial_id=1)
        ended = await agent.refused("cancel_trial", trial_id=1)
        applied = await agent("commit_or_revert", trial_id=2)

    due = "Call commit_or_revert(trial_id=2)"
    assert due in page["next_step"]
    assert due in page["trial"]["next_step"]
    assert due in ended
    assert "Think of one change" in applied["next_step"]
