"""`autoresearch-mcp ledger`: prove the record of everything, write it out, make its views anew."""

import argparse
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from autoresearch_mcp.cli.options import Commands, add_json, rooms_of
from autoresearch_mcp.effects.ledger import Progress
from autoresearch_mcp.session import bookkeeping
from autoresearch_mcp.session.answers import Answer

_FINDING = 1


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command and its three actions."""
    parser = commands.add_parser(
        "ledger",
        help="prove the record of everything, write it out, make its views anew",
        description="Look after the ledger, the record that everything else is derived from.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    verify = actions.add_parser(
        "verify",
        parents=[common],
        help="read all of it and prove that nothing was changed",
        description="Read the whole ledger: its file, its chain of hashes, and that its views are "
        "what its events add up to. Changes nothing. Exit status 1 where something was changed.",
    )
    verify.set_defaults(command=_verify)
    export = actions.add_parser(
        "export",
        parents=[common],
        help="write the results log, and the events if asked to",
        description="Write the results log of HEAD's research run into the working tree, as every "
        "verdict does. A file that somebody else changed is left alone: exit status 1.",
    )
    export.add_argument(
        "--events",
        type=Path,
        metavar="FILE",
        help="write all events to a new file instead, one JSON object a line; - for standard "
        "output",
    )
    export.set_defaults(command=_export)
    rebuild = actions.add_parser(
        "rebuild",
        parents=[common],
        help="make the views anew from the events",
        description="Make everything that is derived from the events anew: the tables that "
        "answers are read from, and the results log. Done only where the chain of events is whole.",
    )
    rebuild.set_defaults(command=_rebuild)
    for action in (verify, export, rebuild):
        add_json(action)


def _verify(options: argparse.Namespace) -> int:
    with _bar("reading") as progress:
        found = bookkeeping.verify(rooms_of(options), progress)
    if options.json:
        _print_json(found)
    else:
        print(found.problem or f"{found.events} events, all as they were written: {found.ledger}")
        _print_notes(found.notes)
    return _FINDING if found.problem or found.notes else 0


def _export(options: argparse.Namespace) -> int:
    rooms = rooms_of(options)
    if options.events is not None:
        return _export_events(options.events, bookkeeping.events(rooms))
    found = bookkeeping.export(rooms)
    if options.json:
        _print_json(found)
    else:
        if not found.notes:
            print(f"{found.results_log} has every decided trial of {found.research}")
        _print_notes(found.notes)
    return _FINDING if found.notes else 0


def _export_events(file: Path, lines: Iterator[str]) -> int:
    if str(file) == "-":
        sys.stdout.writelines(lines)
        sys.stdout.flush()
        return 0
    with file.open("x", encoding="utf-8") as output:
        output.writelines(lines)
        output.flush()
        os.fsync(output.fileno())
    print(f"{file} has every event", file=sys.stderr)
    return 0


def _rebuild(options: argparse.Namespace) -> int:
    with _bar("rebuilding") as progress:
        found = bookkeeping.rebuild(rooms_of(options), progress)
    if options.json:
        _print_json(found)
    else:
        print(f"the views are made anew from {found.events} events: {found.ledger}")
        _print_notes([*([f"before: {found.wrong}"] if found.wrong else []), *found.notes])
    return 0


def _print_json(found: Answer) -> None:
    print(found.model_dump_json(indent=2))


def _print_notes(notes: list[str]) -> None:
    for note in notes:
        print(f"note: {note}")


@contextmanager
def _bar(what: str) -> Generator[Progress]:
    """Show on a terminal how many events have been read."""
    # rich takes 0.1 s to load, which a short ledger and a program need not pay.
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True)
    quiet = not console.is_terminal
    with progress.Progress(console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=None)

        def report(seen: int, count: int) -> None:
            if seen % 256 == 0 or seen == count:
                bar.update(task, completed=seen, total=count)

        yield report
