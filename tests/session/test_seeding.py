"""Seeds and crashes as the protocol has them."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.driving import serving

from .conftest import RecipeRepo

pytestmark = pytest.mark.anyio

SEEDED = """\
import os, random
VALUE = 2.0
print("variables:", sorted(name for name in os.environ if "SEED" in name))
print("given:", os.environ.get("MY_SEED"))
print("drawn:", random.random())
print(f"val_bpb: {VALUE:.6f}")
"""


def derive(recipe: RecipeRepo, **derivation: Any) -> None:
    def change(protocol: dict[str, Any]) -> None:
        protocol["execution"]["determinism"]["seedDerivation"] = derivation

    recipe.write("train.py", SEEDED)
    recipe.edit_protocol(change)


async def logs(recipe: RecipeRepo, python: Path) -> tuple[list[str], list[str]]:
    """Run the baseline and a candidate; return what each printed, its metric aside."""
    options = ("--python", str(python), "--evidence", "single")
    async with serving(recipe.path, *options, environment=dict(os.environ)) as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")
        await agent.trial("better")
    first, second = (recipe.run_log(trial).splitlines()[:3] for trial in (1, 2))
    return first, second


async def test_a_fixed_seed_is_found_under_the_name_that_the_protocol_gives(
    recipe: RecipeRepo, bare_python: Path
) -> None:
    derive(recipe, mode="fixed", fixedSeed=0, envVar="MY_SEED")
    first, second = await logs(recipe, bare_python)

    assert first == second
    assert first[:2] == ["variables: ['MY_SEED']", "given: 0"]
    assert {run.seed for trial in recipe.ledger.trials(branch(recipe)) for run in trial.runs} == {0}


async def test_a_seed_derived_from_the_sources_cannot_be_chosen(
    recipe: RecipeRepo, bare_python: Path
) -> None:
    derive(recipe, mode="fiat_shamir", envVar="MY_SEED", seedBits=32, salt="pepper")
    first, second = await logs(recipe, bare_python)

    seeds = [int(lines[1].removeprefix("given: ")) for lines in (first, second)]
    assert seeds[0] != seeds[1]
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert first[2] != second[2]
    assert [t.runs[0].seed for t in recipe.ledger.trials(branch(recipe))] == seeds


async def test_a_seed_derived_from_other_sources_does_not_follow_the_candidate(
    recipe: RecipeRepo, bare_python: Path
) -> None:
    derive(recipe, mode="fiat_shamir", sourcePaths=["prepare.*"])
    await logs(recipe, bare_python)
    first, second = (trial.runs[0].seed for trial in recipe.ledger.trials(branch(recipe)))

    assert first == second != 1


async def test_without_a_derivation_no_variable_names_the_seed_which_is_still_the_servers(
    recipe: RecipeRepo, bare_python: Path
) -> None:
    derive(recipe, mode="none")
    first, second = await logs(recipe, bare_python)

    assert first == second
    assert first[0] == "variables: []"


async def test_a_crashed_run_is_made_once_more_where_the_protocol_says_so(
    recipe: RecipeRepo, bare_python: Path
) -> None:
    recipe.edit_protocol(lambda protocol: protocol["safety"].update(crashStatus="retry"))
    options = ("--python", str(bare_python), "--evidence", "single")
    async with serving(recipe.path, *options, environment=dict(os.environ)) as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1 / 0")
        trial = await agent.trial("divide by nothing")
        await agent("commit_or_revert", trial_id=trial["trial_id"])

    runs = recipe.ledger.get(trial["trial_id"]).runs
    assert len(runs) == 2
    assert trial["outcome"]["kind"] == "crash"
    assert "ZeroDivisionError" in trial["outcome"]["reason"]
    assert "tried again, as this protocol asks" in trial["outcome"]["hint"]
    assert trial["verdict"]["status"] == "discard"
    assert recipe.log_rows()[-1][3] == "crash"


def branch(recipe: RecipeRepo) -> str:
    return recipe.git("symbolic-ref", "--short", "HEAD")
