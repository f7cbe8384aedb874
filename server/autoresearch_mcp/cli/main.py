"""Parse the command line and hand it to the command that it names."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from autoresearch_mcp.cli.options import Commands, absolute
from autoresearch_mcp.core.errors import Fault, Refusal

_FAULT = 3
"""Exit status where a person must act; 0 is success, 1 a negative finding, 2 wrong usage."""

_INTERRUPTED = 130

_COMMANDS = (
    *("demo", "init", "setup", "prepare", "protocol", "serve", "status", "show", "restore"),
    *("overrule", "certify", "report", "finish", "install", "uninstall", "ledger", "doctor"),
    *("tools", "_trial"),
)
"""In the order in which --help tells of them."""
_MODULES = {"uninstall": "install", "_trial": "trial"}
"""Where a command is in a module of another name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parse(arguments)
    try:
        return options.command(options)
    except (Fault, Refusal, OSError) as error:
        print(f"autoresearch-mcp: {error}", file=sys.stderr)
        return _FAULT
    except KeyboardInterrupt:
        return _INTERRUPTED
    except EOFError:  # Ctrl-D at a question
        print("\nautoresearch-mcp: no answer: nothing more was done", file=sys.stderr)
        return _FAULT


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser, commands = _parser(_modules(arguments))
    options, unknown = parser.parse_known_args(arguments)
    if unknown:  # the command's own usage says what there is, not the whole program's
        commands.choices[options.command_name].error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _modules(arguments: Sequence[str]) -> Iterable[str]:
    """Return the module of the command that is named first; all of them where none is.

    The others stay unloaded: together they take as long to load as all that the server does itself.
    """
    named = [name for name in arguments[:1] if name in _COMMANDS]
    return dict.fromkeys(_MODULES.get(name, name) for name in named or _COMMANDS)


def _parser(modules: Iterable[str]) -> tuple[argparse.ArgumentParser, Commands]:
    parser = argparse.ArgumentParser(
        prog="autoresearch-mcp",
        description="Let a coding agent drive machine-learning research while the server judges.",
        epilog=(
            "Begin with `autoresearch-mcp demo`. `autoresearch-mcp COMMAND --help` says more. "
            "Exit status: 0 done, 1 a negative finding, 2 wrong usage, 3 a person must act."
        ),
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {version('autoresearch-mcp')}"
    )
    commands = parser.add_subparsers(
        title="commands", dest="command_name", metavar="COMMAND", required=True
    )
    for name in modules:
        module = import_module(f"autoresearch_mcp.cli.{name}")
        module.register(commands, _common())
    return parser, commands


def _common() -> argparse.ArgumentParser:
    """Return the options that every command about a recipe has."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--repo",
        type=Path,
        default=Path(),
        metavar="PATH",
        help="the recipe's git repository, or a folder in it (default: the current folder)",
    )
    common.add_argument(
        "--python",
        type=absolute,
        metavar="PATH",
        help="the recipe's interpreter (default: its .venv, or .venv-* where the "
        "server runs there, else the server's own)",
    )
    common.set_defaults(
        evidence="strict", sandbox=None, allow_network=False, memory=None, asset=None
    )
    common.set_defaults(trials_at_once=1)
    common.set_defaults(audit="keeps")
    return common
