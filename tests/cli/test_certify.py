"""What the research has gained, by runs that took no part in it; and a person who knows better."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.core.events import CertificateRun
from tests.driving import TRAIN, Agent, RecipeRepo, serving

from .conftest import Cli

pytestmark = pytest.mark.anyio
Serve = Callable[[], AbstractAsyncContextManager[Agent]]

NOISY = TRAIN.replace(
    'print("step',
    'import random\nrandom.seed(42)\nVALUE += NOISE * random.gauss(0, 1)\nprint("step',
).replace("NOISE = 0\n", "NOISE = 0.01\n")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def repo(cli: Cli, tmp_path: Path) -> RecipeRepo:
    assert cli.folder.exists()
    repo = RecipeRepo.fast(tmp_path / "recipe")
    repo.write("train.py", NOISY)
    repo.commit_all("Noise")
    return repo


@pytest.fixture
def serve(cli: Cli, repo: RecipeRepo, bare_python: Path) -> Serve:
    def start() -> AbstractAsyncContextManager[Agent]:
        options = ("--python", str(bare_python))
        return serving(repo.path, *options, environment=dict(cli.environment))

    return start


def runs_of_trials(repo: RecipeRepo) -> int:
    research = repo.git("symbolic-ref", "--short", "HEAD")
    return sum(len(trial.runs) for trial in repo.ledger.trials(research))


async def decided(agent: Agent, value: str) -> dict[str, Any]:
    """Run a baseline and one trial, and leave its verdict to be carried out."""
    await agent.trial("baseline")
    await agent.edit("VALUE = 2.0", f"VALUE = {value}")
    return await agent.trial(f"value {value}")


async def test_a_gain_is_certified_by_fresh_pairs_that_no_verdict_uses(
    cli: Cli, repo: RecipeRepo, serve: Serve, bare_python: Path
) -> None:
    async with serve() as agent:
        await decided(agent, "1.5")
        await agent("commit_or_revert", trial_id=2)
        runs = runs_of_trials(repo)
    found = cli.json("certify", "-k", 2, "--repo", repo.path, "--python", bare_python)

    assert found["is_a_gain"]
    assert found["gain"] == pytest.approx(0.5, abs=0.05)
    assert 0 < found["margin"] < 0.2
    assert found["pairs"] == 2
    made = [event for _, event in repo.ledger.events() if isinstance(event, CertificateRun)]
    assert {run.side for run in made} == {"baseline", "incumbent"}
    seeds = [run.seed for run in made]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) > 1000
    assert runs_of_trials(repo) == runs


async def test_no_gain_is_certified_before_anything_was_kept(
    cli: Cli, repo: RecipeRepo, serve: Serve, bare_python: Path
) -> None:
    async with serve() as agent:
        await agent.trial("baseline")
    done = cli("certify", "--repo", repo.path, "--python", bare_python)

    assert done.returncode == 3
    assert "no change was kept yet" in done.stderr


async def test_one_pair_without_any_repeat_proves_nothing(
    cli: Cli, repo: RecipeRepo, serve: Serve, bare_python: Path
) -> None:
    async with serve() as agent:
        await decided(agent, "1.999")
        applied = await agent("commit_or_revert", trial_id=2)
    done = cli("certify", "-k", 1, "--repo", repo.path, "--python", bare_python)

    assert applied["verdict"]["status"] == "keep"
    assert done.returncode == 1
    assert "no proof of a gain" in done.stdout


async def test_the_operator_may_keep_what_the_rule_discards_and_everybody_is_told(
    cli: Cli, repo: RecipeRepo, serve: Serve
) -> None:
    async with serve() as agent:
        trial = await decided(agent, "2.5")
        command = ("overrule", 2, "keep", "--because", "needed for what comes next")
        piped = cli(*command, "--repo", repo.path)
        declined = cli.on_terminal("no\n", *command, "--repo", repo.path)
        untouched = repo.git("rev-parse", "HEAD")
        done = cli.on_terminal("2\n", *command, "--repo", repo.path)
        applied = await agent("commit_or_revert", trial_id=2)
        line = (await agent("get_metrics"))["trials"][-1]

    assert trial["verdict"]["status"] == "discard"
    assert (piped.returncode, declined.returncode, done.returncode) == (3, 1, 0)
    assert "no terminal" in piped.stderr
    assert untouched == repo.git("rev-parse", "main")
    assert "VALUE = 2.5" in repo.git("show", "HEAD:train.py")
    message = repo.git("log", "-1", "--format=%B")
    said = "keep by the operator: needed for what comes next"
    assert f"{said}; the rule said discard: 2.5" in " ".join(message.split())
    assert repo.log_rows()[1][3] == "keep"
    assert f"[{said}]" in repo.log_rows()[1][4]
    assert applied["verdict"]["operator"] == "needed for what comes next"
    assert line["status"] == "keep"
    assert repo.ledger.verify()


async def test_the_operator_may_discard_what_the_rule_keeps(
    cli: Cli, repo: RecipeRepo, serve: Serve
) -> None:
    async with serve() as agent:
        await decided(agent, "1.5")
        command = ("overrule", 2, "discard", "--because", "ugly", "--repo", repo.path)
        done = cli.on_terminal("2\n", *command)
        again = cli.on_terminal("2\n", *command)
        trial = (await agent("get_metrics", trial_id=2))["trial"]

    assert done.returncode == 0
    assert again.returncode == 3
    assert "carried out already" in again.stderr
    assert repo.git("rev-parse", "HEAD") == repo.git("rev-parse", "main")
    assert repo.read("train.py") == NOISY
    assert trial["verdict"]["status"] == "discard"


async def test_where_it_cannot_be_carried_out_the_verdict_stays_the_rules(
    cli: Cli, repo: RecipeRepo, serve: Serve
) -> None:
    async with serve() as agent:
        await decided(agent, "2.5")
        research = repo.git("symbolic-ref", "--short", "HEAD")
        command = ("overrule", 2, "keep", "--because", "needed", "--repo", repo.path)
        repo.git("symbolic-ref", "HEAD", "refs/heads/main")
        elsewhere = cli.on_terminal("2\n", *command)
        repo.git("symbolic-ref", "HEAD", f"refs/heads/{research}")
        applied = await agent("commit_or_revert", trial_id=2)

    assert elsewhere.returncode == 3
    assert f"git switch {research}" in elsewhere.stderr
    assert applied["verdict"]["status"] == "discard"
    assert "overruled" not in [event.kind for _, event in repo.ledger.events()]


async def test_what_has_no_value_cannot_be_kept_by_anybody(
    cli: Cli, repo: RecipeRepo, serve: Serve
) -> None:
    async with serve() as agent:
        await decided(agent, "oops")
    command = ("overrule", 2, "keep", "--because", "I like it", "--repo", repo.path)
    done = cli.on_terminal("2\n", *command)

    assert done.returncode == 3
    assert "has no value" in done.stderr
