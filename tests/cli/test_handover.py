"""What a person does with trials: look at one, put one back, take the branch over."""

import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.driving import TRAIN, Agent, RecipeRepo, serving

from .conftest import Cli

pytestmark = pytest.mark.anyio
Serve = Callable[[], AbstractAsyncContextManager[Agent]]

LONG = "a change whose reason takes much more room than the first line of a commit should have"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def repo(cli: Cli, tmp_path: Path) -> RecipeRepo:
    assert cli.folder.exists()
    return RecipeRepo.fast(tmp_path / "recipe")


@pytest.fixture
def serve(cli: Cli, repo: RecipeRepo, bare_python: Path) -> Serve:
    @asynccontextmanager
    async def start() -> AsyncGenerator[Agent]:
        options = ("--python", str(bare_python))
        async with serving(repo.path, *options, environment=dict(cli.environment)) as agent:
            yield agent

    return start


@pytest.fixture
async def night(serve: Serve) -> dict[str, Any]:
    """A baseline, a kept change, a discarded one, and one that crashes."""
    async with serve() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.5")
        kept = await agent.trial(LONG)
        applied = await agent("commit_or_revert", trial_id=2)
        await agent.try_value("3.0", old="VALUE = 1.5")
        await agent.edit("VALUE = 1.5", "VALUE = 1 / 0")
        await agent.trial("divide")
        await agent("commit_or_revert", trial_id=4)
        return {"kept": kept, "applied": applied}


def show(cli: Cli, repo: RecipeRepo, trial: int) -> dict[str, Any]:
    return cli.json("show", trial, "--repo", repo.path)


def restore(cli: Cli, repo: RecipeRepo, trial: int) -> subprocess.CompletedProcess[str]:
    return cli("restore", trial, "--repo", repo.path)


def typed(repo: RecipeRepo, line: str) -> None:
    """Run a line as its reader would, in a shell."""
    subprocess.run(["sh", "-c", line], cwd=repo.path, check=True, capture_output=True)


async def test_show_has_a_trials_diff_outcome_verdict_and_evidence(
    cli: Cli, repo: RecipeRepo, night: dict[str, Any]
) -> None:
    kept, discarded, crashed = (show(cli, repo, number) for number in (2, 3, 4))

    assert [kept["status"], discarded["status"], crashed["status"]] == ["keep", "discard", "crash"]
    assert "-VALUE = 2.0\n+VALUE = 1.5\n" in kept["diff"]
    assert "-VALUE = 1.5\n+VALUE = 3.0\n" in discarded["diff"]
    assert kept["outcome"]["value"] == 1.5
    assert kept["commit"] == repo.git("rev-parse", "HEAD")
    assert discarded["commit"] is None
    assert discarded["candidate"] == repo.git("rev-parse", "refs/autoresearch/trials/3")
    assert [run["role"] for run in kept["evidence"]] == ["candidate"] * len(kept["evidence"])
    assert crashed["evidence"][-1]["value"] is None
    text = cli("show", 2, "--repo", repo.path).stdout
    assert f"what        {LONG}" in text
    assert "+VALUE = 1.5" in text
    assert night["kept"]["verdict"]["reason"] in text


async def test_show_names_the_bundle_that_the_protocol_belongs_to(
    cli: Cli, repo: RecipeRepo, serve: Serve
) -> None:
    repo.edit_protocol(lambda p: p["meta"].update(protocolBundleId="mlx-gpt/2026.11"))
    async with serve() as agent:
        await agent.trial("baseline")

    assert show(cli, repo, 1)["protocol_bundle"] == "mlx-gpt/2026.11"
    assert "protocol    mlx-gpt/2026.11\n" in cli("show", 1, "--repo", repo.path).stdout


@pytest.mark.parametrize("command", ["show", "restore"])
async def test_a_trial_that_is_not_there_is_one_line(
    cli: Cli, repo: RecipeRepo, command: str
) -> None:
    done = cli(command, "7", "--repo", repo.path)
    assert done.returncode == 3
    assert "there is no trial 7; none has been started" in done.stderr
    assert done.stderr.count("\n") == 1
    assert cli(command, "seven", "--repo", repo.path).returncode == 2


async def test_restore_makes_a_discarded_candidate_the_candidate_again(
    cli: Cli, repo: RecipeRepo, serve: Serve, night: dict[str, Any]
) -> None:
    assert night["applied"]["commit"]
    done = restore(cli, repo, 3)

    assert done.returncode == 0
    assert "+VALUE = 3.0" in done.stdout
    assert repo.read("train.py") == TRAIN.replace("2.0", "3.0")
    async with serve() as agent:
        again = await agent.trial("once more")
    assert again["outcome"]["value"] == 3.0


async def test_restore_never_overwrites_what_a_person_wrote(
    cli: Cli, repo: RecipeRepo, night: dict[str, Any]
) -> None:
    assert night["applied"]["commit"]
    repo.write("train.py", "MINE = 1\n")
    done = restore(cli, repo, 3)

    assert done.returncode == 3
    assert "surface.unknown" in done.stderr
    assert repo.read("train.py") == "MINE = 1\n"


async def test_restoring_the_incumbent_has_nothing_to_do(
    cli: Cli, repo: RecipeRepo, night: dict[str, Any]
) -> None:
    assert night["applied"]["commit"]
    done = restore(cli, repo, 2)
    assert done.returncode == 3
    assert "edit.no_change" in done.stderr


async def test_what_a_person_restored_by_hand_is_known_after_restore(
    cli: Cli, repo: RecipeRepo, serve: Serve
) -> None:
    async with serve() as agent:
        await agent.trial("baseline")
        await agent.try_value("3.0")
    repo.git("update-ref", "refs/heads/first", "HEAD")
    repo.git("symbolic-ref", "HEAD", "refs/heads/first")  # another research run, other knowledge
    async with serve() as agent:
        await agent.trial("baseline")
        repo.write("train.py", TRAIN.replace("2.0", "3.0"))
        assert restore(cli, repo, 2).returncode == 0
        assert (await agent.trial("from the other run"))["outcome"]["value"] == 3.0


async def test_finish_leaves_a_clean_branch_of_kept_changes_and_one_log_commit(
    cli: Cli, repo: RecipeRepo, night: dict[str, Any]
) -> None:
    assert night["applied"]["commit"]
    found = cli.json("finish", "--repo", repo.path)

    branch = repo.git("rev-parse", "--abbrev-ref", "HEAD")
    assert found["branch"] == branch
    assert repo.git("status", "--porcelain") == ""
    subjects = repo.git("log", "--format=%s", "main..HEAD").splitlines()
    assert subjects[0] == "Results log up to trial 4"
    assert LONG.startswith(subjects[1].removesuffix(" ..."))
    assert len(subjects) == 2
    message = repo.git("show", "--no-patch", "--format=%B", "HEAD^")
    assert " ".join(message.split()).count(LONG) == 1
    assert f"Trial 2: {night['kept']['verdict']['reason']}." in message
    assert "Measured: val_bpb 1.5" in message
    assert repo.git("show", "--format=", "--name-only", "HEAD") == "results.tsv"
    assert repo.git("show", "HEAD:results.tsv") == repo.read("results.tsv").rstrip("\n")
    assert [change["trial_id"] for change in found["kept"]] == [2]
    assert found["ways"][0]["command"] == f"git switch main && git merge {branch}"
    assert found["notes"] == []


async def test_the_ways_that_finish_names_work_as_they_are(
    cli: Cli, repo: RecipeRepo, night: dict[str, Any]
) -> None:
    assert night["applied"]["commit"]
    merge = cli.json("finish", "--repo", repo.path)["ways"][0]["command"]
    typed(repo, merge)
    assert repo.git("rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert "VALUE = 1.5" in repo.git("show", "main:train.py")


async def test_finish_can_be_repeated_and_research_goes_on_after_it(
    cli: Cli, repo: RecipeRepo, serve: Serve, night: dict[str, Any]
) -> None:
    assert night["applied"]["commit"]
    first = cli.json("finish", "--repo", repo.path)
    again = cli.json("finish", "--repo", repo.path)
    async with serve() as agent:
        await agent.try_value("1.0", old="VALUE = 1.5")
    last = cli.json("finish", "--repo", repo.path)

    assert again == first
    assert [change["trial_id"] for change in last["kept"]] == [2, 5]
    assert last["log_commit"] is None  # the kept trial's commit has every row
    assert repo.git("status", "--porcelain") == ""
    assert [row[3] for row in repo.log_rows()] == ["keep", "keep", "discard", "crash", "keep"]


async def test_finish_waits_for_a_verdict_to_be_carried_out_or_does_it(
    cli: Cli, repo: RecipeRepo, serve: Serve
) -> None:
    async with serve() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.5")
        await agent.trial("better")
    before = repo.git("rev-parse", "HEAD")
    refused = cli("finish", "--repo", repo.path)
    assert repo.git("rev-parse", "HEAD") == before
    found = cli.json("finish", "--apply", "--repo", repo.path)

    assert refused.returncode == 3
    assert "finish --apply" in refused.stderr
    assert [change["commit"] for change in found["kept"]] == [repo.git("rev-parse", "HEAD")]


async def test_finish_is_refused_while_a_trial_is_under_way(
    cli: Cli, repo: RecipeRepo, serve: Serve
) -> None:
    async with serve() as agent:
        await agent.trial("baseline")
        await agent.edit("NOISE = 0", "import time; time.sleep(3600)")
        await agent("run_trial", hypothesis="sleep", wait_s=0)
        done = cli("finish", "--repo", repo.path)
        put_back = restore(cli, repo, 1)
        await agent("cancel_trial", trial_id=2)

    assert done.returncode == put_back.returncode == 3
    assert "session.busy: trial 2 is going on" in done.stderr
    assert "cancel_trial" in done.stderr
    assert "session.busy" in put_back.stderr


async def test_finish_on_another_branch_names_the_one_to_switch_to(
    cli: Cli, repo: RecipeRepo, night: dict[str, Any]
) -> None:
    assert night["applied"]["commit"]
    branch = repo.git("rev-parse", "--abbrev-ref", "HEAD")
    repo.git("switch", "--quiet", "--discard-changes", "main")
    done = cli("finish", "--repo", repo.path)
    assert done.returncode == 3
    assert f"git switch {branch}" in done.stderr


async def test_finish_leaves_a_persons_changes_as_they_are(
    cli: Cli, repo: RecipeRepo, night: dict[str, Any]
) -> None:
    assert night["applied"]["commit"]
    repo.write("train.py", "MINE = 1\n")
    repo.write("notes.txt", "more of mine\n")
    repo.git("add", "notes.txt")
    repo.write("results.tsv", "mine\n")
    found = cli.json("finish", "--repo", repo.path)

    assert repo.read("train.py") == "MINE = 1\n"
    assert repo.read("results.tsv") == "mine\n"
    assert repo.git("diff", "--cached", "--name-only") == "notes.txt"
    assert repo.git("show", "--format=", "--name-only", "HEAD") == "results.tsv"
    assert any("train.py" in note for note in found["notes"])
    assert any("results.tsv" in note for note in found["notes"])
