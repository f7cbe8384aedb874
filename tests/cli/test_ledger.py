import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from .conftest import Cli, Recipe


@pytest.fixture
def researched(cli: Cli, foreign: Recipe) -> Recipe:
    """A recipe with its baseline measured."""
    anyio.run(_baseline, cli, foreign)
    return foreign


async def _baseline(cli: Cli, recipe: Recipe) -> None:
    command, *arguments = cli.argv("serve", "--repo", recipe.path, "--evidence", "single")
    server = StdioServerParameters(command=command, args=arguments, env=dict(cli.environment))
    async with Client(server) as client:
        done = await client.call_tool("run_trial", {"hypothesis": "baseline", "wait_s": 60})
        assert done.structured_content is not None
        assert done.structured_content["verdict"]["status"] == "keep"


def ledger_of(recipe: Recipe) -> Path:
    return recipe.path / ".git" / "autoresearch" / "ledger.sqlite"


def change(recipe: Recipe, statement: str) -> None:
    """Change one row behind the ledger's back."""
    with closing(sqlite3.connect(ledger_of(recipe), isolation_level=None)) as db:
        db.execute("DROP TRIGGER event_is_never_changed")
        assert db.execute(statement).rowcount == 1


def test_a_whole_ledger_is_proved(cli: Cli, researched: Recipe) -> None:
    done = cli("ledger", "verify", "--repo", researched.path)
    assert done.returncode == 0, done.stderr
    assert "all as they were written" in done.stdout
    found = cli.json("ledger", "verify", "--repo", researched.path)
    assert found["events"] > 8
    assert found["problem"] is None
    assert found["notes"] == []


def test_before_any_trial_there_is_nothing_to_prove(cli: Cli, foreign: Recipe) -> None:
    assert cli.json("ledger", "verify", "--repo", foreign.path)["events"] == 0
    assert not ledger_of(foreign).exists()


def test_changed_views_are_found_and_made_anew_on_request(cli: Cli, researched: Recipe) -> None:
    log = (researched.path / "results.tsv").read_text()
    change(researched, "UPDATE trial SET record = replace(record, '2.5', '1.5') WHERE id = 1")

    found = cli("ledger", "verify", "--repo", researched.path)
    assert found.returncode == 1
    assert "ledger rebuild" in found.stdout
    refused = cli("serve", "--repo", researched.path)
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert "ledger rebuild" in refused.stderr

    rebuilt = cli.json("ledger", "rebuild", "--repo", researched.path)
    assert "beside its events" in rebuilt["wrong"]
    assert cli("ledger", "verify", "--repo", researched.path).returncode == 0
    assert cli.json("status", "--repo", researched.path)["baseline"]["value"] == 2.5
    assert (researched.path / "results.tsv").read_text() == log


def test_a_broken_chain_is_found_and_nothing_is_made_of_it(cli: Cli, researched: Recipe) -> None:
    change(
        researched, "UPDATE event SET body = replace(body, '2.5', '1.5') WHERE kind = 'measured'"
    )
    before = ledger_of(researched).read_bytes()

    found = cli.json("ledger", "verify", "--repo", researched.path)
    assert "chain of hashes breaks" in found["problem"]
    refused = cli("ledger", "rebuild", "--repo", researched.path)
    assert refused.returncode == 3
    assert "put a copy from before back" in refused.stderr
    assert ledger_of(researched).read_bytes() == before


def test_a_lost_candidate_is_told(cli: Cli, researched: Recipe) -> None:
    researched.git("update-ref", "-d", "refs/autoresearch/trials/1")
    found = cli("ledger", "verify", "--repo", researched.path)
    assert found.returncode == 1
    assert "trial 1 is not kept" in found.stdout


def test_a_ledger_that_was_moved_away_is_told(cli: Cli, researched: Recipe) -> None:
    ledger_of(researched).rename(researched.path / "elsewhere")
    found = cli("ledger", "verify", "--repo", researched.path)
    assert found.returncode == 1
    assert "the ledger ends with trial 0" in found.stdout


def test_the_results_log_is_written_from_the_ledger(cli: Cli, researched: Recipe) -> None:
    file = researched.path / "results.tsv"
    log = file.read_text()
    file.unlink()
    assert cli("ledger", "export", "--repo", researched.path).returncode == 0
    assert file.read_text() == log

    file.write_text("mine\n")
    left = cli("ledger", "export", "--repo", researched.path)
    assert left.returncode == 1
    assert "left alone" in left.stdout
    assert file.read_text() == "mine\n"


def test_the_events_are_written_one_a_line(cli: Cli, researched: Recipe) -> None:
    file = cli.folder / "events.jsonl"
    assert cli("ledger", "export", "--repo", researched.path, "--events", file).returncode == 0
    lines: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["event"]["kind"] == "research_started"
    shown = cli("ledger", "export", "--repo", researched.path, "--events", "-")
    assert shown.stdout == file.read_text()
    again = cli("ledger", "export", "--repo", researched.path, "--events", file)
    assert again.returncode == 3
    assert "exists" in again.stderr


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap makes it read-only")
@pytest.mark.parametrize("command", [("serve",), ("status",), ("ledger", "rebuild")])
def test_a_read_only_git_folder_is_one_line_and_exit_3(
    cli: Cli, researched: Recipe, command: tuple[str, ...]
) -> None:
    git_dir = str(researched.path / ".git")
    read_only = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", git_dir, git_dir]
    done = subprocess.run(
        [*read_only, *cli.argv(*command, "--repo", researched.path)],
        env=cli.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.stderr.startswith("bwrap:"):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "writable" in done.stderr


def test_without_a_research_branch_there_is_no_log_to_write(cli: Cli, foreign: Recipe) -> None:
    refused = cli("ledger", "export", "--repo", foreign.path)
    assert refused.returncode == 3
    assert "no research branch" in refused.stderr
