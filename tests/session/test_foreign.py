"""Recipes that are nothing like the one in the box, driven through the whole loop."""

import json
import os
import sys
import venv
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.effects.sandbox.policy import Bare
from autoresearch_mcp.effects.sandbox.probe import select
from tests.driving import Agent, RecipeRepo, serving

pytestmark = pytest.mark.anyio

LIBRARY = "def points() -> float:\n    return 10.0\n"
PLAY = """\
import json
from lib.model import points
from lib.sizes import SIZE
print(json.dumps({"game": {"points": points() * SIZE, "moves": 3}}))
"""
SUITE = """\
import pytest, sorting

@pytest.mark.parametrize("items", [[], [1], [2, 1], [3, 1, 2], [2, 2, 1]])
def test_sorted(items):
    assert sorting.sort(list(items)) == sorted(items)
"""
SORTING = "def sort(items):\n    return items\n"


def document(**sections: dict[str, Any]) -> str:
    """Return a protocol with the least that is asked for, and these sections."""
    whole: dict[str, Any] = {
        "schemaKind": "protocol",
        "protocolVersion": "1.1",
        "meta": {"archetype": "unknown", "eligibility": "eligible", "purposeStatement": "Win."},
        "environment": {"setupCommands": [], "constraints": {}},
        "immutableHarness": {"paths": ["play.py"], "rationale": "It keeps the score."},
        "execution": {
            "command": "python play.py",
            "cwd": ".",
            "stopCondition": {"type": "fixed_suite"},
            "hardTimeoutSeconds": 60,
        },
        "safety": {"crashStatus": "crash"},
        "agentRules": {},
    }
    return json.dumps(whole | sections)


def measured(
    name: str, direction: str, extract: dict[str, str], *more: dict[str, Any]
) -> dict[str, Any]:
    """Return a section `measurement`."""
    return {
        "primaryMetric": {"name": name, "direction": direction, "extract": extract},
        "secondaryMetrics": list(more),
        "baselinePolicy": {"establishOnHardware": True, "sameDataSnapshot": True},
    }


def drive(
    repo: RecipeRepo, *options: str, python: str | Path = sys.executable
) -> AbstractAsyncContextManager[Agent]:
    """Start the real server on a repository, one run a trial."""
    chosen = ("--python", str(python), "--evidence", "single", *options)
    return serving(repo.path, *chosen, environment=dict(os.environ))


@pytest.fixture
def game(tmp_path: Path, home: Path) -> RecipeRepo:
    """A recipe whose points, read from JSON, are to rise; two files may be edited."""
    pointer = {"kind": "json_pointer", "jsonPointer": "/game/points"}
    moves = {
        "name": "moves",
        "direction": "minimize",
        "extract": {"kind": "json_pointer", "jsonPointer": "/game/moves"},
    }
    protocol = document(
        mutableSurface={
            "allowedGlobs": ["lib/*.py"],
            "forbiddenGlobs": [],
            "allowedKinds": ["code_edit"],
        },
        measurement=measured("points", "maximize", pointer, moves),
        provenance={
            "resultsLog": {
                "format": "jsonl",
                "path": "log.jsonl",
                "columns": ["commit", "points", "moves", "status", "description"],
            },
            "gitWorkflow": {"branchPattern": "night-<tag>/game"},
        },
    )
    folder = tmp_path / "game"
    repo = RecipeRepo.create(folder, {"protocol.json": protocol, "play.py": PLAY})
    (folder / "lib").mkdir()
    repo.write("lib/model.py", LIBRARY)
    repo.write("lib/sizes.py", "SIZE = 1\n")
    repo.commit_all("A library of two files")
    return repo


async def turn(agent: Agent, path: str, old: str, new: str) -> dict[str, Any]:
    """Edit one file, run, apply. Returns the trial."""
    await agent("apply_edit", path=path, edits=[{"old": old, "new": new}])
    trial = await agent.trial(f"{new} in {path}")
    await agent("commit_or_revert", trial_id=trial["trial_id"])
    return trial


async def test_a_metric_to_maximize_over_two_files_goes_round_the_whole_loop(
    game: RecipeRepo, bare_python: Path
) -> None:
    async with drive(game, python=bare_python) as agent:
        first = await agent("read_recipe")
        page = await agent("read_recipe", path="lib/sizes.py")
        baseline = await agent.trial("baseline")
        unnamed = await agent.refused("apply_edit", content="SIZE = 9\n")
        better = await turn(agent, "lib/sizes.py", "SIZE = 1", "SIZE = 3")
        worse = await turn(agent, "lib/model.py", "return 10.0", "return 9.0")
        await agent("apply_edit", path="lib/model.py", content="def points():\n    return 20.0\n")
        both = await turn(agent, "lib/sizes.py", "SIZE = 3", "SIZE = 4")
        best = await agent("get_metrics", best=True)
        refusals = [
            await agent.refused("apply_edit", path=path, content="x = 1\n")
            for path in ("play.py", "lib/../play.py", "LIB/model.py", "lib/new.py", "model.py")
        ]

    assert (first["path"], first["surface"]) == ("lib/model.py", ["lib/model.py", "lib/sizes.py"])
    assert "name one: lib/model.py, lib/sizes.py" in unnamed
    assert page["editable"]
    assert (baseline["outcome"]["value"], baseline["verdict"]["status"]) == (10, "keep")
    assert (better["verdict"]["status"], better["verdict"]["gain"]) == ("keep", 20)
    assert (worse["verdict"]["status"], worse["verdict"]["gain"]) == ("discard", -3)
    assert (both["outcome"]["value"], both["verdict"]["status"]) == (80, "keep")
    assert both["outcome"]["secondary"] == {"moves": 3}
    assert [t["value"] for t in best["trials"]] == [80, 30, 27, 10]
    assert all("surface.path: " in refusal for refusal in refusals), refusals
    rows = [json.loads(line) for line in game.read("log.jsonl").splitlines()]
    assert [row["status"] for row in rows] == ["keep", "keep", "discard", "keep"]
    assert list(rows[0]) == ["commit", "points", "moves", "status", "description"]
    assert game.git("symbolic-ref", "--short", "HEAD").startswith("night-")
    assert game.git("symbolic-ref", "--short", "HEAD").endswith("/game")
    changed = game.git("diff", "--name-only", "main", "HEAD").splitlines()
    assert changed == ["lib/model.py", "lib/sizes.py", "log.jsonl"]


async def test_a_suite_of_tests_is_a_recipe_and_failing_tests_are_no_crash(
    tmp_path: Path, home: Path
) -> None:
    example = {"kind": "pytest_summary", "exampleStdout": "3 failed, 2 passed in 0.05s"}
    protocol = document(
        meta={
            "archetype": "build_test",
            "eligibility": "eligible",
            "purposeStatement": "Make the tests pass.",
        },
        mutableSurface={
            "allowedGlobs": ["sorting.py"],
            "forbiddenGlobs": ["test_*.py"],
            "allowedKinds": ["code_edit"],
        },
        immutableHarness={"paths": ["test_sorting.py"], "rationale": "It is the goal."},
        execution={
            "command": "python -m pytest -q -p no:cacheprovider",
            "cwd": ".",
            "stopCondition": {"type": "fixed_suite"},
            "hardTimeoutSeconds": 60,
        },
        measurement=measured("tests_failed", "minimize", example),
        provenance={
            "resultsLog": {
                "format": "csv",
                "path": "results.csv",
                "columns": ["status", "tests_failed", "description"],
            }
        },
    )
    files = {"protocol.json": protocol, "sorting.py": SORTING, "test_sorting.py": SUITE}
    repo = RecipeRepo.create(tmp_path / "suite", files)
    async with drive(repo) as agent:
        baseline = await agent.trial("baseline")
        await agent.edit("return items", "return sorted(items)")
        fixed = await agent.trial("sort them")
        await agent("commit_or_revert", trial_id=fixed["trial_id"])
        refused = await agent.refused("apply_edit", path="test_sorting.py", content="x = 1\n")

    assert baseline["outcome"]["value"] == 3
    assert baseline["outcome"]["exit_code"] == 1
    assert (fixed["outcome"]["value"], fixed["verdict"]["status"]) == (0, "keep")
    assert "test_sorting.py is read-only (harness)" in refused
    assert repo.read("results.csv").splitlines() == [
        "status,tests_failed,description",
        "keep,3.000000,baseline",
        "keep,0.000000,sort them",
    ]


async def test_an_asset_is_readable_at_its_place_below_the_runs_own_home(
    game: RecipeRepo, home: Path, bare_python: Path
) -> None:
    asset = home / "corpora" / "small"
    asset.mkdir(parents=True)
    (asset / "size.txt").write_text("7")
    source = (
        "import os\n"
        "folder = os.path.expanduser('~/corpora/small')\n"
        "SIZE = int(open(folder + '/size.txt').read())\n"
        "try:\n"
        "    open(folder + '/size.txt', 'w')\n"
        "    SIZE = -1\n"
        "except OSError:\n"
        "    pass\n"
    )
    game.write("lib/sizes.py", source)
    game.commit_all("Read the size")
    async with drive(game, "--asset", str(asset), python=bare_python) as agent:
        baseline = await agent.trial("baseline")
        (asset / "size.txt").write_text("11")
        await agent("apply_edit", path="lib/model.py", edits=[{"old": "10.0", "new": "11.0"}])
        fault = await agent.faulted("run_trial", hypothesis="on other data")
    async with drive(game, "--asset", str(home / "nowhere"), python=bare_python) as agent:
        missing = await agent.faulted("run_trial", hypothesis="without data")

    assert baseline["outcome"]["value"] == 70
    assert "the setting changed since the baseline (assets: " in fault
    assert "nowhere does not exist" in missing


@pytest.mark.parametrize(
    ("named", "below"),
    [(None, ""), ("deep/set", "deep/set/"), ("deep/set/holdout", "none of it")],
)
async def test_the_holdout_of_a_prepared_data_set_is_hidden_in_an_asset_and_foreign_data_is_not(
    game: RecipeRepo, home: Path, bare_python: Path, named: str | None, below: str
) -> None:
    asset = home / ".cache" / "autoresearch"  # what a recipe with data of its own is lent anyway
    ours = json.dumps({"data_id": "x", "harness_sha256": "y", "source": "web"})
    files = {
        **{f"deep/set/{name}": "1" for name in ("holdout/rows.npy", "train/rows.npy")},
        "deep/set/manifest.json": ours,
        "deep/web/shard.parquet": "1",
        **{f"theirs/{name}": "1" for name in ("holdout/rows.npy", "web/shard.parquet")},
        "theirs/manifest.json": json.dumps({"source": "web"}),
    }
    for name, content in files.items():
        (asset / name).parent.mkdir(parents=True, exist_ok=True)
        (asset / name).write_text(content)
    seen = {name for name in files if name.startswith(below)}
    seen -= {"deep/set/holdout/rows.npy", "deep/web/shard.parquet"}
    look = f"""
import os
def reads(name):
    try:
        return bool(open(os.path.expanduser("~/.cache/autoresearch/" + name)).read())
    except OSError:
        return False
found = {{name for name in {sorted(files)!r} if reads(name)}}
SIZE = 1 if found == {seen or set()!r} else found
"""
    game.write("lib/sizes.py", look)
    game.commit_all("Look at the data")
    options = () if named is None else ("--asset", str(asset / named))
    async with drive(game, *options, python=bare_python) as agent:
        baseline = await agent.trial("baseline")

    assert baseline["outcome"]["value"] == 10, baseline


async def test_an_import_that_is_not_declared_is_refused_where_the_protocol_says_so(
    game: RecipeRepo, bare_python: Path
) -> None:
    def close(protocol: dict[str, Any]) -> None:
        protocol["environment"]["constraints"]["noNewDependencies"] = True

    game.write("requirements.txt", "Some_Package==1.0\n")
    game.edit_protocol(close)
    async with drive(game, python=bare_python) as agent:
        await agent.trial("baseline")

        async def refusal(line: str) -> str:
            edit = {"old": "def points", "new": f"{line}\ndef points"}
            return await agent.refused("apply_edit", path="lib/model.py", edits=[edit])

        new = await refusal("import torch")
        hidden = await refusal("torch = __import__('torch')")
        header = await refusal("# /// script")
        edit = {"old": "def points", "new": "import math, some_package, lib.sizes\ndef points"}
        taken = await agent("apply_edit", path="lib/model.py", edits=[edit])

    assert "edit.dependency: lib/model.py imports torch in line 1" in new
    assert "edit.dependency: " in hidden
    assert "edit.header: " in header
    assert taken["staged"]


async def test_a_list_of_hosts_that_no_sandbox_can_keep_is_a_fault(
    game: RecipeRepo, bare_python: Path
) -> None:
    def open_up(protocol: dict[str, Any]) -> None:
        constraints = protocol["environment"]["constraints"]
        constraints.update(networkPolicy="full", networkAllowlist=["example.org:443"])

    game.edit_protocol(open_up)
    async with drive(game, "--allow-network", python=bare_python) as agent:
        fault = await agent.faulted("run_trial", hypothesis="baseline")
    async with drive(game, python=bare_python) as agent:
        trial = await agent.trial("baseline")

    assert "networkAllowlist" in fault
    assert trial["outcome"]["value"] == 10


async def test_a_recipe_in_a_folder_of_a_larger_repository_keeps_to_it(
    game: RecipeRepo, tmp_path: Path, bare_python: Path
) -> None:
    (game.path / "games" / "chess").mkdir(parents=True)
    game.git("mv", "lib", "play.py", "games/chess/")
    game.write("play.py", "somebody else's\n")

    def move(protocol: dict[str, Any]) -> None:
        protocol["provenance"]["gitWorkflow"]["pathPrefix"] = "games/chess/"

    game.edit_protocol(move)
    async with drive(game, python=bare_python) as agent:
        page = await agent("read_recipe")
        await agent.trial("baseline")
        kept = await turn(agent, "games/chess/lib/sizes.py", "SIZE = 1", "SIZE = 2")
        refused = await agent.refused("apply_edit", path="lib/sizes.py", content="SIZE = 3\n")

    assert page["surface"] == ["games/chess/lib/model.py", "games/chess/lib/sizes.py"]
    assert "games/chess/play.py" in page["read_only"]
    assert (kept["outcome"]["value"], kept["verdict"]["status"]) == (20, "keep")
    assert "surface.path: lib/sizes.py is not part of the surface" in refused
    changed = game.git("diff", "--name-only", "main", "HEAD").splitlines()
    assert changed == ["games/chess/lib/sizes.py", "games/chess/log.jsonl"]
    assert game.read("play.py") == "somebody else's\n"


@pytest.mark.skipif(select().name == Bare.name, reason="not run: no sandbox works here")
async def test_a_run_whose_interpreter_imports_from_the_repository_reads_no_ledger(
    game: RecipeRepo, tmp_path: Path
) -> None:
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False, symlinks=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "editable.pth").write_text(f"{game.path}\n")
    look = f"""
open({str(game.path / "play.py")!r}).read()
try:
    SIZE = -len(open({str(game.path / ".git/autoresearch/ledger.sqlite")!r}, "rb").read())
except OSError:
    SIZE = 1
"""
    game.write("lib/sizes.py", look)
    game.commit_all("Look for the ledger")
    async with drive(game, python=environment / "bin/python") as agent:
        baseline = await agent.trial("baseline")

    assert baseline["outcome"]["value"] == 10, baseline
