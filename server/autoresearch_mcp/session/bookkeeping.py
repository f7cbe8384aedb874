"""What a person may ask of the ledger itself: prove it, write it out, make its views anew."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.effects.ledger import Changed, Progress
from autoresearch_mcp.session import exporting
from autoresearch_mcp.session.answers import Answer
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.settling import TRIAL_REFS


class Proof(Answer):
    """What reading the whole ledger came to."""

    ledger: str
    events: int | None = Field(description="How many there are; null where they cannot be proved.")
    problem: str | None = Field(description="What was changed, and the way out; null when whole.")
    notes: list[str] = Field(description="Where git does not have what the ledger has, or more.")


class Export(Answer):
    """What was written into the working tree."""

    research: str
    results_log: str
    notes: list[str] = Field(description="Why the file was left alone; empty when it was not.")


class Rebuild(Answer):
    """What making the views anew came to."""

    ledger: str
    events: int
    wrong: str | None = Field(description="What was wrong with the views; null when nothing was.")
    notes: list[str] = Field(description="What was left alone, and why.")


def verify(rooms: Rooms, progress: Progress | None = None) -> Proof:
    """Read the whole ledger, prove chain and views, and compare it with git. Changes nothing.

    Raises:
        Fault: The ledger's file is damaged or cannot be read.
    """
    path = str(rooms.ledger.path)
    try:
        events = rooms.ledger.verify(progress)
    except Changed as changed:
        return Proof(ledger=path, events=None, problem=str(changed), notes=[])
    return Proof(ledger=path, events=events, problem=None, notes=list(_against_git(rooms)))


def export(rooms: Rooms) -> Export:
    """Write the results log of HEAD's research run into the working tree.

    Raises:
        Refusal: HEAD is on no research branch.
    """
    with rooms.locked():
        research = _research(rooms)
        notes = exporting.export(rooms, research, anew=True)
        log_path = recipe_of(rooms, research).log_path
    return Export(research=research, results_log=log_path, notes=list(notes))


def events(rooms: Rooms) -> Iterator[str]:
    """Yield every event as a line of JSON: its number, time, hash and content."""
    for number, at, body, link in rooms.ledger.lines():
        event: dict[str, Any] = json.loads(body)
        yield json.dumps({"seq": number, "at": at, "hash": link, "event": event}) + "\n"


def rebuild(rooms: Rooms, progress: Progress | None = None) -> Rebuild:
    """Make the ledger's views anew from its events, and the results log from them.

    Raises:
        Refusal: A trial is going on, whose process writes the ledger too.
        Changed: The chain of events breaks: nothing was changed.
        Fault: The ledger's file is damaged or cannot be written.
    """
    with rooms.locked():
        going = next((t for t in rooms.ledger.unfinished() if t.undecided), None)
        if going is not None:
            raise Refusal(
                "ledger.busy", f"trial {going.id} is going on: wait for it or cancel it first"
            )
        done = rooms.ledger.rebuild(progress)
        branch = rooms.repository.head().branch
        known = branch is not None and rooms.ledger.research(branch) is not None
        notes = exporting.export(rooms, branch, anew=True) if branch and known else ()
    path = str(rooms.ledger.path)
    return Rebuild(ledger=path, events=done.events, wrong=done.wrong, notes=list(notes))


def _research(rooms: Rooms) -> str:
    branch = rooms.repository.head().branch
    if branch is None or rooms.ledger.research(branch) is None:
        known = ", ".join(rooms.ledger.researches()) or "there is none yet"
        raise Refusal(
            "ledger.branch",
            f"HEAD is on {branch or 'no branch'}, which is no research branch: git switch to one "
            f"of them first ({known})",
        )
    return branch


def _against_git(rooms: Rooms) -> Iterator[str]:
    """Compare the candidates that git keeps with those that the ledger names."""
    listed = rooms.repository.refs(TRIAL_REFS).items()
    refs = {int(number): oid for name, oid in listed if (number := name.split("/")[-1]).isdecimal()}
    last = rooms.ledger.last_trial()
    if later := sorted(number for number in refs if number > last):
        yield (
            f"git has a candidate of trial {later[-1]}, but the ledger ends with trial {last}: an "
            "earlier ledger was moved away, or this one lost its newest events"
        )
    for number, candidate in rooms.ledger.candidates():
        if refs.get(number) != candidate:
            yield f"the candidate of trial {number} is not kept under {TRIAL_REFS}/{number}"
