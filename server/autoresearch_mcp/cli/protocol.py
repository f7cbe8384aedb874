"""`autoresearch-mcp protocol`: what a protocol.json may be, and whether one is."""

import argparse
import json
from pathlib import Path

from autoresearch_mcp.cli.options import Commands, add_json, folder_of
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.protocol_jsonschema import json_schema
from autoresearch_mcp.session import contract
from autoresearch_mcp.session.contract import Lint
from autoresearch_mcp.session.recipe import PROTOCOL_FILE

_NEGATIVE = 1


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its two parts."""
    parser = commands.add_parser(
        "protocol",
        help="check a protocol.json, or print the JSON Schema of one",
        description="Check a protocol.json, or print the JSON Schema of one.",
    )
    parts = parser.add_subparsers(title="parts", metavar="PART", required=True)
    check = parts.add_parser(
        "check",
        parents=[common],
        help="say everything that is wrong with a protocol.json, and what to know of it",
        description=(
            "Check a protocol.json as it is on disk, committed or not: every problem with its "
            "place, and notes on what is only shown or not proved."
        ),
        epilog="Exit status: 0 trials may run under it, 1 they may not, 3 it cannot be read.",
    )
    check.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help=f"the document (default: {PROTOCOL_FILE} in --repo)",
    )
    add_json(check)
    check.set_defaults(command=_check)
    schema = parts.add_parser(
        "schema",
        help="print the JSON Schema of protocol.json",
        description="Print the JSON Schema (2020-12) of protocol.json, versions 1.0 and 1.1.",
    )
    schema.set_defaults(command=_schema)


def _check(options: argparse.Namespace) -> int:
    file = options.file or folder_of(options) / PROTOCOL_FILE
    try:
        found = contract.check(file)
    except Fault:
        if options.file is None and not file.exists():
            raise Fault(f"there is no {file}: write one with `autoresearch-mcp init`") from None
        raise
    if options.json:
        print(found.model_dump_json(indent=2))
    else:
        _show(found)
    return 0 if found.valid else _NEGATIVE


def _show(found: Lint) -> None:
    from autoresearch_mcp.cli.paper import Paper  # noqa: PLC0415 - rich is slow to load

    paper = Paper()
    for word, lines in (("failed", found.problems), ("note", found.notes)):
        for line in lines:
            paper.word(word, f"{line.path}: {line.message}" if line.path else line.message)
    count = len(found.problems)
    verdict = "valid" if found.valid else f"{count} problem{'s' if count > 1 else ''}"
    paper.word("ok" if found.valid else "failed", f"{found.file}: {verdict}")


def _schema(_options: argparse.Namespace) -> int:
    print(json.dumps(json_schema(), indent=2))
    return 0
