"""Whether a ledger is still what was written: its chain, its checkpoints, its projections.

A check begins at the last checkpoint, an event that holds a digest of all projections as they
were then. Three things are proved from there: the chain of hashes runs unbroken from the
checkpoint to the last event; the projections of that moment have its digest, where those of
trials that have moved on since are made again from their events; and the events since then add up
to the projections of now. So any single changed row shows, with two exceptions: an event from
before the checkpoint, which nothing is derived from any more and only a whole check reads, and
the last event of all, where nothing follows it. Nothing here keeps a secret from the owner of
the file: whoever writes the whole chain anew is not found out.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from pydantic import ValidationError

from autoresearch_mcp.core.events import EVENT, Checkpointed, Event, TrialEvent
from autoresearch_mcp.core.steps import IllegalStep
from autoresearch_mcp.effects.ledger import schema
from autoresearch_mcp.effects.ledger.changed import Changed
from autoresearch_mcp.effects.ledger.projecting import project

FIRST_HASH = hashlib.sha256(b"autoresearch-mcp ledger").hexdigest()

Progress = Callable[[int, int], None]
"""Told how many events have been read, and how many there are."""

_TRIALS_A_PART = 256
_EVENTS_A_PART = 4096
_ROWS = {
    "research": "name || char(31) || started",
    "content": "research || char(31) || sha256",
    "arm": "research || char(31) || arm || char(31) || trial",
    "run": "research || char(31) || trial || char(31) || number || char(31) || arm || char(31) "
    "|| kind || char(31) || quote(value)",
}
"""Tables whose rows are added by one event and never changed, and what is in them."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check came to.

    Args:
        seq: The last event.
        since: The checkpoint that the check began at, 0 for the beginning.
        digest: Digest of the projections.
    """

    seq: int
    since: int
    digest: str


def chain(previous: str, at: str, body: str) -> str:
    """Return the hash of an event that follows the one with hash `previous`."""
    return hashlib.sha256(json.dumps([previous, at, body]).encode()).hexdigest()


def check(db: sqlite3.Connection, *, whole: bool, progress: Progress | None = None) -> Checked:
    """Prove chain and projections, within the caller's transaction.

    Args:
        db: The ledger.
        whole: Read everything instead of what follows the last checkpoint.
        progress: Told how far it is.

    Raises:
        Changed: They are not what was written.
    """
    since, expected = (0, _EMPTY) if whole else _last_checkpoint(db)
    with closing(empty()) as again:
        touched = _touched(db, since)
        _fold(db, again, touched if since else (), since)
        digest = Digest(db)
        digest.read_all(since, {trial: _record(again, trial) for trial in touched})
        if digest.value() != expected:
            raise Changed("beside its events: their views lack the digest they had", chain=False)
        replay(db, again, since, progress)
        _compare(db, again, touched, since)
        last = _last_seq(db)
        digest.read_changed(touched, since, last)
    return Checked(last, since, digest.value())


def replay(
    db: sqlite3.Connection, into: sqlite3.Connection, since: int, progress: Progress | None = None
) -> None:
    """Walk the chain from a checkpoint to its end, and project its events into another place.

    Args:
        db: The ledger.
        into: Where the projections go; it holds those of the checkpoint.
        since: The checkpoint, whose own link is proved too; 0 for the beginning.
        progress: Told how far it is.

    Raises:
        Changed: The chain breaks, or an event cannot follow those before it.
    """
    digest, known = Digest(into), since
    dirty: set[int] = set()
    count = _last_seq(db)
    for seq, at, event in _walk(db, max(since, 1)):
        if seq <= since:
            continue
        _project(into, seq, at, event)
        if isinstance(event, TrialEvent):
            dirty.add(event.trial)
        if since == 0 and (expected := _digest_in(event)):
            digest.read_changed(dirty, known, seq)
            if digest.value() != expected:
                raise Changed(f"at event {seq}: the events before it add up otherwise", chain=True)
            dirty.clear()
            known = seq
        if progress is not None:
            progress(seq, count)


def empty() -> sqlite3.Connection:
    """Return projections of no event, in a place of their own that goes when it is closed."""
    db = sqlite3.connect("", isolation_level=None)
    schema.run(db, schema.BARE)
    return db


class Digest:
    """The digest of projections, in parts, so that little is read again when little changed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._parts: dict[tuple[str, int], str] = {}

    def value(self) -> str:
        """Return the digest of all parts."""
        lines = [
            f"{table} {number} {part}" for (table, number), part in sorted(self._parts.items())
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def read_all(self, upto: int, instead: Mapping[int, str | None]) -> None:
        """Read the projections as they were after an event.

        Args:
            upto: The event.
            instead: Records of the trials that have changed since; None where there was none.
        """
        (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM trial").fetchone()
        for number in range(last // _TRIALS_A_PART + 1):
            self._read_trials(number, instead)
        self._read_rows(0, upto)

    def read_changed(self, trials: Iterable[int], since: int, upto: int) -> None:
        """Read again what events after one, and up to another, may have changed."""
        for number in {trial // _TRIALS_A_PART for trial in trials}:
            self._read_trials(number, {})
        self._read_rows(since, upto)

    def _read_trials(self, number: int, instead: Mapping[int, str | None]) -> None:
        first, last = number * _TRIALS_A_PART, (number + 1) * _TRIALS_A_PART - 1
        found: dict[int, str | None] = dict(
            self._db.execute("SELECT id, record FROM trial WHERE id BETWEEN ? AND ?", (first, last))
        )
        found |= {trial: instead[trial] for trial in instead if first <= trial <= last}
        rows = [f"{trial} {record}" for trial, record in sorted(found.items()) if record]
        self._set("trial", number, "\n".join(rows))

    def _read_rows(self, since: int, upto: int) -> None:
        for table, columns in _ROWS.items():
            # SQLite keeps the order of a sub-query under an aggregate that depends on it.
            query = (
                f"SELECT group_concat(seq || char(31) || row, char(10)) FROM "  # noqa: S608
                f"(SELECT seq, {columns} AS row FROM {table} WHERE seq BETWEEN ? AND ? "
                "ORDER BY seq, row)"
            )
            for number in range(since // _EVENTS_A_PART, upto // _EVENTS_A_PART + 1):
                first = number * _EVENTS_A_PART
                span = (first, min(upto, first + _EVENTS_A_PART - 1))
                (text,) = self._db.execute(query, span).fetchone()
                self._set(table, number, text or "")

    def _set(self, table: str, number: int, text: str) -> None:
        if text:
            self._parts[table, number] = hashlib.sha256(text.encode()).hexdigest()
        else:
            self._parts.pop((table, number), None)


_EMPTY = hashlib.sha256(b"").hexdigest()
"""Digest of no projections."""


def _last_checkpoint(db: sqlite3.Connection) -> tuple[int, str]:
    query = "SELECT seq, body FROM event WHERE kind = 'checkpointed' ORDER BY seq DESC"
    for seq, body in db.execute(query):
        if expected := _digest_in(_parsed(seq, body)):
            return seq, expected
    return 0, _EMPTY


def _digest_in(event: Event) -> str | None:
    """Return the digest that a checkpoint of this schema's version holds."""
    # Under another version the same events add up to other rows.
    if isinstance(event, Checkpointed) and event.version == schema.VERSION:
        return event.digest
    return None


def _walk(db: sqlite3.Connection, first: int) -> Iterator[tuple[int, str, Event]]:
    """Yield events from one on, each link of the chain proved."""
    before = db.execute("SELECT hash FROM event WHERE seq = ?", (first - 1,)).fetchone()
    (link,) = before or (FIRST_HASH,)
    query = "SELECT seq, at, body, hash FROM event WHERE seq >= ? ORDER BY seq"
    for number, (seq, at, body, stored) in enumerate(db.execute(query, (first,)), first):
        link = chain(link, at, body)
        if stored != link or seq != number:
            raise Changed(f"at event {seq}: its chain of hashes breaks there", chain=True)
        yield seq, at, _parsed(seq, body)


def _parsed(seq: int, body: str) -> Event:
    try:
        return EVENT.validate_json(body)
    except ValidationError as error:
        raise Changed(f"at event {seq}, which this server cannot read", chain=True) from error


def _project(db: sqlite3.Connection, seq: int, at: str, event: Event) -> None:
    try:
        project(db, seq, at, event)
    except (IllegalStep, ValidationError, sqlite3.IntegrityError) as error:
        raise Changed(f"at event {seq}, which cannot follow: {error}", chain=True) from error


def _touched(db: sqlite3.Connection, since: int) -> list[int]:
    """Return the trials that events after a checkpoint are about."""
    # The plus keeps SQLite from reading the whole index of trials instead of the last events.
    query = "SELECT DISTINCT trial FROM event WHERE seq > ? AND +trial IS NOT NULL ORDER BY +trial"
    return [trial for (trial,) in db.execute(query, (since,))]


def _fold(
    db: sqlite3.Connection, into: sqlite3.Connection, trials: Iterable[int], upto: int
) -> None:
    """Make trials again as they were at a checkpoint, from their own events alone."""
    query = "SELECT seq, at, body FROM event WHERE trial = ? AND seq <= ? ORDER BY seq"
    for trial in trials:
        for seq, at, body in db.execute(query, (trial, upto)).fetchall():
            _project(into, seq, at, _parsed(seq, body))


def _compare(
    db: sqlite3.Connection, again: sqlite3.Connection, touched: Iterable[int], since: int
) -> None:
    """Return if the events since a checkpoint add up to what the ledger's projections hold."""
    for trial in touched:
        if _record(db, trial) != _record(again, trial):
            raise Changed(f"beside its events: trial {trial} adds up otherwise", chain=False)
    for table in _ROWS:
        query = f"SELECT * FROM {table} WHERE seq > ?"  # noqa: S608
        found, made = (set(place.execute(query, (since,))) for place in (db, again))
        missing = [row for row in made - found if not _is_older(db, table, row, since)]
        if missing or found - made:
            raise Changed(f"beside its events: its {table} table adds up otherwise", chain=False)


def _is_older(db: sqlite3.Connection, table: str, row: tuple[object, ...], since: int) -> bool:
    """Tell whether a row was there at the checkpoint, for whose digest it counted."""
    columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
    where = " AND ".join(f"{name} = ?" for name in columns if name != "seq")
    query = f"SELECT 1 FROM {table} WHERE {where} AND seq <= ?"  # noqa: S608
    return db.execute(query, (*row[:-1], since)).fetchone() is not None


def _record(db: sqlite3.Connection, trial: int) -> str | None:
    row = db.execute("SELECT record FROM trial WHERE id = ?", (trial,)).fetchone()
    return row[0] if row else None


def _last_seq(db: sqlite3.Connection) -> int:
    (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
    return last
