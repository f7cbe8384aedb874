import subprocess
import sys

import pytest

from .conftest import Cli, Recipe

COMMANDS = (
    *("demo", "prepare", "serve", "status", "show", "restore", "finish"),
    *("ledger", "doctor", "tools"),
)


def test_an_unknown_command_is_wrong_usage_and_names_the_known_ones(cli: Cli) -> None:
    done = cli("bogus")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert all(command in done.stderr for command in COMMANDS)


def test_an_unknown_option_is_answered_with_the_usage_of_its_command(cli: Cli) -> None:
    done = cli("serve", "--bogus")
    assert done.returncode == 2
    assert "usage: autoresearch-mcp serve" in done.stderr
    assert "--bogus" in done.stderr


@pytest.mark.parametrize("number", ["70000", "65536", "-1", "9" * 5000, "http", "1.5"])
def test_a_port_that_is_none_is_wrong_usage(cli: Cli, number: str) -> None:
    done = cli("serve", "--http", f"--port={number}")
    assert done.returncode == 2
    assert done.stderr.endswith(f"argument --port: {number} is not a port, 0 to 65535\n")


def test_the_help_lists_every_command_a_person_needs(cli: Cli) -> None:
    done = cli("--help")
    assert done.returncode == 0
    assert all(f"    {command} " in done.stdout for command in COMMANDS)
    assert "_trial" not in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert done.returncode == 0
    assert f"usage: autoresearch-mcp {command}" in done.stdout


def test_a_command_line_that_needs_no_mcp_loads_none() -> None:
    code = (
        "import atexit, sys; from autoresearch_mcp.cli.main import main\n"
        "slow = ('anyio', 'git', 'mcp', 'rich')\n"
        "atexit.register(lambda: print([n for n in slow if n in sys.modules], file=sys.stderr))\n"
        "main(['--help'])"  # which loads every command's module
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "certify" in done.stdout
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("command", ["status", "prepare", "tools", "serve"])
def test_a_folder_outside_every_repository_is_one_line_and_exit_3(cli: Cli, command: str) -> None:
    done = cli(command)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("autoresearch-mcp: ")
    assert done.stderr.count("\n") == 1
    assert "git init" in done.stderr


@pytest.mark.parametrize("command", ["status", "prepare", "tools", "serve"])
def test_a_repository_without_a_protocol_is_one_line_and_exit_3(
    cli: Cli, recipe: Recipe, command: str
) -> None:
    recipe.git("rm", "--quiet", "protocol.json")
    recipe.commit()
    done = cli(command, "--repo", recipe.path)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "protocol.json is not committed" in done.stderr


def test_an_invalid_protocol_is_told_field_by_field(cli: Cli, recipe: Recipe) -> None:
    recipe.edit_protocol(lambda p: p["mutableSurface"].update(allowedGlobs=[]))
    recipe.commit()
    done = cli("status", "--repo", recipe.path)
    assert done.returncode == 3
    assert "mutableSurface.allowedGlobs" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_table_of_tools_has_each_tool_with_its_arguments(cli: Cli, recipe: Recipe) -> None:
    done = cli("tools", "--markdown", "--repo", recipe.path)
    lines = done.stdout.splitlines()
    names = [line.split("`")[1] for line in lines[2:]]
    assert sorted(names) == [
        *("apply_edit", "cancel_trial", "commit_or_revert", "get_metrics"),
        *("read_recipe", "recall_research", "run_trial", "wait_trial"),
    ]
    assert all(line.count("|") == 4 for line in lines)
    (run_trial,) = (line for line in lines if "`run_trial`" in line)
    assert "`hypothesis`, `simplification`, `wait_s`" in run_trial


def test_the_tools_are_one_json_object(cli: Cli, recipe: Recipe) -> None:
    assert len(cli.json("tools", "--repo", recipe.path)["tools"]) == 8
