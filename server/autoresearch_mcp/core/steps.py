"""Which event may follow what, and what each makes of a trial."""

from autoresearch_mcp.core.events import (
    Applying,
    Audited,
    AuditStarted,
    CancelRequested,
    Closing,
    Decided,
    Done,
    HandedOver,
    LaterEvent,
    Measured,
    Overruled,
    Queued,
    Resumed,
    RunFinished,
    Running,
    RunStarted,
    Staged,
    TrialEvent,
)
from autoresearch_mcp.core.trial import UNDER_WAY, Outcome, Phase, Role, Run, TrialRecord
from autoresearch_mcp.core.trust import examined

_ARROWS: dict[str, frozenset[Phase]] = {
    "queued": frozenset({Phase.STAGED}),
    "running": frozenset({Phase.QUEUED}),
    "run_started": frozenset({Phase.RUNNING}),
    "handed_over": frozenset({Phase.RUNNING}),
    "run_finished": frozenset({Phase.RUNNING}),
    "cancel_requested": UNDER_WAY,
    "measured": UNDER_WAY - {Phase.MEASURED, Phase.AUDITED},
    "resumed": frozenset({Phase.MEASURED}),
    "audit_started": frozenset({Phase.MEASURED}),
    "audited": frozenset({Phase.MEASURED}),
    "decided": frozenset({Phase.MEASURED, Phase.AUDITED}),
    "overruled": frozenset({Phase.DECIDED}),
    "applying": frozenset({Phase.DECIDED}),
    "closing": frozenset({Phase.DONE}),
    "done": frozenset({Phase.DECIDED, Phase.APPLYING, Phase.CLOSING}),
}
"""Event -> the phases in which it may happen."""

_LEADS_TO = {
    "queued": Phase.QUEUED,
    "running": Phase.RUNNING,
    "measured": Phase.MEASURED,
    "audited": Phase.AUDITED,
    "decided": Phase.DECIDED,
    "applying": Phase.APPLYING,
    "closing": Phase.CLOSING,
    "done": Phase.DONE,
}
"""Event -> the phase that follows it; the others leave the phase as it is."""

_TOLD = {
    "queued": ("process", "process"),
    "audit_started": ("directory", "audit_directory"),
    "applying": ("new", "applying_to"),
    "closing": ("move", "closing"),
}
"""Event -> what it tells, and the field of the record that holds that."""

_OF_A_RUN = {"handed_over": ("model",), "run_finished": ("outcome",)}
"""Event -> what it says about the run under way."""


class IllegalStep(Exception):
    """Raised when an event does not fit the phase that its trial is in."""


def advance(record: TrialRecord | None, event: TrialEvent, at: str) -> TrialRecord:
    """Add one event to a trial.

    Args:
        record: The trial so far; None before its first event, which must be `Staged`.
        event: What happened.
        at: When it happened: UTC, ISO 8601.

    Raises:
        IllegalStep: The event cannot follow what happened so far.
    """
    if isinstance(event, Staged):
        if record is not None:
            raise IllegalStep(f"trial {event.trial} is already staged")
        return _staged(event, at)
    if record is None:
        raise IllegalStep(f"trial {event.trial} does not exist")
    if record.phase not in _ARROWS[event.kind]:
        raise IllegalStep(f"trial {record.id} is {record.phase}: {event.kind} cannot follow")
    under_way = record.current_run is not None
    if (isinstance(event, RunStarted) and under_way) or (
        isinstance(event, RunFinished | HandedOver) and not under_way
    ):
        raise IllegalStep(f"trial {record.id}: {event.kind} cannot follow its last run's state")
    if isinstance(event, Resumed) and event.number not in {None, record.resumptions + 1}:
        raise IllegalStep(f"trial {record.id}: another process goes on with it already")
    phase = _LEADS_TO.get(event.kind, record.phase)
    return record.model_copy(update={"phase": phase, **_changes(record, event, at)})


def _staged(event: Staged, at: str) -> TrialRecord:
    fields = event.model_dump(exclude={"kind", "trial"})
    return TrialRecord(id=event.trial, phase=Phase.STAGED, staged_at=at, **fields)


def _changes(record: TrialRecord, event: LaterEvent, at: str) -> dict[str, object]:
    """Return the fields of the record that the event sets beside its phase."""
    match event:
        case Queued() | AuditStarted() | Applying() | Closing():
            told, field = _TOLD[event.kind]
            return {field: getattr(event, told)}
        case RunStarted() | HandedOver() | RunFinished():
            return {"runs": _runs(record, event, at)}
        case CancelRequested():
            return {"cancel_requested": True}
        case Measured(outcome=outcome):
            return {"outcome": outcome, "runs": _closed(record, outcome)}
        case Resumed(process=process):
            return {"process": process, "resumptions": record.resumptions + 1}
        case Audited(outcome=outcome):
            return {"outcome": outcome, "runs": _examined(record, event)}
        case Decided(verdict=verdict) | Overruled(verdict=verdict):
            return {"verdict": verdict, "ended_at": record.ended_at or at}
        case Running() | Done():
            return {}


def _runs(
    record: TrialRecord, event: RunStarted | HandedOver | RunFinished, at: str
) -> tuple[Run, ...]:
    """Return the runs after one began, handed its model over, or ended."""
    if isinstance(event, RunStarted):
        fields = event.model_dump(exclude={"kind", "trial"})
        return (*record.runs, Run(number=len(record.runs) + 1, started_at=at, **fields))
    changed = {name: getattr(event, name) for name in _OF_A_RUN[event.kind]}
    return (*record.runs[:-1], record.runs[-1].model_copy(update=changed))


def _closed(record: TrialRecord, outcome: Outcome) -> tuple[Run, ...]:
    """End a run that was cut short, so that no record keeps one under way for ever."""
    if record.current_run is None:
        return record.runs
    return (*record.runs[:-1], record.runs[-1].model_copy(update={"outcome": outcome}))


def _examined(record: TrialRecord, event: Audited) -> tuple[Run, ...]:
    """Add what was found to the candidate's runs; a lie in one of them voids them all.

    The baseline is nobody's candidate: what is found there is noted and voids nothing.
    """
    found = {each.run: each.finding for each in event.findings}
    lies = [] if record.baseline else [each for each in found.values() if not each.passed]

    def after(run: Run) -> Run:
        mine = found.get(run.number)
        about = lies or [each for each in (mine,) if each and each.passed]
        if run.role is not Role.CANDIDATE or run.outcome is None or run.outcome.value is None:
            return run
        outcome = examined(run.outcome, about) if about else run.outcome
        return run.model_copy(update={"audit": mine, "outcome": outcome})

    return tuple(map(after, record.runs))
