"""Telling each coding agent of this server, and untelling it, without harm to its settings."""

import json
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli, Recipe

FILES = {
    "claude-code": ".claude.json",
    "codex": ".codex/config.toml",
    "claude-desktop": "config/Claude/claude_desktop_config.json",
    "cursor": ".cursor/mcp.json",
    "vscode": "config/Code/User/mcp.json",
}
BACKUP = ".before-autoresearch"
WITH_COMMENTS = """\
// my own
{
\t/* two servers */ "servers": {
\t\t"other": {"command": "x", "args": ["//no", "comment,]"],}, // kept
\t},
\t"inputs": [ 1, 2, ],
}
"""
TOML = """\
# my own
model = "gpt"   # kept

[mcp_servers.other]
command = "x"

[profiles.fast]
model = "small"
"""
BEFORE: dict[str, list[str | None]] = {
    "claude-code": [None, '{"numStartups": 3, "projects": {"/x": {"a": 1}}}', "{}"],
    "codex": [None, TOML, TOML.rstrip("\n"), "", "a = 1\r\n"],
    "claude-desktop": [None, "", "{}\n", '{"mcpServers": {}}', '{"a": 1}'],
    "cursor": [None, '{\n  "mcpServers": {\n    "b": {"command": "c"}\n  }\n}\n'],
    "vscode": [None, WITH_COMMENTS, "// nothing yet\n"],
}
CASES = [(client, before) for client, texts in BEFORE.items() for before in texts]


@pytest.fixture
def machine(cli: Cli) -> Cli:
    home = Path(cli.environment["HOME"])
    return Cli({**cli.environment, "XDG_CONFIG_HOME": str(home / "config")}, cli.folder)


def file_of(machine: Cli, client: str) -> Path:
    return Path(machine.environment["HOME"]) / FILES[client]


def write(file: Path, text: str | None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if text is not None:
        file.write_bytes(text.encode())


def settings(file: Path, client: str, recipe: Recipe) -> dict[str, Any]:
    if client == "codex":
        return tomllib.loads(file.read_text())["mcp_servers"]["autoresearch"]
    text = file.read_text()
    start = text.index('"autoresearch": ') + len('"autoresearch": ')
    found, _ = json.JSONDecoder().raw_decode(text, start)
    return found


@pytest.mark.parametrize(("client", "before"), CASES)
def test_install_adds_the_server_and_uninstall_leaves_every_byte_as_it_was(
    machine: Cli, recipe: Recipe, client: str, before: str | None
) -> None:
    file = file_of(machine, client)
    write(file, before)
    done = machine("install", client, "--repo", recipe.path)
    assert done.returncode == 0, done.stderr
    found = settings(file, client, recipe)
    folder = sorted(path.name for path in file.parent.iterdir())
    undone = machine("uninstall", client, "--repo", recipe.path)

    assert Path(found["command"]).is_absolute()
    assert found["args"][-3:] == ["serve", "--repo", str(recipe.path)]
    assert found["env"] == {"AUTORESEARCH_CACHE": machine.environment["AUTORESEARCH_CACHE"]}
    assert folder == sorted({file.name, *([] if before is None else [f"{file.name}{BACKUP}"])})
    assert undone.returncode == 0, undone.stderr
    assert (file.read_bytes().decode() if file.exists() else None) == before
    assert [p.name for p in file.parent.iterdir()] == ([] if before is None else [file.name])


@pytest.mark.parametrize("client", FILES)
def test_what_changed_meanwhile_is_kept(machine: Cli, recipe: Recipe, client: str) -> None:
    file = file_of(machine, client)
    write(file, BEFORE[client][1])
    machine("install", client, "--repo", recipe.path)
    mark = "# new\n" if client == "codex" else "\n"
    file.write_text(file.read_text() + mark)
    machine("uninstall", client, "--repo", recipe.path)
    left = file.read_text()

    assert "autoresearch" not in left.replace(str(recipe.path), "")
    assert left.endswith(mark)
    for kept in ('"other"', "[profiles.fast]", '"/x"', '"b"'):
        assert (kept in left) == (kept in (BEFORE[client][1] or ""))


@pytest.mark.parametrize("client", FILES)
def test_installing_twice_is_installing_once(machine: Cli, recipe: Recipe, client: str) -> None:
    file = file_of(machine, client)
    write(file, BEFORE[client][1])
    machine("install", client, "--repo", recipe.path)
    once = file.read_bytes()
    machine("install", client, "--repo", recipe.path)
    twice = file.read_bytes()
    machine("uninstall", client, "--repo", recipe.path)

    assert twice == once
    assert file.read_bytes().decode() == BEFORE[client][1]


@pytest.mark.parametrize("client", FILES)
def test_print_changes_nothing(machine: Cli, recipe: Recipe, client: str) -> None:
    done = machine("install", client, "--print", "--repo", recipe.path)

    assert str(file_of(machine, client)) in done.stdout
    assert str(recipe.path) in done.stdout
    assert not file_of(machine, client).exists()


@pytest.mark.parametrize(
    ("client", "broken"),
    [
        ("cursor", "{"),
        ("cursor", "[1]"),
        ("cursor", '{"mcpServers": 3}'),
        ("codex", "= 3"),
        ("codex", "mcp_servers = {other = {command = 'x'}}\n"),
    ],
)
def test_settings_that_cannot_be_edited_are_left_alone(
    machine: Cli, recipe: Recipe, client: str, broken: str
) -> None:
    file = file_of(machine, client)
    write(file, broken)
    done = machine("install", client, "--repo", recipe.path)

    assert done.returncode == 3
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
    assert file.read_text() == broken


def test_a_link_to_the_settings_stays_a_link_and_their_mode_stays(
    machine: Cli, recipe: Recipe, tmp_path: Path
) -> None:
    file = file_of(machine, "cursor")
    real = tmp_path / "dotfiles.json"
    real.write_text("{}\n")
    real.chmod(0o640)
    write(file, None)
    file.symlink_to(real)
    machine("install", "cursor", "--repo", recipe.path)

    assert file.is_symlink()
    assert "autoresearch" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_uninstalling_what_is_not_there_says_so(machine: Cli, recipe: Recipe) -> None:
    done = machine("uninstall", "vscode", "--repo", recipe.path)

    assert done.returncode == 0
    assert "says nothing" in done.stdout


def test_an_installed_command_starts_a_server(machine: Cli, recipe: Recipe) -> None:
    machine("install", "cursor", "--repo", recipe.path)
    found = settings(file_of(machine, "cursor"), "cursor", recipe)
    done = subprocess.run(
        [found["command"], *found["args"]],
        env=found["env"],
        input='{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n',
        capture_output=True,
        text=True,
        check=False,
    )

    assert json.loads(done.stdout)["id"] == 1
