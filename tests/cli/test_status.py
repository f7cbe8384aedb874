import json
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from .conftest import Cli, Recipe

WAITS_FOR_A_WORD = """\
import os, time
print("step 00010 (40.0%) | loss: 3.000000 | remaining: 9s", flush=True)
while not os.path.exists(os.environ["TMPDIR"] + "/word"):
    time.sleep(0.02)
print("---")
print("val_bpb: 2.500000")
"""


def test_before_any_trial_status_says_how_to_start(cli: Cli, foreign: Recipe) -> None:
    done = cli("status", "--repo", foreign.path)
    assert done.returncode == 0
    assert "branch      main" in done.stdout
    assert "No research has been started on this branch" in done.stdout
    found = cli.json("status", "--repo", foreign.path)
    assert found["research"] is None
    assert found["trials"] == []


def test_without_data_status_says_to_prepare_it(cli: Cli, recipe: Recipe) -> None:
    found = cli.json("status", "--repo", recipe.path)
    assert "autoresearch-mcp prepare" in found["next_step"]


def test_status_changes_nothing(cli: Cli, recipe: Recipe) -> None:
    before = sorted(recipe.path.rglob("*"))
    cli("status", "--repo", recipe.path)
    assert sorted(recipe.path.rglob("*")) == before


def test_status_shows_the_trial_under_way_and_then_the_incumbent(cli: Cli, foreign: Recipe) -> None:
    (foreign.path / "train.py").write_text(WAITS_FOR_A_WORD)
    foreign.commit()

    running, after = anyio.run(_seen_in_a_trial, cli, foreign)

    assert running["research"].startswith("autoresearch/")
    assert running["under_way"]["trial_id"] == 1
    assert running["next_step"] == "Trial 1 is going on: there is nothing to do but wait."
    assert after["under_way"] is None
    assert after["baseline"]["value"] == after["incumbent"]["value"] == 2.5
    assert after["gain"] == 0.0
    assert after["counts"] == {"keep": 1}
    assert [line["hypothesis"] for line in after["trials"]] == ["baseline"]
    shown = cli("status", "--repo", foreign.path).stdout
    assert "baseline    2.500000" in shown
    assert "incumbent   2.500000 (trial 1, commit " in shown
    assert "next        Nothing is running" in shown


async def _seen_in_a_trial(cli: Cli, recipe: Recipe) -> tuple[dict[str, Any], dict[str, Any]]:
    """Look while the baseline runs, give it the word to end, and look again."""
    command, *arguments = cli.argv("serve", "--repo", recipe.path, "--evidence", "single")
    server = StdioServerParameters(command=command, args=arguments, env=dict(cli.environment))
    async with Client(server) as client:
        await client.call_tool("run_trial", {"hypothesis": "baseline", "wait_s": 0})
        running = await _status(cli, recipe)
        _give_the_word(cli)
        await client.call_tool("wait_trial", {"trial_id": 1, "wait_s": 60})
        return running, await _status(cli, recipe)


def _give_the_word(cli: Cli) -> None:
    """Leave it where the run looks: its scratch is all of the disk that it sees."""
    (scratch,) = Path(cli.environment["TMPDIR"]).glob("autoresearch-run-*/tmp")
    (scratch / "word").touch()


async def _status(cli: Cli, recipe: Recipe) -> dict[str, Any]:
    command = cli.argv("status", "--repo", recipe.path, "--json")
    done = await anyio.run_process(command, env=cli.environment, stderr=None)
    return json.loads(done.stdout)
