"""`autoresearch-mcp prepare`: run the recipe's own prepare.py."""

import argparse
import os
import sys
from pathlib import Path

from autoresearch_mcp.cli.options import Commands, add_json, rooms_of
from autoresearch_mcp.effects.prepared import CACHE_VARIABLE, cache_folder
from autoresearch_mcp.session import preparing


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "prepare",
        parents=[common],
        help="prepare the recipe's data, once",
        description=(
            "Prepare the recipe's data and tokenizer, once per machine: runs the recipe's own "
            "prepare.py in the recipe's interpreter. Trials use the data set prepared last. "
            "Without options it takes seconds and no network."
        ),
    )
    parser.add_argument(
        "--source",
        metavar="NAME",
        help="embedded: Python's own sources (the default); climbmix: a large download",
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help="full: 300 s a run; cpu: 30 s and a small model (default: full for climbmix where "
        "there is a GPU, else cpu)",
    )
    parser.add_argument(
        "--num-shards", type=int, metavar="N", help="climbmix: shards to train on (default: 10)"
    )
    parser.add_argument("--base-url", metavar="URL", help="climbmix: where the shards are")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help=f"where data is kept (default: ${CACHE_VARIABLE}, else ~/.cache/autoresearch)",
    )
    add_json(parser)
    parser.set_defaults(command=_prepare)


def _prepare(options: argparse.Namespace) -> int:
    passed_on = [
        part
        for name in ("source", "profile", "num_shards", "base_url", "cache")
        if (value := getattr(options, name)) is not None
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    if options.json:
        passed_on.append("--json")
    command = preparing.command(rooms_of(options), passed_on)
    chosen = options.cache and options.cache.expanduser().absolute()
    if chosen and chosen != cache_folder().absolute():
        note = f"note: trials look in {cache_folder()}; set {CACHE_VARIABLE}={chosen}"
        print(note, file=sys.stderr)
    # It takes this process's place, so that its output, Ctrl-C and exit status need no relay.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.stdout.flush()
    os.execv(command[0], command)
