"""`autoresearch-mcp setup`: run the protocol's setupCommands, once."""

import argparse
import json
import sys

from autoresearch_mcp.cli.options import Commands, add_json, rooms_of
from autoresearch_mcp.core.setupsteps import Step
from autoresearch_mcp.session import setup

_NEGATIVE = 1


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "setup",
        parents=[common],
        help="run the setupCommands of a recipe's protocol, once",
        description=(
            "Run the setupCommands of the committed protocol.json in the recipe's folder: as you, "
            "with network and without a sandbox. Each step's program is one of a closed list, and "
            "no shell is involved. pip and python are those of the recipe's .venv, which is made "
            "where it is missing."
        ),
        epilog="Exit status: 0 done, 1 a step failed or you said no, 3 it cannot be done.",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before the first step")
    parser.add_argument("--list", action="store_true", help="print the steps and run none")
    add_json(parser)
    parser.set_defaults(command=_setup)


def _setup(options: argparse.Namespace) -> int:
    rooms = rooms_of(options)
    steps = setup.steps(rooms)
    if options.list:
        texts = [step.text for step in steps]
        print(json.dumps({"steps": texts}, indent=2) if options.json else "\n".join(texts))
        return 0
    out = sys.stderr if options.json else sys.stdout
    if not (options.yes or not steps or _agreed(steps)):
        print("nothing was run; say --yes to run these steps", file=sys.stderr)
        return _NEGATIVE

    def announce(number: int, step: Step) -> None:
        print(f"[{number}/{len(steps)}] {step.text}", file=out, flush=True)

    done = setup.run(rooms, announce, quiet=options.json)
    failed = next((step for step in done if step.exit_code), None)
    if options.json:
        report = {"ok": failed is None, "steps": [step.model_dump() for step in done]}
        print(json.dumps(report, indent=2))
    elif failed is None:
        print("done" if steps else "the protocol names no setupCommands: nothing to do")
    if failed is not None:
        told = f"`{failed.command}` ended with exit status {failed.exit_code}: mend that, then try "
        print(f"autoresearch-mcp: {told}again", file=sys.stderr)
    return 0 if failed is None else _NEGATIVE


def _agreed(steps: list[Step]) -> bool:
    print("These steps of protocol.json run as you, with network and without a sandbox:")
    for step in steps:
        print(f"  {step.text}")
    if not sys.stdin.isatty():
        return False
    return input("Run them? [y/N] ").strip().lower() in {"y", "yes"}
