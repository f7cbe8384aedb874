"""`autoresearch-mcp certify`: what the research has gained, from runs that took no part in it."""

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

from autoresearch_mcp.cli.options import Commands, add_json, add_trial_options, rooms_of
from autoresearch_mcp.session.certifying import Calls, CertificateView, Stopped, certify

if TYPE_CHECKING:
    from autoresearch_mcp.cli.paper import Paper

_PAIRS = 3
_MOST_PAIRS = 100
_NEGATIVE, _INTERRUPTED = 1, 130


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "certify",
        parents=[common],
        help="measure the gain over the baseline with fresh runs",
        description=(
            "Run the baseline and the incumbent in turns, with seeds that no trial had, and print "
            "the gain with an interval that holds the truth 9 times in 10. What the trials showed "
            "was chosen for looking good; these runs were not, and no verdict ever uses them. "
            "Waits for the machine while a trial is running."
        ),
        epilog="Exit status: 0 a gain, 1 the interval reaches nothing, 3 a person must act.",
    )
    parser.add_argument(
        "-k", "--pairs", type=_pairs, default=_PAIRS, help="pairs of runs (default: %(default)s)"
    )
    add_trial_options(parser)
    add_json(parser)
    parser.set_defaults(command=_certify)


def _pairs(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= _MOST_PAIRS):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {_MOST_PAIRS}")
    return int(text)


def _certify(options: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stop.set())
    calls = Calls(
        tell=lambda line: print(line, file=sys.stderr, flush=True), is_stopped=stop.is_set
    )
    try:
        found = certify(rooms_of(options), options.pairs, calls)
    except Stopped:
        print("stopped; the runs made so far stay in the ledger", file=sys.stderr)
        return _INTERRUPTED
    if options.json:
        print(found.model_dump_json(indent=2))
    else:
        _show(found)
    return 0 if found.is_a_gain else _NEGATIVE


def _show(found: CertificateView) -> None:
    from autoresearch_mcp.cli.paper import Paper  # noqa: PLC0415 - see show.py

    show(Paper(), found)


def show(paper: "Paper", found: CertificateView) -> None:
    """Print a certificate."""
    margin = "" if found.margin is None else f" +- {found.margin:.6f}"
    paper.fact("gain", f"{found.gain:+.6f}{margin} {found.metric}, {found.pairs} fresh pairs")
    if found.holdout_gain is not None:
        within = "" if found.holdout_margin is None else f" +- {found.holdout_margin:.6f}"
        paper.fact("holdout", f"{found.holdout_gain:+.6f}{within}, rows that no trial saw")
    paper.fact("selected", f"{found.selected_gain:+.6f} by the trials themselves: optimistic")
    if not found.is_a_gain:
        paper.say("The interval reaches nothing: this is no proof of a gain.", "yellow")
    if found.warning:
        paper.say(f"Warning: {found.warning}", "yellow")
