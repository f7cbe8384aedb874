"""The ledger's vocabulary: every event that can happen, and what it makes of a trial."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from autoresearch_mcp.core.setting import Setting
from autoresearch_mcp.core.trial import (
    UNDER_WAY,
    Move,
    Outcome,
    Phase,
    ProcessId,
    Role,
    Run,
    TrialRecord,
    Value,
    Verdict,
)


class ResearchStarted(Value):
    """A research run begins: its branch exists and its rules are fixed."""

    kind: Literal["research_started"] = "research_started"
    research: str
    """Full name of the branch, without refs/heads/."""
    base: str
    """Commit the branch was created at."""
    protocol: str
    """sha256 of protocol.json as committed at the base."""
    harness: dict[str, str]
    """Path -> sha256 of every harness file at the base."""
    setting: Setting


class Edited(Value):
    """The intent to write a candidate's file into the user's working tree."""

    kind: Literal["edited"] = "edited"
    research: str
    path: str
    before: str
    """sha256 of the content that is replaced."""
    after: str


class Staged(Value):
    """A trial begins: its candidate is a commit under refs/autoresearch/trials/."""

    kind: Literal["staged"] = "staged"
    trial: int
    research: str
    base: str
    candidate: str
    arm: str
    baseline: bool
    hypothesis: str
    added: int
    removed: int


class Queued(Value):
    """The trial's process is alive and waits for the machine."""

    kind: Literal["queued"] = "queued"
    trial: int
    process: ProcessId


class Running(Value):
    """The trial's process holds the machine."""

    kind: Literal["running"] = "running"
    trial: int


class RunStarted(Value):
    """One run begins."""

    kind: Literal["run_started"] = "run_started"
    trial: int
    role: Role
    arm: str
    seed: int
    directory: str


class HandedOver(Value):
    """The run under way handed its model over; no validation token has been shown to it yet."""

    kind: Literal["handed_over"] = "handed_over"
    trial: int
    model: str
    """sha256 of the model's bytes."""
    size: int


class RunFinished(Value):
    """The run under way ended."""

    kind: Literal["run_finished"] = "run_finished"
    trial: int
    outcome: Outcome


class CancelRequested(Value):
    """Somebody asked for the trial's end."""

    kind: Literal["cancel_requested"] = "cancel_requested"
    trial: int


class Measured(Value):
    """The trial's outcome is known."""

    kind: Literal["measured"] = "measured"
    trial: int
    outcome: Outcome


class Decided(Value):
    """The court has spoken."""

    kind: Literal["decided"] = "decided"
    trial: int
    verdict: Verdict


class Applying(Value):
    """The intent to make branch and working tree follow the verdict."""

    kind: Literal["applying"] = "applying"
    trial: int
    old: str
    new: str
    """Equal to `old` when nothing is kept."""


class Closing(Value):
    """The intent to commit the results log's rows that no kept trial committed."""

    kind: Literal["closing"] = "closing"
    trial: int
    """The last trial so far, whose row is the log's last."""
    move: Move


class Done(Value):
    """Nothing of this trial is left to do."""

    kind: Literal["done"] = "done"
    trial: int


class Exported(Value):
    """The results log was written to the working tree."""

    kind: Literal["exported"] = "exported"
    research: str
    sha256: str


class Checkpointed(Value):
    """Everything up to here was checked, and what it adds up to has this digest."""

    kind: Literal["checkpointed"] = "checkpointed"
    version: int
    """Of the ledger's schema; under another one the digest would be another."""
    digest: str


_LaterEvent = (
    Queued
    | Running
    | RunStarted
    | HandedOver
    | RunFinished
    | CancelRequested
    | Measured
    | Decided
    | Applying
    | Closing
    | Done
)
TrialEvent = Staged | _LaterEvent
Event = ResearchStarted | Edited | Exported | Checkpointed | TrialEvent

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
"""Reads an event back from its JSON."""

_ARROWS: dict[str, frozenset[Phase]] = {
    "queued": frozenset({Phase.STAGED}),
    "running": frozenset({Phase.QUEUED}),
    "run_started": frozenset({Phase.RUNNING}),
    "handed_over": frozenset({Phase.RUNNING}),
    "run_finished": frozenset({Phase.RUNNING}),
    "cancel_requested": UNDER_WAY,
    "measured": UNDER_WAY - {Phase.MEASURED, Phase.AUDITED},
    "decided": frozenset({Phase.MEASURED, Phase.AUDITED}),
    "applying": frozenset({Phase.DECIDED}),
    "closing": frozenset({Phase.DONE}),
    "done": frozenset({Phase.DECIDED, Phase.APPLYING, Phase.CLOSING}),
}
"""Event -> the phases in which it may happen."""

_LEADS_TO = {
    "queued": Phase.QUEUED,
    "running": Phase.RUNNING,
    "measured": Phase.MEASURED,
    "decided": Phase.DECIDED,
    "applying": Phase.APPLYING,
    "closing": Phase.CLOSING,
    "done": Phase.DONE,
}
"""Event -> the phase that follows it; the others leave the phase as it is."""


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
    phase = _LEADS_TO.get(event.kind, record.phase)
    return record.model_copy(update={"phase": phase, **_changes(record, event, at)})


def _staged(event: Staged, at: str) -> TrialRecord:
    fields = event.model_dump(exclude={"kind", "trial"})
    return TrialRecord(id=event.trial, phase=Phase.STAGED, staged_at=at, **fields)


def _changes(record: TrialRecord, event: _LaterEvent, at: str) -> dict[str, object]:
    """Return the fields of the record that the event sets beside its phase."""
    match event:
        case Queued(process=process):
            return {"process": process}
        case RunStarted():
            fields = event.model_dump(exclude={"kind", "trial"})
            run = Run(number=len(record.runs) + 1, started_at=at, **fields)
            return {"runs": (*record.runs, run)}
        case HandedOver() | RunFinished():
            changed = {name: getattr(event, name) for name in _OF_A_RUN[event.kind]}
            return {"runs": (*record.runs[:-1], record.runs[-1].model_copy(update=changed))}
        case CancelRequested():
            return {"cancel_requested": True}
        case Measured(outcome=outcome):
            return {"outcome": outcome, "runs": _closed(record, outcome)}
        case Decided(verdict=verdict):
            return {"verdict": verdict, "ended_at": at}
        case Applying(new=new):
            return {"applying_to": new}
        case Closing(move=move):
            return {"closing": move}
        case Running() | Done():
            return {}


def _closed(record: TrialRecord, outcome: Outcome) -> tuple[Run, ...]:
    """End a run that was cut short, so that no record keeps one under way for ever."""
    if record.current_run is None:
        return record.runs
    return (*record.runs[:-1], record.runs[-1].model_copy(update={"outcome": outcome}))
