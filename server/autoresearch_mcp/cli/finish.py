"""`autoresearch-mcp finish`: hand the research branch over to its owner."""

import argparse

from autoresearch_mcp.cli.options import Commands, add_json, rooms_of
from autoresearch_mcp.session.finishing import Finished, finish


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "finish",
        parents=[common],
        help="commit the log's last rows and say how to take the branch in",
        description=(
            "Bring the research branch to a state to hand over: one commit for each kept change, "
            "its evidence in the message, and a last one with the results log's remaining rows. "
            "Prints how to merge or squash it, or open a pull request from it; does none of "
            "these. Research can go on afterwards."
        ),
    )
    parser.add_argument(
        "--apply",
        action="store_true",
        help="carry out the verdict first that waits for commit_or_revert",
    )
    add_json(parser)
    parser.set_defaults(command=_finish)


def _finish(options: argparse.Namespace) -> int:
    found = finish(rooms_of(options), apply=options.apply)
    if options.json:
        print(found.model_dump_json(indent=2))
    else:
        _print(found)
    return 0


def _print(found: Finished) -> None:
    from autoresearch_mcp.cli.paper import Paper  # noqa: PLC0415 - see show.py

    paper = Paper()
    paper.fact("branch", f"{found.branch}, from {found.base[:7]}")
    if not found.kept:
        paper.fact("kept", "nothing: no change was better than the baseline")
    for change in found.kept:
        paper.fact("kept", f"{change.commit[:7]} {change.subject} (trial {change.trial_id})")
    if found.log_commit:
        paper.fact("log", f"{found.log_commit[:7]} holds the results log's last rows")
    for note in found.notes:
        paper.fact("note", note)
    if found.kept:
        paper.say()
        for way in found.ways:
            paper.fact(way.name, way.command)
        paper.say("Then open it where your repository is hosted.", "dim")
