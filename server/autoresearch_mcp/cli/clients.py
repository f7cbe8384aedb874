"""The lines that connect a coding agent to this server."""

import json
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from autoresearch_mcp.effects.prepared import CACHE_VARIABLE


@dataclass(frozen=True, slots=True)
class Hint:
    """What to do for one client."""

    client: str
    where: str
    """Where the text goes: a shell, or a file."""
    text: str


def own_command() -> list[str]:
    """Return the absolute command line of this very program, for clients with a bare PATH."""
    script = Path(sys.executable).parent / "autoresearch-mcp"
    if script.exists():
        return [str(script)]
    return [sys.executable, "-P", "-m", "autoresearch_mcp"]


def hints(repository: str, python: Path | None = None) -> list[Hint]:
    """Return what to do for each well-known client, ready to copy.

    Args:
        repository: The recipe's repository, absolute.
        python: The recipe's interpreter, where the operator named one.
    """
    serve = [*own_command(), "serve", "--repo", repository]
    if python is not None:
        serve += ["--python", str(python.absolute())]
    # Clients start servers with hardly any of the person's environment.
    cache = os.environ.get(CACHE_VARIABLE)
    variables = {CACHE_VARIABLE: str(Path(cache).absolute())} if cache else {}
    line = shlex.join(serve)
    settings: dict[str, object] = {"command": serve[0], "args": serve[1:]}
    if variables:
        settings["env"] = variables
    desktop = {"mcpServers": {"autoresearch": settings}}
    vs_code = {"servers": {"autoresearch": {"type": "stdio", **settings}}}
    claude = "".join(f" --env {shlex.quote(f'{k}={v}')}" for k, v in variables.items())
    return [
        Hint("Claude Code", "shell", f"claude mcp add autoresearch{claude} -- {line}"),
        Hint("Codex", "shell", f"codex mcp add autoresearch{claude} -- {line}"),
        Hint("Claude Desktop", "claude_desktop_config.json", json.dumps(desktop)),
        Hint("Cursor", ".cursor/mcp.json", json.dumps(desktop)),
        Hint("VS Code", ".vscode/mcp.json", json.dumps(vs_code)),
    ]
