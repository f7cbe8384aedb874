"""Real Claude Code drives a whole loop, on what a scripted model tells it to call."""

import json

from .conftest import MODEL, World, claude_code
from .loop import BETTER, whole_loop
from .model import PREFIX, Model, Script


def play(world: World, script: Script, *options: str) -> Model:
    """Run `claude -p` with this server alone and its tools allowed."""
    command, *arguments = world.server(*options)
    config = world.folder / "mcp.json"
    server = {"command": command, "args": arguments}
    config.write_text(json.dumps({"mcpServers": {"autoresearch": server}}))
    flags = ["--strict-mcp-config", "--mcp-config", config, "--allowedTools", PREFIX]
    return world.play(
        script,
        [claude_code(), "-p", "Improve the recipe.", *flags],
        ANTHROPIC_BASE_URL=MODEL,
        ANTHROPIC_API_KEY="nobody",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
        ENABLE_TOOL_SEARCH="false",
        MCP_CONNECTION_NONBLOCKING="0",
    )


def test_claude_code_drives_a_whole_loop(world: World) -> None:
    model = play(world, whole_loop())

    assert [c.tool for c in model.calls if c.tool != "wait_trial"] == [
        *("read_recipe", "run_trial", "apply_edit"),
        *("apply_edit", "run_trial", "commit_or_revert"),
        *("apply_edit", "run_trial", "commit_or_revert", "recall_research"),
    ]
    assert [row[3] for row in world.recipe.log_rows()] == ["keep", "discard", "keep"]
    assert BETTER in world.recipe.git("show", "HEAD:train.py")
    told = json.dumps(model.requests[-1])
    assert "commit_or_revert" in told
    assert "do not ask whether to go on" in told
    assert all(len(result.text.encode()) < 8192 for result in model.results)
    assert all(result.json["next_step"] for result in model.results if "{" in result.text)
