"""One recipe's ledger: events are appended to it, read from it, and proved."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.events import EVENT, Checkpointed, Event
from autoresearch_mcp.effects.ledger import schema
from autoresearch_mcp.effects.ledger.checking import (
    FIRST_HASH,
    Progress,
    chain,
    check,
    replay,
)
from autoresearch_mcp.effects.ledger.opening import check_pages, connected
from autoresearch_mcp.effects.ledger.projecting import project
from autoresearch_mcp.effects.ledger.reading import Reader


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did.

    Args:
        events: How many events the projections were made from.
        wrong: What was wrong with those before, None where nothing was.
    """

    events: int
    wrong: str | None


class Ledger(Reader):
    """One recipe's ledger, open for reading and appending.

    Every connection belongs to the thread that made it; a call opens its own and closes it.

    Args:
        path: The database file; created, with its folder, by the first append.
        checkpoint_every: Events between two checkpoints: no check replays many more.
    """

    def __init__(self, path: Path, *, checkpoint_every: int = 250) -> None:
        super().__init__(path)
        self._checkpoint_every = checkpoint_every

    def append(self, event: Event) -> None:
        """Record one event, durably, and bring the projections up to date.

        Raises:
            IllegalStep: The event does not fit the trial's phase.
            Fault: The ledger cannot be written.
        """
        self.append_with(lambda _next_trial: event)

    def append_with(self, make: Callable[[int], Event]) -> Event:
        """Record the event that `make` builds from the next free trial id."""
        with connected(self.path) as db:
            db.execute("BEGIN IMMEDIATE")
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM trial").fetchone()
            event = make(last + 1)
            append(db, event)
            db.execute("COMMIT")
        return event

    def events(self) -> Iterator[tuple[str, Event]]:
        """Yield every event with its time, oldest first."""
        for _, at, body, _ in self.lines():
            yield at, EVENT.validate_json(body)

    def lines(self) -> Iterator[tuple[int, str, str, str]]:
        """Yield every event's number, time, JSON text and hash, oldest first."""
        if self.path.exists():
            with connected(self.path) as db:
                yield from db.execute("SELECT seq, at, body, hash FROM event ORDER BY seq")

    def verify(self, progress: Progress | None = None) -> int:
        """Check the whole chain, and that the projections are what it adds up to.

        Returns:
            The number of events.

        Raises:
            Changed: An event or a projection was changed behind the ledger's back.
            Fault: The file is damaged.
        """
        return self._check(whole=True, progress=progress)

    def check(self) -> int:
        """Check what follows the last checkpoint, and all projections.

        Returns:
            The number of events.

        Raises:
            Changed: As `verify`, but for events from before the checkpoint.
        """
        return self._check(whole=False)

    def checkpoint(self) -> None:
        """Check as `check` does; where much has happened since the last checkpoint, make one.

        Raises:
            Changed: As `check`.
        """
        with connected(self.path) as db:
            db.execute("BEGIN IMMEDIATE")
            checked = check(db, whole=False)
            if checked.seq - checked.since >= self._checkpoint_every:
                append(db, Checkpointed(version=schema.VERSION, digest=checked.digest))
            db.execute("COMMIT")

    def rebuild(self, progress: Progress | None = None) -> Rebuilt:
        """Make the projections anew from the events, once their chain is proved.

        Raises:
            Changed: The chain breaks: nothing was changed.
        """
        wrong = self._what_is_wrong()
        with connected(self.path, anew=True) as db, closing(_empty()) as again:
            # Nobody else writes until this is closed; the events' own table is all that is read.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("BEGIN IMMEDIATE")
            events = db.execute("SELECT seq, at, body, hash FROM event ORDER BY seq")
            again.execute("BEGIN")
            again.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", events)
            db.execute("COMMIT")
            replay(again, again, 0, progress)
            again.execute("COMMIT")
            again.backup(db)  # all at once or not at all, whatever the old pages hold
            (count,) = db.execute("SELECT count(*) FROM event").fetchone()
        return Rebuilt(count, wrong)

    def _what_is_wrong(self) -> str | None:
        try:
            self.check()
        except Fault as fault:
            return str(fault)
        return None

    def _check(self, *, whole: bool, progress: Progress | None = None) -> int:
        if not self.path.exists():
            return 0
        with connected(self.path) as db:
            if whole:
                check_pages(db, self.path)
            db.execute("BEGIN")  # one look at events and projections alike
            return check(db, whole=whole, progress=progress).seq


def _empty() -> sqlite3.Connection:
    """Return a ledger of no events, in a place of its own that goes when it is closed."""
    db = sqlite3.connect("", isolation_level=None)
    schema.create(db)
    return db


def append(db: sqlite3.Connection, event: Event) -> None:
    """Add one event and what it adds up to, within the caller's transaction."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    body = event.model_dump_json()
    last = db.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    (seq, previous) = last or (0, FIRST_HASH)
    db.execute(
        "INSERT INTO event VALUES (?, ?, ?, ?)", (seq + 1, at, body, chain(previous, at, body))
    )
    project(db, seq + 1, at, event)
