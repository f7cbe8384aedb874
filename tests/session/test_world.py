"""A user's work, branches and worktrees around a research run: seen, explained, left alone."""

import os
from pathlib import Path

import psutil
import pytest

from autoresearch_mcp.effects import locks
from autoresearch_mcp.session.statefolder import lease_paths
from tests.driving import serving

from .conftest import TRAIN, Agent, Connect, RecipeRepo, until

pytestmark = pytest.mark.anyio

GATE = """
import os, time
while not os.path.exists(os.environ["TMPDIR"] + "/gate"): time.sleep(0.02)
"""


async def start_gated(agent: Agent, recipe: RecipeRepo, value: str) -> int:
    """Start a trial of a better value that waits in its run, and return its number."""
    await agent.edit("NOISE = 0\n", f"{GATE}VALUE = {value}\n")
    trial = await agent("run_trial", hypothesis="better", wait_s=0)
    number: int = trial["trial_id"]

    def waits() -> bool:
        return _gate(recipe, number).parent.exists()

    await until(waits)
    return number


def _gate(recipe: RecipeRepo, trial_id: int) -> Path:
    record = recipe.ledger.trial(trial_id)
    runs = record.runs if record else ()
    return Path(runs[-1].directory if runs else "/nowhere") / "tmp" / "gate"


async def see_through(agent: Agent, recipe: RecipeRepo, trial_id: int) -> None:
    """Let a gated trial go on to its verdict."""
    _gate(recipe, trial_id).touch()
    ended = await agent("wait_trial", trial_id=trial_id, wait_s=60)
    assert ended["verdict"]["status"] == "keep"


async def test_a_dirty_tree_and_staged_changes_come_through_a_night_as_they_were(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.write("notes.txt", "mine, changed\n")
    recipe.write("staged.txt", "mine, staged\n")
    recipe.git("add", "staged.txt")
    recipe.write("staged.txt", "mine, changed again\n")
    recipe.write("untracked.txt", "mine\n")
    before = recipe.git("status", "--porcelain")
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.try_value("1.5")
        await agent.try_value("3.0", old="VALUE = 1.5")

    assert recipe.git("status", "--porcelain").replace(" M results.tsv\n", "") == before
    assert recipe.git("show", ":staged.txt") == "mine, staged"
    assert recipe.read("staged.txt") == "mine, changed again\n"
    tracked = recipe.git("diff", "--name-only", "main", "HEAD").splitlines()
    assert tracked == ["results.tsv", "train.py"]


async def test_what_a_user_staged_of_the_surface_stays_staged(
    connect: Connect, recipe: RecipeRepo
) -> None:
    mine = TRAIN + "# mine\n"
    async with connect() as agent:
        await agent.trial("baseline")
        trial_id = await start_gated(agent, recipe, "1.5")
        recipe.write("train.py", mine)
        recipe.git("add", "train.py")
        await see_through(agent, recipe, trial_id)
        applied = await agent("commit_or_revert", trial_id=trial_id)

    assert recipe.read("train.py") == mine
    assert recipe.git("show", ":train.py") + "\n" == mine
    assert "VALUE = 1.5" in recipe.git("show", "HEAD:train.py")
    assert any("train.py was changed outside" in note for note in applied["notes"])
    assert any("staged of train.py is left staged" in note for note in applied["notes"])


async def test_a_train_py_edited_in_the_middle_of_a_trial_is_no_part_of_it_and_stays(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        trial_id = await start_gated(agent, recipe, "1.5")
        recipe.write("train.py", "MINE = 1\n")
        await see_through(agent, recipe, trial_id)
        await agent("commit_or_revert", trial_id=trial_id)
        refusal = await agent.refused("run_trial", hypothesis="mine")
        edit = await agent.refused("apply_edit", content=TRAIN)

    assert "VALUE = 1.5" in recipe.git("show", "HEAD:train.py")
    assert recipe.read("train.py") == "MINE = 1\n"
    assert "surface.unknown" in refusal
    assert "apply_edit(adopt=true)" in refusal
    assert "surface.unknown" in edit


async def test_research_begins_on_a_detached_head_and_keeps_its_commits(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.git("switch", "--quiet", "--detach")
    recipe.git("commit", "--quiet", "--allow-empty", "--message", "mine, on no branch")
    mine = recipe.git("rev-parse", "HEAD")
    async with connect() as agent:
        trial = await agent.trial("baseline")

    assert trial["outcome"]["value"] == 2.0
    assert recipe.git("rev-parse", "--abbrev-ref", "HEAD").startswith("autoresearch/")
    assert recipe.git("rev-parse", "HEAD") == mine


async def test_a_head_detached_in_the_middle_of_a_trial_is_told_and_nothing_is_moved(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        branch = recipe.git("rev-parse", "--abbrev-ref", "HEAD")
        trial_id = await start_gated(agent, recipe, "1.5")
        recipe.git("switch", "--quiet", "--detach")
        before = recipe.git("rev-parse", "HEAD"), recipe.read("train.py")
        await see_through(agent, recipe, trial_id)
        refusal = await agent.refused("commit_or_revert", trial_id=trial_id)
        assert (recipe.git("rev-parse", "HEAD"), recipe.read("train.py")) == before
        recipe.git("switch", "--quiet", branch)
        applied = await agent("commit_or_revert", trial_id=trial_id)

    assert f"git switch {branch}" in refusal
    assert applied["commit"] == recipe.git("rev-parse", "--short=7", "HEAD")


async def test_research_in_a_linked_worktree_leaves_the_main_one_alone(
    connect: Connect, recipe: RecipeRepo, bare_python: Path
) -> None:
    linked = RecipeRepo(recipe.path.parent / "linked")
    recipe.git("worktree", "add", "--quiet", "--detach", str(linked.path))
    before = {file: file.stat().st_mtime_ns for file in recipe.path.iterdir() if file.is_file()}
    options = ("--python", str(bare_python))
    async with (
        serving(linked.path, *options, environment=dict(os.environ)) as agent,
        connect() as neighbour,
    ):
        await agent.trial("baseline")
        trial_id = await start_gated(agent, recipe, "1.5")
        busy = await neighbour.refused("run_trial", hypothesis="me too")
        await see_through(agent, recipe, trial_id)
        await agent("commit_or_revert", trial_id=trial_id)
        assert before == {file: file.stat().st_mtime_ns for file in before}
        assert recipe.git("rev-parse", "--abbrev-ref", "HEAD") == "main"
        assert recipe.git("status", "--porcelain") == ""
        own = await neighbour.trial("a baseline of my own")

    assert f"trial {trial_id} is going on" in busy
    assert own["baseline"]
    assert linked.git("rev-parse", "--abbrev-ref", "HEAD").startswith("autoresearch/")
    assert "VALUE = 1.5" in linked.read("train.py")
    assert linked.git("status", "--porcelain") == ""


async def test_a_branch_that_another_worktree_is_on_as_well_is_not_moved(
    connect: Connect, recipe: RecipeRepo
) -> None:
    other = recipe.path.parent / "other"
    async with connect() as agent:
        await agent.trial("baseline")
        branch = recipe.git("rev-parse", "--abbrev-ref", "HEAD")
        await agent.edit("VALUE = 2.0", "VALUE = 1.5")
        trial = await agent.trial("better")
        recipe.git("worktree", "add", "--quiet", "--force", str(other), branch)
        before = recipe.git("rev-parse", "HEAD")
        fault = await agent.faulted("commit_or_revert", trial_id=trial["trial_id"])
        assert recipe.git("rev-parse", "HEAD") == before
        recipe.git("-C", str(other), "switch", "--quiet", "--detach")
        await agent("commit_or_revert", trial_id=trial["trial_id"])

    assert f"git -C {other} switch --detach" in fault
    assert "VALUE = 1.5" in recipe.git("show", "HEAD:train.py")


async def test_a_sparse_checkout_stays_sparse(connect: Connect, recipe: RecipeRepo) -> None:
    for folder in ("wanted", "unwanted"):
        (recipe.path / folder).mkdir()
        recipe.write(f"{folder}/file.txt", "text\n")
    recipe.commit_all("Folders")
    recipe.git("sparse-checkout", "set", "wanted")
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.try_value("1.5")

    assert not (recipe.path / "unwanted").exists()
    assert recipe.git("status", "--porcelain") == ""
    assert recipe.git("show", "HEAD:unwanted/file.txt") == "text"
    assert recipe.git("ls-files", "-t", "unwanted").startswith("S ")


async def test_a_surface_that_a_sparse_checkout_leaves_out_is_told(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.git("sparse-checkout", "set", "--no-cone", "/*", "!/train.py")
    async with connect() as agent:
        refusal = await agent.refused("run_trial", hypothesis="baseline")
        recipe.git("sparse-checkout", "disable")
        trial = await agent.trial("baseline")

    assert "train.py" in refusal
    assert "git sparse-checkout" in refusal
    assert trial["outcome"]["value"] == 2.0


async def test_a_results_log_that_a_sparse_checkout_leaves_out_is_committed_all_the_same(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.git("sparse-checkout", "set", "--no-cone", "/*", "!/results.tsv")
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.try_value("1.5")

    assert len(recipe.git("show", "HEAD:results.tsv").splitlines()) == 3
    assert recipe.git("status", "--porcelain") == ""


async def test_a_lock_that_a_killed_git_left_is_told_with_its_file(
    connect: Connect, recipe: RecipeRepo
) -> None:
    lock = recipe.path / ".git" / "HEAD.lock"
    lock.touch()
    async with connect() as agent:
        fault = await agent.faulted("run_trial", hypothesis="baseline")
        lock.unlink()
        trial = await agent.trial("baseline")

    assert "HEAD.lock" in fault
    assert "delete that lock file" in fault
    assert trial["outcome"]["value"] == 2.0
    branches = recipe.git("branch", "--list", "autoresearch/*").splitlines()
    assert len(branches) == 1  # the start that was cut short is the one that went on


async def test_a_stopped_trial_can_be_cancelled(connect: Connect, recipe: RecipeRepo) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        trial_id = await start_gated(agent, recipe, "1.5")
        record = recipe.ledger.trial(trial_id)
        assert record is not None
        assert record.process is not None
        psutil.Process(record.process.pid).suspend()
        ended = await agent("cancel_trial", trial_id=trial_id)

    assert ended["outcome"]["kind"] == "cancelled"
    assert ended["outcome"]["reason"] == "cancelled on request"


async def test_two_recipes_run_at_once_where_the_operator_allows_it(
    recipe: RecipeRepo, bare_python: Path
) -> None:
    other = RecipeRepo.fast(recipe.path.parent / "other")
    options = ("--python", str(bare_python), "--trials-at-once", "2")
    with locks.hold(*lease_paths(1)):  # as a trial of another recipe does
        async with serving(other.path, *options, environment=dict(os.environ)) as neighbour:
            trial = await neighbour.trial("baseline")
    assert trial["outcome"]["value"] == 2.0
