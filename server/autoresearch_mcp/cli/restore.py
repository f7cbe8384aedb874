"""`autoresearch-mcp restore`: make a trial's candidate the candidate again."""

import argparse

from autoresearch_mcp.cli.options import Commands, add_json, add_trial, rooms_of
from autoresearch_mcp.session.answers import EditAnswer
from autoresearch_mcp.session.restoring import restore


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "restore",
        parents=[common],
        help="put a trial's candidate back as the candidate",
        description=(
            "Put a trial's candidate back into the working tree as the next candidate, by the "
            "rules of any edit. Refused where it would overwrite a change that the ledger does "
            "not know, or while a trial is under way."
        ),
    )
    add_trial(parser)
    add_json(parser)
    parser.set_defaults(command=_restore)


def _restore(options: argparse.Namespace) -> int:
    restored = restore(rooms_of(options), options.trial)
    if options.json:
        print(f"[{', '.join(answer.model_dump_json() for answer in restored)}]")
    else:
        _print(options.trial, restored)
    return 0


def _print(trial: int, restored: tuple[EditAnswer, ...]) -> None:
    from autoresearch_mcp.cli.paper import Paper  # noqa: PLC0415 - see show.py

    paper = Paper()
    names = ", ".join(answer.path for answer in restored)
    paper.fact("restored", f"{names} as in trial {trial}; against the incumbent:")
    for answer in restored:
        paper.say()
        paper.diff(answer.diff)
    paper.fact("next", "your agent measures it with run_trial, or goes on editing")
