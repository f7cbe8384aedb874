"""`autoresearch-mcp _trial`: the process of one trial; the server starts it, nobody else."""

import argparse

from autoresearch_mcp.cli.options import Commands, add_trial_options, rooms_of
from autoresearch_mcp.core.trial import ProcessId
from autoresearch_mcp.session.conduct import conduct


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command, unlisted."""
    parser = commands.add_parser("_trial", parents=[common])
    add_trial_options(parser)
    parser.add_argument("trial", type=int)
    parser.add_argument("--server", type=ProcessId.model_validate_json)
    parser.add_argument("--resumption", type=int)
    parser.set_defaults(command=_trial)


def _trial(options: argparse.Namespace) -> int:
    conduct(rooms_of(options, options.server), options.trial, options.resumption)
    return 0
