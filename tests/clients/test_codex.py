"""Real Codex drives a whole loop, on what a scripted model tells it to call."""

import json

from .conftest import MODEL, World, codex
from .loop import BETTER, lost_call, patient, whole_loop
from .model import Model, Script

CONFIG = """\
model = "scripted"
model_provider = "scripted"
approval_policy = "never"
sandbox_mode = "workspace-write"
[analytics]
enabled = false
[mcp_servers.autoresearch]
command = {command}
args = {arguments}
required = true
startup_timeout_sec = 60
{more}
[mcp_servers.autoresearch.env]
AUTORESEARCH_CACHE = {cache}
"""
PROVIDER = f'{{name = "scripted", base_url = "{MODEL}/v1", wire_api = "responses"}}'


def play(world: World, script: Script, *options: str, more: str = "") -> Model:
    """Run `codex exec` with this server; nobody is there to approve anything."""
    command, *arguments = world.server(*options)
    home = world.folder / "codex"
    home.mkdir()
    text = CONFIG.format(
        command=json.dumps(command),
        arguments=json.dumps(arguments),
        cache=json.dumps(world.environment["AUTORESEARCH_CACHE"]),
        more=more,
    )
    (home / "config.toml").write_text(text)
    flags = ["--skip-git-repo-check", "-c", f"model_providers.scripted={PROVIDER}"]
    return world.play(
        script, [codex(), "exec", *flags, "Improve the recipe."], CODEX_HOME=str(home)
    )


def test_codex_drives_a_whole_loop(world: World) -> None:
    model = play(world, whole_loop())

    assert [row[3] for row in world.recipe.log_rows()] == ["keep", "discard", "keep"]
    assert BETTER in world.recipe.git("show", "HEAD:train.py")
    assert "do not ask whether to go on" in json.dumps(model.requests[-1])
    assert all(len(result.text.encode()) < 8192 for result in model.results)


def test_codex_waits_for_a_trial_that_outlasts_its_own_limit(slow_world: World, full: bool) -> None:
    options, limit = ((), "") if full else (("--max-wait", "2"), "tool_timeout_sec = 4")
    model = play(slow_world, patient(), *options, more=limit)

    assert "wait_trial" in [call.tool for call in model.calls]


def test_a_call_that_codex_gives_up_on_does_not_end_the_trial(slow_world: World) -> None:
    play(slow_world, lost_call(3600), "--max-wait", "3600", more="tool_timeout_sec = 2")

    assert [row[3] for row in slow_world.recipe.log_rows()] == ["keep"]
