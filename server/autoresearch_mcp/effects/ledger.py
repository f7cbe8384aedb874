"""The book: an append-only record of every event, in SQLite.

Each event carries the hash of the one before it, so that a change made behind the
ledger's back shows. The tables `trial` and `research` are projections of the events,
written in the same transaction, so that reading is fast and can never disagree.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.events import EVENT, Edited, Event, Exported, ResearchStarted, advance
from autoresearch_mcp.core.trial import TrialRecord

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE event (
    seq  INTEGER PRIMARY KEY,
    at   TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE trial (
    id       INTEGER PRIMARY KEY,
    research TEXT NOT NULL,
    phase    TEXT NOT NULL,
    record   TEXT NOT NULL
);
CREATE INDEX trial_of_research ON trial (research, id);
CREATE INDEX trial_by_phase ON trial (phase);
CREATE TABLE research (name TEXT PRIMARY KEY, started TEXT NOT NULL);
CREATE TABLE content (research TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (research, sha256));
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER event_is_never_removed BEFORE DELETE ON event
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""

_FIRST_HASH = hashlib.sha256(b"autoresearch-mcp ledger").hexdigest()


class Ledger:
    """One recipe's ledger, open for reading and appending.

    Every connection belongs to the thread that made it; a call opens its own and closes it.

    Args:
        path: The database file; created, with its folder, by the first append.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: Event) -> None:
        """Record one event, durably, and bring the projections up to date.

        Raises:
            IllegalStep: The event does not fit the trial's phase.
            Fault: The ledger cannot be written.
        """
        self.append_with(lambda _next_trial: event)

    def append_with(self, make: Callable[[int], Event]) -> Event:
        """Record the event that `make` builds from the next free trial id."""
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM trial").fetchone()
            event = make(last + 1)
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            body = event.model_dump_json()
            (seq, previous) = _last(db)
            link = chain(previous, at, body)
            db.execute("INSERT INTO event VALUES (?, ?, ?, ?)", (seq + 1, at, body, link))
            _project(db, event, at)
            db.execute("COMMIT")
        return event

    def trial(self, trial: int) -> TrialRecord | None:
        """Return one trial, or None when there is none of that id."""
        rows = self._select("SELECT record FROM trial WHERE id = ?", trial)
        return TrialRecord.model_validate_json(rows[0][0]) if rows else None

    def get(self, trial: int) -> TrialRecord:
        """Return a trial that is there.

        Raises:
            Fault: It is not: the ledger was replaced.
        """
        record = self.trial(trial)
        if record is None:
            raise Fault(f"trial {trial} is not in the ledger {self.path}: was the file replaced?")
        return record

    def started(self, research: str) -> ResearchStarted:
        """Return how a research run that is there began.

        Raises:
            Fault: It is not: the ledger was replaced.
        """
        event = self.research(research)
        if event is None:
            raise Fault(f"{research} is not in the ledger {self.path}: was the file replaced?")
        return event

    def last_trial(self) -> int:
        """Return the highest trial number there is, 0 before the first."""
        rows = self._select("SELECT coalesce(max(id), 0) FROM trial")
        return rows[0][0] if rows else 0

    def trials(self, research: str) -> tuple[TrialRecord, ...]:
        """Return all trials of a research run, oldest first."""
        rows = self._select("SELECT record FROM trial WHERE research = ? ORDER BY id", research)
        return tuple(TrialRecord.model_validate_json(row[0]) for row in rows)

    def unfinished(self) -> tuple[TrialRecord, ...]:
        """Return every trial of the recipe that is not DONE, oldest first."""
        rows = self._select("SELECT record FROM trial WHERE phase != 'done' ORDER BY id")
        return tuple(TrialRecord.model_validate_json(row[0]) for row in rows)

    def research(self, name: str) -> ResearchStarted | None:
        """Return how a research run started, or None when there is none of that name."""
        rows = self._select("SELECT started FROM research WHERE name = ?", name)
        return ResearchStarted.model_validate_json(rows[0][0]) if rows else None

    def knows(self, research: str, sha256: str) -> bool:
        """Tell whether a content of the working tree came from this ledger."""
        query = "SELECT 1 FROM content WHERE research = ? AND sha256 = ?"
        return bool(self._select(query, research, sha256))

    def events(self) -> Iterator[tuple[str, Event]]:
        """Yield every event with its time, oldest first."""
        for at, body in self._select("SELECT at, body FROM event ORDER BY seq"):
            yield at, EVENT.validate_json(body)

    def verify(self) -> int:
        """Check the whole chain, and that the projections are what it adds up to.

        Returns:
            The number of events.

        Raises:
            Fault: An event or a projection was changed behind the ledger's back.
        """
        if not self.path.exists():
            return 0
        with self._connect() as db, closing(_empty()) as again:
            db.execute("BEGIN")  # one look at events and projections alike
            link, count = _FIRST_HASH, 0
            for seq, at, body, stored in db.execute("SELECT * FROM event ORDER BY seq"):
                link, count = chain(link, at, body), count + 1
                if stored != link or seq != count:
                    raise self._changed(f"at event {seq}: its chain of hashes breaks there")
                _project(again, EVENT.validate_json(body), at)
            if _projections(db) != _projections(again):
                raise self._changed("beside its events: they add up to something else")
        return count

    def _changed(self, where: str) -> Fault:
        return Fault(
            f"the ledger {self.path} was changed {where}; keep the file, and start anew by "
            "moving it away"
        )

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        with self._connect() as db:
            return db.execute(query, values).fetchall()

    @contextmanager
    def _connect(self) -> Generator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            try:
                _prepare(db, self.path)
                yield db
            finally:
                db.close()
        except (sqlite3.Error, OSError) as error:
            raise Fault(f"the ledger {self.path} cannot be used: {error}") from error


def chain(previous: str, at: str, body: str) -> str:
    """Return the hash of an event that follows the one with hash `previous`."""
    return hashlib.sha256(json.dumps([previous, at, body]).encode()).hexdigest()


def _empty() -> sqlite3.Connection:
    """Return a ledger without events, in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    _create(db)
    return db


def _projections(db: sqlite3.Connection) -> tuple[list[Any], ...] | None:
    """Return what the tables beside the events hold, read as it is used; None if it cannot be."""
    trials = db.execute("SELECT id, research, phase, record FROM trial ORDER BY id")
    started = db.execute("SELECT name, started FROM research ORDER BY name")
    try:
        return (
            [(*row, TrialRecord.model_validate_json(record)) for *row, record in trials],
            [(name, ResearchStarted.model_validate_json(event)) for name, event in started],
            db.execute("SELECT * FROM content ORDER BY research, sha256").fetchall(),
        )
    except ValidationError:
        return None


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    # FULL, and fullfsync for macOS, where a plain fsync leaves data in the drive's cache:
    # an acknowledged trial survives a power cut.
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = 1")
    db.execute("PRAGMA checkpoint_fullfsync = 1")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        _create(db)
    elif version != SCHEMA_VERSION:
        raise Fault(
            f"the ledger {path} has schema version {version}, this server knows "
            f"{SCHEMA_VERSION}: install the version of autoresearch-mcp that wrote it"
        )


def _create(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:  # another process may have been quicker
        for statement in _statements(_SCHEMA):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.execute("COMMIT")


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit the transaction that protects the creation.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _last(db: sqlite3.Connection) -> tuple[int, str]:
    row = db.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
    return row or (0, _FIRST_HASH)


def _project(db: sqlite3.Connection, event: Event, at: str) -> None:
    match event:
        case ResearchStarted():
            db.execute(
                "INSERT INTO research VALUES (?, ?)", (event.research, event.model_dump_json())
            )
        case Edited(research=research, before=before, after=after):
            rows = [(research, before), (research, after)]
            db.executemany("INSERT OR IGNORE INTO content VALUES (?, ?)", rows)
        case Exported(research=research, sha256=sha256):
            db.execute("INSERT OR IGNORE INTO content VALUES (?, ?)", (research, sha256))
        case _:
            row = db.execute("SELECT record FROM trial WHERE id = ?", (event.trial,)).fetchone()
            before = TrialRecord.model_validate_json(row[0]) if row else None
            record = advance(before, event, at)
            db.execute(
                "INSERT OR REPLACE INTO trial VALUES (?, ?, ?, ?)",
                (record.id, record.research, record.phase, record.model_dump_json()),
            )
