"""What an event makes of the tables beside it."""

import sqlite3

from autoresearch_mcp.core.events import (
    CertificateRun,
    Certified,
    Checkpointed,
    Edited,
    Event,
    Exported,
    ResearchStarted,
    RunStarted,
    TrialEvent,
)
from autoresearch_mcp.core.steps import advance
from autoresearch_mcp.core.trial import TrialRecord


def project(db: sqlite3.Connection, seq: int, at: str, event: Event) -> None:
    """Bring the projections up to date with one more event.

    Raises:
        IllegalStep: The event does not fit the trial's phase.
    """
    match event:
        case ResearchStarted(research=name):
            db.execute("INSERT INTO research VALUES (?, ?, ?)", (name, written(event), seq))
        case Edited(research=research, before=before, after=after):
            rows = [(research, before, seq), (research, after, seq)]
            db.executemany("INSERT OR IGNORE INTO content VALUES (?, ?, ?)", rows)
        case Exported(research=research, sha256=sha256):
            db.execute("INSERT OR IGNORE INTO content VALUES (?, ?, ?)", (research, sha256, seq))
        case Checkpointed() | CertificateRun() | Certified():
            pass
        case _:
            _project_trial(db, seq, at, event)


def written(value: ResearchStarted | TrialRecord) -> str:
    """Return a value as the projections hold it: what is as by default is left out.

    So a field that a later server adds leaves the rows, and every digest of them, as they were.
    """
    return value.model_dump_json(exclude_defaults=True)


def record_of(db: sqlite3.Connection, trial: int) -> TrialRecord | None:
    """Return a trial as its projection has it, None where there is none."""
    row = db.execute("SELECT record FROM trial WHERE id = ?", (trial,)).fetchone()
    return TrialRecord.model_validate_json(row[0]) if row else None


def _project_trial(db: sqlite3.Connection, seq: int, at: str, event: TrialEvent) -> None:
    before = record_of(db, event.trial)
    record = advance(before, event, at)
    db.execute("INSERT OR REPLACE INTO trial VALUES (?, ?)", (record.id, written(record)))
    if isinstance(event, RunStarted):
        row = (record.research, event.arm, record.id, seq)
        db.execute("INSERT OR IGNORE INTO arm VALUES (?, ?, ?, ?)", row)
    known = _endings(before) if before else {}
    news = [run for number, run in _endings(record).items() if known.get(number) != run]
    rows = [(record.research, record.id, seq, *run) for run in news]
    db.executemany("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _endings(record: TrialRecord) -> dict[int, tuple[int, str, str, float | None]]:
    """Return how each run of a trial ended: number, arm, kind and value, by its number."""
    return {
        run.number: (run.number, run.arm, run.outcome.kind, run.outcome.value)
        for run in record.runs
        if run.outcome is not None
    }
