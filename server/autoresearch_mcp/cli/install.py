"""`autoresearch-mcp install` and `uninstall`: tell a coding agent of this server, and untell it."""

import argparse

from autoresearch_mcp.cli.clients import CLIENTS, Client, Server, server_of
from autoresearch_mcp.cli.options import Commands, folder_of
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.repository import Repository
from autoresearch_mcp.effects.userfile import UserFile


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add both commands."""
    install = commands.add_parser(
        "install",
        parents=[common],
        help="tell a coding agent of this server",
        description=(
            "Add this server, for the recipe in --repo, to a coding agent's own settings: "
            "absolute paths, and time enough for a trial. Everything else in the file stays as it "
            "is, and a copy of the file is kept beside it."
        ),
    )
    install.add_argument("client", choices=CLIENTS, help="the coding agent")
    install.add_argument(
        "--print", action="store_true", help="print what would be added and where; change nothing"
    )
    install.set_defaults(command=_install)
    uninstall = commands.add_parser(
        "uninstall",
        parents=[common],
        help="take this server out of a coding agent's settings",
        description=(
            "Undo install: the file is what it was, byte for byte, unless something else in it "
            "changed meanwhile; that is kept then."
        ),
    )
    uninstall.add_argument("client", choices=CLIENTS, help="the coding agent")
    uninstall.set_defaults(command=_uninstall)


def _install(options: argparse.Namespace) -> int:
    client, server = CLIENTS[options.client], _server(options)
    file, entry = UserFile(client.file()), client.entry(server)
    if options.print:
        print(f"# in {file.path}")
        print(client.added("", server, entry), end="")
        return 0
    before = file.read()
    text = _text(file, before)
    after = _edited(file, client, text, server)
    if before is not None and client.found(text, server) is None:
        file.save(before)
    file.write(after.encode())
    kept = f"; what it was is in {file.backup}" if file.saved() is not None else ""
    print(f"{client.title}: added to {file.path}{kept}")
    print("Restart it, then say: Use the autoresearch tools. Start with read_recipe.")
    return 0


def _uninstall(options: argparse.Namespace) -> int:
    client, server = CLIENTS[options.client], _server(options)
    file = UserFile(client.file())
    text = _text(file, file.read())
    try:
        entry = client.found(text, server)
    except ValueError as error:
        raise _unreadable(file, error) from error
    if not isinstance(entry, dict):
        print(f"{client.title}: {file.path} says nothing of this server")
        return 0
    saved = file.saved()
    if client.added(_text(file, saved), server, entry) == text:  # pyright: ignore[reportUnknownArgumentType]
        file.remove() if saved is None else file.write(saved)
        file.forget()
        print(f"{client.title}: {file.path} is what it was")
        return 0
    try:
        file.write(client.removed(text, server).encode())
    except ValueError as error:
        raise _unreadable(file, error) from error
    print(f"{client.title}: removed from {file.path}; other changes in it are kept")
    return 0


def _server(options: argparse.Namespace) -> Server:
    return server_of(str(Repository.discover(folder_of(options)).root), options.python)


def _edited(file: UserFile, client: Client, text: str, server: Server) -> str:
    try:
        return client.added(text, server, client.entry(server))
    except ValueError as error:
        raise _unreadable(file, error) from error


def _text(file: UserFile, content: bytes | None) -> str:
    try:
        return (content or b"").decode()
    except UnicodeDecodeError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: UserFile, error: ValueError) -> Fault:
    return Fault(
        f"{file.path} cannot be edited: {error}; mend it, or add by hand what --print says"
    )
