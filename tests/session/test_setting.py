"""What must stay the same for results to be compared, and who may tighten a budget."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.core.setting import Setting
from autoresearch_mcp.effects import locks
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.recipe import recipe_at
from autoresearch_mcp.session.rooms import Options, Rooms
from autoresearch_mcp.session.statefolder import lease_paths
from tests.driving import serving

from .conftest import Connect, RecipeRepo

pytestmark = pytest.mark.anyio

PREPARE = "import json, os\nSETTINGS = json.load(open(os.environ['AUTORESEARCH_RUN']))\n"
TRAIN = """\
from prepare import SETTINGS
VALUE = 2.0
print(SETTINGS["data"], SETTINGS["time_budget"], SETTINGS["profile"]["name"])
print(f"val_bpb: {VALUE:.6f}")
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe's data are looked for here."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(folder))
    return folder


@pytest.fixture
def with_data(recipe: RecipeRepo) -> RecipeRepo:
    """A recipe whose harness takes its data and budget from the server."""
    recipe.write("prepare.py", PREPARE)
    recipe.write("train.py", TRAIN)
    recipe.commit_all("Take the settings from the server")
    return recipe


def prepare(cache: Path, data_id: str, *, rankable: bool = True, **profile: Any) -> Path:
    """Write a prepared data set as the harness's own command would."""
    folder = cache / data_id
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "tokens.npy").write_bytes(data_id.encode())
    tokens = {"size": len(data_id), "sha256": hashlib.sha256(data_id.encode()).hexdigest()}
    sizes = {"max_seq_len": 64, "eval_tokens": 4096, "vocab_size": 512, "eval_micro_batch": 16}
    limits = {"name": "cpu", "time_budget": 30, "hard_timeout": 180, "startup_allowance": 0}
    manifest: dict[str, Any] = {
        "format": 1,
        "data_id": data_id,
        "source": "embedded",
        "created_at": f"2026-11-23T12:00:0{len(list(cache.iterdir()))}Z",
        "profile": {**sizes, **limits, **profile},
        "harness_sha256": hashlib.sha256(PREPARE.encode()).hexdigest(),
        "corpus": "x",
        "tokenizer_sha256": "x",
        "masked": [],
        "rankable": rankable,
        "files": {"train/tokens.npy": tokens},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


async def test_without_data_a_person_is_told_to_prepare_it(
    connect: Connect, with_data: RecipeRepo, cache: Path
) -> None:
    async with connect() as agent:
        fault = await agent.faulted("run_trial", hypothesis="baseline")
        page = await agent("read_recipe")

    assert "autoresearch-mcp prepare" in fault
    assert page["editable"]
    assert not cache.exists()  # noqa: ASYNC240
    assert with_data.git("symbolic-ref", "HEAD") == "refs/heads/main"


async def test_the_profile_tightens_the_budget_and_the_run_is_told(
    connect: Connect, with_data: RecipeRepo, cache: Path
) -> None:
    folder = prepare(cache, "embedded-cpu-1")
    async with connect() as agent:
        trial = await agent.trial("baseline")

    budget = {"training_seconds": 30.0, "hard_timeout_seconds": 180.0}
    assert trial["budget"] == {
        **budget,
        "set_by": "profile cpu, within the protocol's 300 s",
    }
    assert with_data.run_log(1).startswith(f"{folder} 30.0 cpu\n")


async def test_a_profile_never_widens_the_budget(
    connect: Connect, with_data: RecipeRepo, cache: Path
) -> None:
    prepare(cache, "embedded-huge-1", name="huge", time_budget=9000, hard_timeout=90000)
    async with connect() as agent:
        trial = await agent.trial("baseline")

    assert trial["budget"]["training_seconds"] == 300
    assert trial["budget"]["hard_timeout_seconds"] == 900
    assert "300" in with_data.run_log(1)


async def test_other_data_demands_a_new_baseline_and_says_what_changed(
    connect: Connect, with_data: RecipeRepo, cache: Path
) -> None:
    prepare(cache, "embedded-cpu-1")
    async with connect() as agent:
        await agent.trial("baseline")
        prepare(cache, "embedded-cpu-2")
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")
        fault = await agent.faulted("run_trial", hypothesis="on other data")

    assert "data: embedded-cpu-1 -> embedded-cpu-2" in fault
    assert "git switch -c" in fault
    assert with_data.git("rev-parse", "HEAD") == with_data.git("rev-parse", "main")


async def test_another_interpreter_demands_a_new_baseline_and_is_named(
    recipe: RecipeRepo, connect: Connect
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")
    others = ("--python", sys.executable)
    async with serving(recipe.path, *others, environment=dict(os.environ)) as agent:
        fault = await agent.faulted("run_trial", hypothesis="elsewhere")

    assert "the setting changed since the baseline (" in fault
    assert "mlx: None -> " in fault


def test_another_machine_is_another_setting() -> None:
    here = Setting(
        profile=None, data=None, device="cpu", mlx=None, python="3.11", blas="none", machine="a"
    )

    assert here.differences(here.model_copy(update={"machine": "b"})) == ("machine: a -> b",)


async def test_a_smoke_test_is_never_ranked(
    connect: Connect, with_data: RecipeRepo, cache: Path
) -> None:
    prepare(cache, "embedded-full-1", name="full", rankable=False)
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")
        trial = await agent.trial("far better")

    assert trial["outcome"]["value"] == 1.0
    assert trial["verdict"]["status"] == "inconclusive"
    assert "never ranked" in trial["verdict"]["reason"]
    assert with_data.git("rev-parse", "HEAD") == with_data.git("rev-parse", "main")


async def test_data_that_changes_while_a_trial_waits_for_the_machine_voids_it(
    connect: Connect, with_data: RecipeRepo, cache: Path
) -> None:
    prepare(cache, "embedded-cpu-1")
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")
        with locks.hold(*lease_paths(1)):
            waiting = await agent("run_trial", hypothesis="on which data?", wait_s=0)
            prepare(cache, "embedded-cpu-2")
        ended = await agent("wait_trial", trial_id=waiting["trial_id"], wait_s=60)

    assert waiting["status"] == "queued"
    assert ended["outcome"]["kind"] == "interrupted"
    assert "embedded-cpu-1 -> embedded-cpu-2" in ended["outcome"]["reason"]
    assert with_data.git("rev-parse", "HEAD") == with_data.git("rev-parse", "main")


def damage(folder: Path, how: str) -> None:
    """Change, remove or add a file of a prepared data set."""
    tokens = folder / "train" / "tokens.npy"
    if how == "changed":
        tokens.write_bytes(b"embedded-cpu-X")
    elif how == "missing":
        tokens.unlink()
    else:
        os.link(tokens, folder / "train" / "more.npy")


NAMED = {"changed": "tokens.npy", "missing": "tokens.npy", "extra": "more.npy"}


@pytest.mark.parametrize("how", NAMED)
async def test_damaged_data_is_named_before_anything_is_staged(
    connect: Connect, with_data: RecipeRepo, cache: Path, how: str
) -> None:
    damage(prepare(cache, "embedded-cpu-1"), how)
    async with connect() as agent:
        fault = await agent.faulted("run_trial", hypothesis="baseline")

    assert NAMED[how] in fault
    assert "autoresearch-mcp prepare" in fault
    assert with_data.git("for-each-ref", "refs/autoresearch") == ""


async def test_data_damaged_while_a_trial_waits_voids_it_and_stops_the_agent(
    connect: Connect, with_data: RecipeRepo, cache: Path
) -> None:
    folder = prepare(cache, "embedded-cpu-1")
    async with connect() as agent:
        with locks.hold(*lease_paths(1)):
            waiting = await agent("run_trial", hypothesis="baseline", wait_s=0)
            damage(folder, "changed")
        trial = await agent("wait_trial", trial_id=waiting["trial_id"], wait_s=60)

    assert trial["outcome"]["kind"] == "interrupted"
    assert trial["outcome"]["value"] is None
    assert "tokens.npy" in trial["outcome"]["reason"]
    assert "tell the person" in trial["next_step"]
    assert with_data.log_rows()[0][3] == "inconclusive"


@pytest.mark.parametrize(("excluded", "allowance"), [(True, 5.0), (False, 0.0)])
def test_compiling_is_allowed_for_beside_the_budget_only_where_the_protocol_says_so(
    with_data: RecipeRepo, bare_python: Path, cache: Path, excluded: bool, allowance: float
) -> None:
    def say(protocol: dict[str, Any]) -> None:
        protocol["execution"]["stopCondition"]["excludeCompilationFromBudget"] = excluded

    with_data.edit_protocol(say)
    prepare(cache, "embedded-cpu-1", startup_allowance=5)
    rooms = Rooms.open(with_data.path, Options(python=bare_python))
    bench = Bench(rooms, recipe_at(rooms.repository, rooms.repository.head().commit))

    assert bench.run_budget.compile_allowance == allowance


def relative(path: Path) -> str:
    return os.path.relpath(path)


async def test_relative_paths_mean_the_same_to_a_trial_as_to_its_server(
    with_data: RecipeRepo,
    cache: Path,
    bare_python: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare(cache, "corpus")
    monkeypatch.chdir(tmp_path)  # from elsewhere, enough `..` lead to the root
    environment = {**os.environ, "AUTORESEARCH_CACHE": relative(cache)}
    options = ("--python", relative(bare_python))
    async with serving(with_data.path, *options, environment=environment) as agent:
        baseline = await agent.trial("baseline")

    assert baseline["outcome"]["kind"] == "measured", baseline
