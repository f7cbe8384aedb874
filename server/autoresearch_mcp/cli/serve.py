"""`autoresearch-mcp serve`: speak MCP over stdio or HTTP."""

import argparse
import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch_mcp.cli.options import Commands, add_trial_options, port, positive, rooms_of
from autoresearch_mcp.effects.allocator import return_freed_memory
from autoresearch_mcp.effects.processes import identify
from autoresearch_mcp.effects.token import token_at
from autoresearch_mcp.session.statefolder import state_folder

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        parents=[common],
        help="speak MCP over stdio or HTTP; a client starts this",
        description="Speak MCP for the recipe in --repo: over stdio, which a client starts, or "
        "over HTTP.",
    )
    add_trial_options(parser)
    parser.add_argument(
        "--on-exit",
        choices=["keep", "kill"],
        default="keep",
        help="what becomes of a trial when the server ends, however it ends: it goes on, or it "
        "ends too (default: %(default)s)",
    )
    parser.add_argument(
        "--max-wait",
        type=positive,
        metavar="SECONDS",
        help="longest time one call waits for a trial (default: what the client is known to bear)",
    )
    parser.add_argument(
        "--read-only", action="store_true", help="offer only what changes nothing, for watchers"
    )
    parser.add_argument(
        "--tasks",
        choices=["auto", "off"],
        default="auto",
        help="whether clients that understand tasks get one for a trial instead of waiting inside "
        "the call (default: %(default)s)",
    )
    web = parser.add_argument_group("HTTP", "instead of stdio, for several clients at once")
    web.add_argument("--http", action="store_true", help="serve streamable HTTP at /mcp")
    web.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    web.add_argument("--port", type=port, default=8765, help="default: %(default)s; 0: a free one")
    web.add_argument("--public", action="store_true", help="allow an address others can reach")
    web.add_argument(
        "--token-file",
        type=Path,
        metavar="PATH",
        help="the secret that clients must show, made where it is missing (default: http-token "
        "in $XDG_STATE_HOME/autoresearch-mcp)",
    )
    parser.set_defaults(command=_serve)


def _serve(options: argparse.Namespace) -> int:
    # What is loaded now stays: looking through it for garbage, again and again, only takes time.
    gc.disable()
    return_freed_memory()
    # Loading the SDK takes most of a second: commands that need no MCP do without it.
    from autoresearch_mcp.tools import build_server  # noqa: PLC0415
    from autoresearch_mcp.tools.server import LONG  # noqa: PLC0415

    me = identify() if options.on_exit == "kill" else None
    rooms = rooms_of(options, me)
    rooms.ledger.check()
    server = build_server(
        rooms,
        max_wait=options.max_wait,
        read_only=options.read_only,
        tasks=LONG if options.tasks == "auto" else frozenset(),
    )
    gc.freeze()
    gc.enable()
    # The server holds nothing that needs tidying: trials are processes of their own, and
    # the ledger survives any death. Ending at once beats waiting for the client's stdin.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if options.http:
        _serve_http(server, options)
    else:
        server.run("stdio")
        sys.stderr.flush()
        os._exit(0)  # for the same reason: a call still under way must not hold the end up
    return 0


def _serve_http(server: "MCPServer", options: argparse.Namespace) -> None:
    from autoresearch_mcp.tools import http  # noqa: PLC0415

    path = options.token_file or state_folder() / "http-token"
    token = token_at(path.absolute())
    listener = http.listen(options.host, options.port, public=options.public)
    address = http.url_of(listener)
    print(f"serving {address}; header: Authorization: Bearer $(cat {path})", file=sys.stderr)
    http.serve(http.application(server, listener, token), listener)
