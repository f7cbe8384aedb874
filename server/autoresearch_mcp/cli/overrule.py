"""`autoresearch-mcp overrule`: a person decides otherwise than the rule."""

import argparse
import sys
from typing import get_args

from autoresearch_mcp.cli.options import Commands, add_json, add_trial, rooms_of
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.session.overruling import Choice, check, overrule

_MOST_CHARACTERS = 200


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "overrule",
        parents=[common],
        help="keep or discard a decided trial against the rule",
        description=(
            "Decide a trial that waits for commit_or_revert otherwise than the rule did, and carry "
            "that out. The ledger, the results log and the commit message say that a person did, "
            "and why. What is kept so counts as no evidence for later trials. It asks on a "
            "terminal before anything happens: an agent has none."
        ),
    )
    add_trial(parser)
    parser.add_argument("choice", choices=get_args(Choice), help="what to do with it")
    parser.add_argument(
        "--because", required=True, type=_reason, metavar="TEXT", help="why, one line"
    )
    add_json(parser)
    parser.set_defaults(command=_overrule)


def _reason(text: str) -> str:
    line = " ".join(text.split())
    if not 0 < len(line) <= _MOST_CHARACTERS or not line.isprintable():
        raise argparse.ArgumentTypeError(
            f"say why in one line of plain text, {_MOST_CHARACTERS} characters at most"
        )
    return line


def _overrule(options: argparse.Namespace) -> int:
    rooms = rooms_of(options)
    trial = check(rooms, options.trial, options.choice)
    if not _is_confirmed(trial, options.choice):
        print("nothing was changed", file=sys.stderr)
        return 1
    done = overrule(rooms, options.trial, options.choice, options.because)
    if options.json:
        print(done.model_dump_json(indent=2))
        return 0
    print(f"trial {done.trial_id}: {done.verdict.reason}")
    if done.commit:
        print(f"commit {done.commit} on {done.branch}")
    for note in done.notes:
        print(f"note: {note}")
    return 0


def _is_confirmed(trial: TrialRecord, choice: str) -> bool:
    """Ask the person at the terminal for the trial's number.

    Raises:
        Fault: There is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise Fault("overrule asks a person, and there is no terminal to ask at: type it in one")
    assert trial.verdict is not None
    print(f"trial {trial.id}: {trial.hypothesis}", file=sys.stderr)
    print(f"the rule: {trial.verdict.status}: {trial.verdict.reason}", file=sys.stderr)
    print(f"To {choice} it all the same, type its number: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == str(trial.id)
