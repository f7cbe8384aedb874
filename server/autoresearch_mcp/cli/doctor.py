"""`autoresearch-mcp doctor`: is everything in place, and what mends it."""

import argparse
import json

from autoresearch_mcp.cli.clients import Hint, hints
from autoresearch_mcp.cli.options import (
    Commands,
    add_json,
    add_trial_options,
    chosen_in,
    folder_of,
)
from autoresearch_mcp.session.checkup import Checkup, examine

_NEGATIVE = 1


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        parents=[common],
        help="check the machine and the recipe, and print the line for your agent",
        description=(
            "Check everything that trials need: Python, git, the repository and its protocol, the "
            "recipe's interpreter and MLX, the data, the disk, the ledger. Each finding comes with "
            "what mends it. Then print how to connect a coding agent. Changes nothing but caches. "
            "Give it the options that the server gets, and it checks those too."
        ),
        epilog="Exit status: 0 nothing failed (warnings do not count), 1 something failed.",
    )
    add_trial_options(parser)
    add_json(parser)
    parser.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    folder = folder_of(options)
    found = examine(folder, chosen_in(options))
    clients = hints(found.repository or str(folder), options.python)
    if options.json:
        print(json.dumps(_report(found, clients), indent=2))
    else:
        _show(found, clients)
    return _NEGATIVE if found.failed else 0


def _report(found: Checkup, clients: list[Hint]) -> dict[str, object]:
    return {
        "ok": not found.failed,
        **found.model_dump(),
        "clients": [{"client": h.client, "where": h.where, "text": h.text} for h in clients],
    }


def _show(found: Checkup, clients: list[Hint]) -> None:
    # rich takes 0.1 s to load, which a program that asks for JSON need not pay.
    from autoresearch_mcp.cli.paper import Paper  # noqa: PLC0415

    paper = Paper()
    for check in found.checks:
        paper.word(check.state, f"{check.name}: {check.found}")
        if check.fix:
            paper.word("", f"-> {check.fix}")
    paper.say()
    count = len(found.failed)
    verdict = "nothing failed" if not count else f"{count} failed: {', '.join(found.failed)}"
    paper.word("failed" if count else "ok", verdict)
    paper.heading("Connect an agent")
    for hint in clients:
        where = "in a shell" if hint.where == "shell" else f"in {hint.where}"
        paper.say(f"{hint.client}, {where}:", "bold")
        paper.say(f"  {hint.text}")
