"""`autoresearch-mcp report`: the story of a night on one page."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from autoresearch_mcp.cli.options import Commands, rooms_of
from autoresearch_mcp.core import story
from autoresearch_mcp.session.reporting import report


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        parents=[common],
        help="write the story of the research as one page",
        description=(
            "Write one self-contained page about the research run that HEAD is on: what was kept, "
            "its diffs and its evidence, the certificate, every trial, and in HTML a chart. "
            "Changes nothing else."
        ),
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--html", action="store_true", help="write HTML (default: Markdown)")
    form.add_argument("--markdown", action="store_true", help="write Markdown")
    form.add_argument("--json", action="store_true", help="write one JSON object")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write there (default: standard output)"
    )
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    told = report(rooms_of(options))
    if options.json:
        text = json.dumps(asdict(told), indent=2) + "\n"
    else:
        text = story.html(told) if options.html else story.markdown(told)
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text, encoding="utf-8")
        print(options.output)
    return 0
