import json
import platform
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.core.events import Exported
from autoresearch_mcp.effects.ledger import Ledger
from autoresearch_mcp.effects.sandbox.probe import select

from .conftest import Cli, Recipe


def checks(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in report["checks"]}


@pytest.fixture
def ready(cli: Cli, recipe: Recipe, prepared: tuple[Path, dict[str, Any]]) -> Recipe:
    """A recipe whose data is there."""
    cli.environment = {**cli.environment, "AUTORESEARCH_CACHE": str(prepared[0])}
    return recipe


def test_a_healthy_recipe_has_no_failure_and_exit_status_0(cli: Cli, ready: Recipe) -> None:
    done = cli("doctor", "--repo", ready.path, "--json")
    report = json.loads(done.stdout)
    assert report["failed"] == []
    assert report["ok"] is True
    assert done.returncode == 0
    found = checks(report)
    assert "profile tiny: 2 s a run" in found["data"]["found"]
    assert found["mlx"]["state"] == "ok"
    assert found["ledger"]["found"].startswith("0 events")


def test_the_sandbox_that_runs_get_is_named_and_a_missing_one_is_a_warning(
    cli: Cli, ready: Recipe
) -> None:
    sandbox = checks(cli.json("doctor", "--repo", ready.path))["sandbox"]
    best = select().name
    assert sandbox["state"] == ("warning" if best == "none" else "ok")
    assert sandbox["found"].startswith("none works here" if best == "none" else best)


def test_the_line_for_each_client_starts_this_server_on_this_recipe(
    cli: Cli, ready: Recipe
) -> None:
    clients = {c["client"]: c["text"] for c in cli.json("doctor", "--repo", ready.path)["clients"]}
    words = shlex.split(clients["Claude Code"])
    assert words[:4] == ["claude", "mcp", "add", "autoresearch"]
    command = words[words.index("--") + 1 :]
    assert Path(command[0]).is_absolute()
    assert command[-3:] == ["serve", "--repo", str(ready.path)]
    assert shlex.split(clients["Codex"])[-3:] == command[-3:]
    cache = cli.environment["AUTORESEARCH_CACHE"]
    for client in ("Claude Desktop", "Cursor"):
        settings = json.loads(clients[client])["mcpServers"]["autoresearch"]
        assert [settings["command"], *settings["args"]] == command
        assert settings["env"] == {"AUTORESEARCH_CACHE": cache}
    assert json.loads(clients["VS Code"])["servers"]["autoresearch"]["type"] == "stdio"


def test_a_person_reads_the_same_with_what_mends_it(cli: Cli, recipe: Recipe) -> None:
    done = cli("doctor", "--repo", recipe.path)
    assert done.returncode == 1
    assert "failed   data: none under" in done.stdout
    assert "-> autoresearch-mcp prepare" in done.stdout
    assert "1 failed: data" in done.stdout
    assert done.stderr == ""


def test_a_folder_that_is_no_repository_fails_and_the_machine_is_still_checked(cli: Cli) -> None:
    done = cli("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["failed"] == ["recipe"]
    assert report["repository"] is None
    assert checks(report)["mlx"]["state"] == "ok"


def test_an_invalid_protocol_is_a_failure_that_names_the_field(cli: Cli, ready: Recipe) -> None:
    ready.edit_protocol(lambda p: p["execution"].update(command="a | b"))
    ready.commit()
    report = cli.json("doctor", "--repo", ready.path)
    assert report["failed"] == ["recipe"]
    assert "execution.command" in checks(report)["recipe"]["found"]


def test_an_uncommitted_change_of_the_surface_is_a_failure_before_the_baseline(
    cli: Cli, ready: Recipe
) -> None:
    (ready.path / "train.py").write_text("print(1)\n")
    report = cli.json("doctor", "--repo", ready.path)
    assert report["failed"] == ["working tree"]


def test_a_harness_that_differs_from_its_commit_is_a_warning(cli: Cli, ready: Recipe) -> None:
    with (ready.path / "prepare.py").open("a") as file:
        file.write("# later\n")
    harness = checks(cli.json("doctor", "--repo", ready.path))["harness"]
    assert harness["state"] == "warning"


def test_an_interpreter_without_mlx_fails(cli: Cli, ready: Recipe, bare_python: Path) -> None:
    report = cli.json("doctor", "--repo", ready.path, "--python", bare_python)
    assert report["failed"] == ["mlx"]
    assert "autoresearch-mcp[cpu]" in checks(report)["mlx"]["fix"]


def test_a_recipe_that_imports_no_mlx_needs_none(
    cli: Cli, foreign: Recipe, bare_python: Path
) -> None:
    mlx = checks(cli.json("doctor", "--repo", foreign.path, "--python", bare_python))["mlx"]
    assert mlx["state"] == "ok"
    assert "imports none" in mlx["found"]


def test_a_cache_that_cannot_be_written_fails(cli: Cli, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = str(tmp_path / "file" / "cache")
    report = cli.json("doctor", "--repo", recipe.path, AUTORESEARCH_CACHE=cache)
    assert report["failed"] == ["data", "cache"]


def test_damaged_data_fails(cli: Cli, recipe: Recipe) -> None:
    assert cli("prepare", "--repo", recipe.path, "--profile", "tiny").returncode == 0
    (tokens,) = Path(cli.environment["AUTORESEARCH_CACHE"]).glob("*/train/tokens.npy")
    with tokens.open("ab") as file:
        file.write(b"\0")
    report = cli.json("doctor", "--repo", recipe.path)
    assert report["failed"] == ["data"]
    assert str(tokens) in checks(report)["data"]["found"]


def test_a_ledger_that_was_changed_fails(cli: Cli, ready: Recipe) -> None:
    path = ready.path / ".git" / "autoresearch" / "ledger.sqlite"
    Ledger(path).append(Exported(research="autoresearch/x", sha256="0" * 64))
    db = sqlite3.connect(path)
    db.execute("DROP TRIGGER event_is_never_changed")
    db.execute("UPDATE event SET body = replace(body, '0', '1')")
    db.commit()
    db.close()
    assert cli.json("doctor", "--repo", ready.path)["failed"] == ["ledger"]


def test_what_the_protocol_says_of_its_machine_is_held_against_this_one(
    cli: Cli, ready: Recipe
) -> None:
    found = checks(cli.json("doctor", "--repo", ready.path))
    hints = ("osHints", "packageManagers", "assetPrep")
    assert [found[name]["state"] for name in hints] == ["ok", "ok", "ok"]
    here = f"{platform.system()} {platform.machine()} is among them: "
    assert found["osHints"]["found"].startswith(here)
    assert found["packageManagers"]["found"].startswith("uv at /")
    assert "is there: Run `uv run prepare.py` once" in found["assetPrep"]["found"]


def test_another_system_a_missing_package_manager_and_missing_assets_are_warnings(
    cli: Cli, recipe: Recipe
) -> None:
    other = {"osHints": ["windows-amd64"], "packageManagers": ["uv", "no-such-manager >= 2", ""]}
    recipe.edit_protocol(lambda p: p["environment"].update(other))
    recipe.commit()
    found = checks(cli.json("doctor", "--repo", recipe.path))
    hints = ("osHints", "packageManagers", "assetPrep")
    assert [found[name]["state"] for name in hints] == ["warning", "warning", "warning"]
    assert found["osHints"]["found"].endswith("is not among them: windows-amd64")
    assert found["packageManagers"]["found"] == "not on PATH: no-such-manager >= 2, "
    assert found["assetPrep"]["fix"].startswith("Run `uv run prepare.py` once")


def test_a_protocol_that_hints_at_nothing_is_asked_for_nothing(cli: Cli, ready: Recipe) -> None:
    def say_nothing(protocol: dict[str, Any]) -> None:
        for name in ("osHints", "packageManagers", "assetPrep"):
            del protocol["environment"][name]

    ready.edit_protocol(say_nothing)
    ready.commit()
    found = checks(cli.json("doctor", "--repo", ready.path))
    assert not found.keys() & {"osHints", "packageManagers", "assetPrep"}


def test_the_options_of_the_server_are_checked_too(cli: Cli, ready: Recipe) -> None:
    options = ("--sandbox", "glass", "--asset", "/nowhere")
    done = cli("doctor", "--repo", ready.path, *options, "--json")
    found = checks(json.loads(done.stdout))

    assert done.returncode == 1
    assert "there is no sandbox 'glass'" in found["sandbox"]["found"]
    assert "/nowhere does not exist" in found["asset"]["found"]
