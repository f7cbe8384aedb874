"""`autoresearch-mcp serve`: speak MCP over stdio."""

import argparse
import signal

from autoresearch_mcp.cli.options import Commands, add_trial_options, positive, rooms_of
from autoresearch_mcp.effects.processes import identify


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        parents=[common],
        help="speak MCP over stdio; a client starts this",
        description="Speak MCP over stdio for the recipe in --repo. A client starts this.",
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
    parser.set_defaults(command=_serve)


def _serve(options: argparse.Namespace) -> int:
    # Loading the SDK takes most of a second: commands that need no MCP do without it.
    from autoresearch_mcp.tools import build_server  # noqa: PLC0415

    me = identify() if options.on_exit == "kill" else None
    rooms = rooms_of(options, me)
    rooms.ledger.check()
    server = build_server(rooms, max_wait=options.max_wait)
    # The server holds nothing that needs tidying: trials are processes of their own, and
    # the ledger survives any death. Ending at once beats waiting for the client's stdin.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    server.run("stdio")
    return 0
