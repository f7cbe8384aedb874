"""The ledger's tables, and the way from an older version's tables to these.

What a query picks trials by is computed by SQLite from the record itself, so that no column can
say something else than the record it stands beside.

The version counts everything that decides what the events add up to: these tables, and the rules
by which `core.steps.advance` makes a record of them. A field that a later server adds to an event
or a record has a default and needs no new version; anything else does, with a step in `_STEPS`.
"""

import sqlite3
from collections.abc import Callable, Iterator

from pydantic import ValidationError

from autoresearch_mcp.core.events import ResearchStarted
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.effects.ledger.changed import Changed

VERSION = 3

_EVENTS = """
CREATE TABLE event (
    seq   INTEGER PRIMARY KEY,
    at    TEXT NOT NULL,
    body  TEXT NOT NULL,
    hash  TEXT NOT NULL,
    kind  TEXT AS (json_extract(body, '$.kind')),
    trial INTEGER AS (json_extract(body, '$.trial'))
);
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER event_is_never_removed BEFORE DELETE ON event
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""

_EVENT_INDEXES = """
CREATE INDEX event_of_trial ON event (trial, seq) WHERE trial IS NOT NULL;
CREATE INDEX event_checkpoint ON event (seq) WHERE kind = 'checkpointed';
"""

_TRIALS = """
CREATE TABLE trial (
    id       INTEGER PRIMARY KEY,
    record   TEXT NOT NULL,
    research TEXT AS (json_extract(record, '$.research')) STORED,
    phase    TEXT AS (json_extract(record, '$.phase')) STORED,
    verdict  TEXT AS (json_extract(record, '$.verdict.status')) STORED,
    outcome  TEXT AS (json_extract(record, '$.outcome.kind')) STORED,
    value    REAL AS (json_extract(record, '$.outcome.value')) STORED,
    moved_to TEXT AS (coalesce(json_extract(record, '$.closing.new'),
                               json_extract(record, '$.applying_to'))) STORED
);
CREATE INDEX trial_of_research ON trial (research, id);
CREATE INDEX trial_unfinished ON trial (id) WHERE phase <> 'done';
CREATE INDEX trial_kept ON trial (research, id) WHERE verdict = 'keep' AND phase <> 'decided';
CREATE INDEX trial_moved ON trial (research, id) WHERE moved_to IS NOT NULL;
CREATE INDEX trial_measured ON trial (research, id) WHERE value IS NOT NULL;
CREATE INDEX trial_by_value ON trial (research, value, id) WHERE value IS NOT NULL;
CREATE INDEX trial_by_kind ON trial (research, phase, verdict, outcome, id);
"""
# Stored, because SQLite would look every row up to count those of an index on a virtual column.

_ADDED = """
CREATE TABLE research (name TEXT PRIMARY KEY, started TEXT NOT NULL, seq INTEGER NOT NULL);
CREATE TABLE content (
    research TEXT NOT NULL,
    sha256   TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (research, sha256)
) WITHOUT ROWID;
CREATE INDEX content_by_seq ON content (seq);
CREATE TABLE arm (
    research TEXT NOT NULL,
    arm      TEXT NOT NULL,
    trial    INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (research, arm, trial)
) WITHOUT ROWID;
CREATE INDEX arm_by_seq ON arm (seq);
CREATE TABLE run (
    research TEXT NOT NULL,
    trial    INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    arm      TEXT NOT NULL,
    kind     TEXT NOT NULL,
    value    REAL,
    PRIMARY KEY (research, trial, seq, number)
) WITHOUT ROWID;
CREATE INDEX run_by_seq ON run (seq);
CREATE INDEX run_of_arm ON run (research, arm, trial);
"""
"""Beside the events: trials, how research runs began, contents of the working tree that came from
here, which trials ran an arm, and how each run ended, as far as was known then. `seq` is the event
that added the row."""

PROJECTIONS = _TRIALS + _ADDED
BARE = "CREATE TABLE trial (id INTEGER PRIMARY KEY, record TEXT NOT NULL);" + _ADDED
"""The same without what only queries need: to be compared."""

_TABLES = ("trial", "research", "content", "arm", "run")

Project = Callable[[sqlite3.Connection], None]
"""Fills the empty projections of a ledger from its events."""


def create(db: sqlite3.Connection) -> None:
    """Lay out an empty ledger, within the caller's transaction."""
    run(db, _EVENTS + _EVENT_INDEXES + PROJECTIONS)
    db.execute(f"PRAGMA user_version = {VERSION}")


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 where there are none yet."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return version


def migrate(db: sqlite3.Connection, project: Project, *, anew: bool) -> None:
    """Bring an older ledger's tables to this version, within the caller's transaction.

    Args:
        db: The ledger.
        project: Checks the chain and fills the projections from it.
        anew: Make the projections from the events whatever they held before.

    Raises:
        Changed: What it holds is not what its events add up to. Nothing is mended on the way.
    """
    before = _facts(db)
    for step in _STEPS[version_of(db) - 1 :]:
        step(db)
    drop_projections(db)
    run(db, PROJECTIONS)
    project(db)
    if not anew and (before is None or before != _facts(db)):
        raise Changed("beside its events: an older server's views add up otherwise", chain=False)
    db.execute(f"PRAGMA user_version = {VERSION}")


def _to_2(db: sqlite3.Connection) -> None:
    """Let events be found by their trial; version 1 had to read all of them."""
    db.execute("ALTER TABLE event ADD COLUMN kind TEXT AS (json_extract(body, '$.kind'))")
    db.execute("ALTER TABLE event ADD COLUMN trial INTEGER AS (json_extract(body, '$.trial'))")
    run(db, _EVENT_INDEXES)


def _to_3(_db: sqlite3.Connection) -> None:
    """Add the table of ended runs, a projection: no event changes."""


_STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_to_2, _to_3)
"""What leads from each version to the next, for the events; the projections are made anew."""


def _facts(db: sqlite3.Connection) -> tuple[object, ...] | None:
    """Return what any version's projections hold, read as it is used; None if it cannot be."""
    trials = db.execute("SELECT id, record FROM trial ORDER BY id")
    started = db.execute("SELECT name, started FROM research ORDER BY name")
    try:
        return (
            [(trial, TrialRecord.model_validate_json(record)) for trial, record in trials],
            [(name, ResearchStarted.model_validate_json(event)) for name, event in started],
            db.execute("SELECT research, sha256 FROM content ORDER BY 1, 2").fetchall(),
        )
    except ValidationError:
        return None


def drop_projections(db: sqlite3.Connection) -> None:
    """Remove every table that can be made again from the events."""
    for table in _TABLES:
        db.execute(f"DROP TABLE IF EXISTS {table}")


def run(db: sqlite3.Connection, script: str) -> None:
    """Execute several statements in the transaction that is open."""
    for statement in _statements(script):
        db.execute(statement)


def _statements(script: str) -> Iterator[str]:
    # executescript() would commit the transaction that protects the change.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
