"""The real clients find what `install` wrote."""

import json
import subprocess
import sys

from .conftest import World, claude_code, codex


def run(world: World, *command: object) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=world.recipe.path,
        env=world.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(world: World, client: str, command: str = "install") -> str:
    repo = ("--repo", world.recipe.path)
    return run(world, sys.executable, "-m", "autoresearch_mcp", command, client, *repo)


def test_claude_code_connects_to_what_install_wrote(slow_world: World) -> None:
    install(slow_world, "claude-code")
    listed = run(slow_world, claude_code(), "mcp", "list")
    install(slow_world, "claude-code", "uninstall")
    without = run(slow_world, claude_code(), "mcp", "list")

    assert "autoresearch" in listed
    assert "Connected" in listed
    assert "autoresearch:" not in without


def test_codex_reads_what_install_wrote(slow_world: World) -> None:
    install(slow_world, "codex")
    (listed,) = json.loads(run(slow_world, codex(), "mcp", "list", "--json"))

    assert listed["name"] == "autoresearch"
    assert listed["enabled"]
    assert listed["tool_timeout_sec"] == 1200
    assert str(slow_world.recipe.path) in listed["transport"]["args"]
