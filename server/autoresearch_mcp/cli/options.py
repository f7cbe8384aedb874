"""What the commands share: the types of the parser, and the recipe they are about."""

import argparse
import math
import os
from pathlib import Path
from typing import TypeAlias, get_args

from autoresearch_mcp.core.case import Preset
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.trial import ProcessId
from autoresearch_mcp.effects.prepared import CACHE_VARIABLE
from autoresearch_mcp.session.rooms import Options, Rooms

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
"""The parser's own type for sub-commands, which has no public name."""

_MOST = 2**31
"""More trials than anybody will run; SQLite takes no larger number than 2**63."""

_HIGHEST_PORT = 65535


def add_trial_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the commands that run and judge trials."""
    parser.add_argument(
        "--sandbox",
        metavar="NAME",
        help="what holds a run to its own files: auto (the default: the best that works "
        "here), none, landlock+seccomp, bubblewrap+seccomp, bubblewrap+landlock+seccomp, seatbelt",
    )
    parser.add_argument(
        "--allow-network",
        action="store_true",
        help="let runs use the network where protocol.json says networkPolicy full as well",
    )
    parser.add_argument(
        "--memory",
        type=positive,
        metavar="GIB",
        help="the most memory of a run, where the sandbox can cap it (default: nine tenths of "
        "the machine's)",
    )
    parser.add_argument(
        "--asset",
        type=absolute,
        action="append",
        metavar="PATH",
        help="data outside the repository that runs may read, at the same place below their own "
        "HOME, holdouts of prepared data apart; may be given again (default: ~/.cache/autoresearch "
        "for a recipe that prepares its own data)",
    )
    parser.add_argument(
        "--trials-at-once",
        type=whole,
        default=1,
        metavar="N",
        help="how many trials of different recipes may run on this machine at the same time; they "
        "share its cores and its memory, which makes their clocks less alike (default: 1)",
    )
    parser.add_argument(
        "--evidence",
        choices=get_args(Preset),
        default="strict",
        help="the rule that keeps or discards: strict runs again until the evidence is 20:1, "
        "explore until 2:1, single compares one run each (default: %(default)s)",
    )
    parser.add_argument(
        "--audit",
        choices=["keeps", "all"],
        default="keeps",
        help="whose claims a second process must confirm without the labels: those of trials that "
        "would be kept, or of all (default: %(default)s)",
    )


def absolute(text: str) -> Path:
    """Read a path for whoever starts in another folder, as a trial's process does."""
    return Path(text).expanduser().absolute()


def positive(text: str) -> float:
    """Read an option's number, which must be finite and above 0.

    Raises:
        argparse.ArgumentTypeError: It is not.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option of the commands whose answer a program may want."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def add_trial(parser: argparse.ArgumentParser) -> None:
    """Add the argument of the commands that are about one trial."""
    parser.add_argument("trial", type=whole, metavar="TRIAL", help="the trial's number")


def whole(text: str) -> int:
    """Read a whole number above 0.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < _MOST):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def port(text: str) -> int:
    """Read the number of a TCP port, 0 for a free one.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(_HIGHEST_PORT))
    if not is_number or int(text) > _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port, 0 to {_HIGHEST_PORT}")
    return int(text)


def folder_of(options: argparse.Namespace) -> Path:
    """Return the folder that --repo names, absolute.

    Raises:
        Fault: The current folder is gone.
    """
    try:
        return options.repo.absolute()
    except FileNotFoundError as error:
        raise Fault("the current folder does not exist any more: go to another one") from error


def rooms_of(options: argparse.Namespace, server: ProcessId | None = None) -> Rooms:
    """Open the recipe that --repo names.

    Args:
        options: The command line.
        server: The server whose end ends its trials, where the operator wants that.

    Raises:
        Fault: There is none that can be used.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        os.environ[CACHE_VARIABLE] = str(absolute(named))
    return Rooms.open(folder_of(options), chosen_in(options, server))


def chosen_in(options: argparse.Namespace, server: ProcessId | None = None) -> Options:
    """Return what the operator chose on the command line; `server` as in `rooms_of`."""
    return Options(
        python=options.python,
        preset=options.evidence,
        sandbox=options.sandbox,
        allow_network=options.allow_network,
        memory_gib=options.memory,
        assets=tuple(options.asset) if options.asset else None,
        trials_at_once=options.trials_at_once,
        audits_all=options.audit == "all",
        server=server,
    )
