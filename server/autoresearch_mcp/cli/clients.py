"""The clients that this server is known to, and what each has to be told."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoresearch_mcp.core import jsonc, tomltable
from autoresearch_mcp.effects.prepared import CACHE_VARIABLE

NAME = "autoresearch"
_CALL_SECONDS = 1200
"""What a client is told that one call may take: more than the server ever waits by itself."""
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Hint:
    """What to do for one client."""

    client: str
    where: str
    """Where the text goes: a shell, or a file."""
    text: str


@dataclass(frozen=True, slots=True)
class Server:
    """How a client starts this server for one recipe.

    Args:
        repository: The recipe's repository, absolute.
        command: The program and its arguments, absolute.
        variables: What the program finds in its environment.
    """

    repository: Path
    command: Sequence[str]
    variables: dict[str, str]

    @property
    def settings(self) -> dict[str, Any]:
        """Return what every client's settings have in common."""
        found: dict[str, Any] = {"command": self.command[0], "args": list(self.command[1:])}
        return {**found, "env": self.variables} if self.variables else found


@dataclass(frozen=True, slots=True)
class Client:
    """One client's settings file.

    Args:
        title: What people call it.
        file: Where its settings are.
        path: Where in them the server stands.
        entry: What stands there.
        toml: Whether it is TOML; else JSON, comments allowed.
    """

    title: str
    file: Callable[[], Path]
    path: Callable[[Server], Sequence[str]]
    entry: Callable[[Server], dict[str, Any]]
    toml: bool = False

    def found(self, text: str, server: Server) -> object | None:
        """Return what the settings say of this server; None where they say nothing."""
        return (tomltable if self.toml else jsonc).entry(text, self.path(server))

    def added(self, text: str, server: Server, entry: dict[str, Any]) -> str:
        """Return the settings with the server in them."""
        return (tomltable if self.toml else jsonc).added(text, self.path(server), entry)

    def removed(self, text: str, server: Server) -> str:
        """Return the settings without the server."""
        return (tomltable if self.toml else jsonc).removed(text, self.path(server))


def server_of(repository: str, python: Path | None = None) -> Server:
    """Return how to start this very program for a recipe.

    Args:
        repository: The recipe's repository, absolute.
        python: The recipe's interpreter, where the operator named one.
    """
    command = [*own_command(), "serve", "--repo", repository]
    if python is not None:
        command += ["--python", str(python.absolute())]
    # Clients start servers with hardly any of the person's environment.
    cache = os.environ.get(CACHE_VARIABLE)
    variables = {CACHE_VARIABLE: str(Path(cache).absolute())} if cache else {}
    return Server(Path(repository), command, variables)


def own_command() -> list[str]:
    """Return the absolute command line of this very program, for clients with a bare PATH."""
    script = Path(sys.executable).parent / "autoresearch-mcp"
    if script.exists():
        return [str(script)]
    return [sys.executable, "-P", "-m", "autoresearch_mcp"]


def _claude_code() -> Path:
    named = os.environ.get("CLAUDE_CONFIG_DIR")
    return (Path(named) if named else Path.home()) / ".claude.json"


def _codex() -> Path:
    named = os.environ.get("CODEX_HOME")
    return (Path(named) if named else Path.home() / ".codex") / "config.toml"


def _settings(*path: str) -> Path:
    """Return a file in the folder that holds the settings of desktop programs."""
    if sys.platform == "darwin":
        return Path.home().joinpath("Library", "Application Support", *path)
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".config").joinpath(*path)


CLIENTS = {
    "claude-code": Client(
        "Claude Code",
        _claude_code,
        # As `claude mcp add` does it: for this project alone, in no file of the repository.
        lambda server: ("projects", str(server.repository), "mcpServers", NAME),
        lambda server: {"type": "stdio", **server.settings, "timeout": _CALL_SECONDS * 1000},
    ),
    "codex": Client(
        "Codex",
        _codex,
        lambda _: ("mcp_servers", NAME),
        lambda server: {
            **server.settings,
            "startup_timeout_sec": _START_SECONDS,
            "tool_timeout_sec": _CALL_SECONDS,
        },
        toml=True,
    ),
    "claude-desktop": Client(
        "Claude Desktop",
        lambda: _settings("Claude", "claude_desktop_config.json"),
        lambda _: ("mcpServers", NAME),
        lambda server: server.settings,
    ),
    "cursor": Client(
        "Cursor",
        lambda: Path.home() / ".cursor" / "mcp.json",
        lambda _: ("mcpServers", NAME),
        lambda server: server.settings,
    ),
    "vscode": Client(
        "VS Code",
        lambda: _settings("Code", "User", "mcp.json"),
        lambda _: ("servers", NAME),
        lambda server: {"type": "stdio", **server.settings},
    ),
}


def hints(repository: str, python: Path | None = None) -> list[Hint]:
    """Return what to do for each well-known client, ready to copy.

    Args:
        repository: The recipe's repository, absolute.
        python: The recipe's interpreter, where the operator named one.
    """
    server = server_of(repository, python)
    line = shlex.join(server.command)
    variables = "".join(
        f" --env {shlex.quote(f'{name}={text}')}" for name, text in server.variables.items()
    )
    lines = [
        Hint("Claude Code", "shell", f"claude mcp add {NAME}{variables} -- {line}"),
        Hint("Codex", "shell", f"codex mcp add {NAME}{variables} -- {line}"),
    ]
    for key, where in {
        "claude-desktop": "claude_desktop_config.json",
        "cursor": ".cursor/mcp.json",
        "vscode": ".vscode/mcp.json",
    }.items():
        client = CLIENTS[key]
        section = client.path(server)[0]
        text = json.dumps({section: {NAME: client.entry(server)}})
        lines.append(Hint(client.title, where, text))
    return lines
