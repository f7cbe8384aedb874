"""One trial as a person wants to see it: the change, what was measured, and what came of it."""

from pydantic import Field

from autoresearch_mcp.core import edits, resultslog
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.session import views
from autoresearch_mcp.session.answers import Answer, NextStep, OutcomeView, VerdictView
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.settling import TRIAL_REFS
from autoresearch_mcp.session.trials import find


class RunView(Answer):
    """One run of the evidence."""

    number: int
    role: str = Field(description="Whose code it executed: candidate or incumbent.")
    seed: int
    kind: str | None = Field(description="How it ended; null while it is under way.")
    value: float | None = Field(description="The metric; null when there is none, never 0.")
    seconds: float | None = Field(description="Seconds it took, by the server's clock.")
    audit: str | None = Field(description="What an audit found; null where there was none.")


class Dossier(Answer):
    """A trial with its diff and its evidence."""

    trial_id: int
    research: str = Field(description="Branch of its research run.")
    status: str = Field(description="keep, discard, crash or inconclusive; else its phase.")
    hypothesis: str
    baseline: bool
    protocol_bundle: str | None = Field(
        description="The protocol's protocolBundleId, where it has one."
    )
    base: str = Field(description="Commit that the candidate was built on.")
    candidate: str = Field(description="Commit of the candidate.")
    ref: str = Field(description="Git keeps the candidate reachable under this name.")
    commit: str | None = Field(description="Commit that keeps it on the branch, if one does.")
    staged_at: str
    ended_at: str | None
    added: int
    removed: int
    diff: str = Field(description="Unified diff of the candidate against its base.")
    outcome: OutcomeView | None
    verdict: VerdictView | None
    evidence: list[RunView]
    next_step: NextStep


def dossier(rooms: Rooms, trial_id: int) -> Dossier:
    """Put together what the ledger and git hold of a trial; nothing is changed.

    Raises:
        Refusal: There is no such trial.
        Fault: Its recipe cannot be read.
    """
    trial = find(rooms, trial_id)
    decided = trial.verdict is not None
    moved = trial.applying_to != trial.base
    return Dossier(
        trial_id=trial.id,
        research=trial.research,
        status=resultslog.status(trial) if decided else trial.phase,
        hypothesis=trial.hypothesis,
        baseline=trial.baseline,
        protocol_bundle=trial.protocol_bundle and views.short(trial.protocol_bundle),
        base=trial.base,
        candidate=trial.candidate,
        ref=f"{TRIAL_REFS}/{trial.id}",
        commit=trial.applying_to if trial.kept and moved else None,
        staged_at=trial.staged_at,
        ended_at=trial.ended_at,
        added=trial.added,
        removed=trial.removed,
        diff=diff_of(rooms, trial),
        outcome=None if trial.outcome is None else views.outcome_view(trial.outcome),
        verdict=None if trial.verdict is None else views.verdict_view(trial.verdict),
        evidence=_evidence(trial),
        next_step=views.still_due(trial) or "Nothing is left to be done about it.",
    )


def diff_of(rooms: Rooms, trial: TrialRecord) -> str:
    """Return what a candidate changes in its base, file by file; empty for a baseline."""
    read = rooms.repository.read
    pairs = [
        (path, read(trial.base, path) or b"", read(trial.candidate, path) or b"")
        for path in recipe_of(rooms, trial.research).files
    ]
    return "".join(
        edits.unified_diff(path, old.decode(errors="replace"), new.decode(errors="replace"))
        for path, old, new in pairs
        if old != new
    )


def _evidence(trial: TrialRecord) -> list[RunView]:
    return [
        RunView(
            number=run.number,
            role=run.role,
            seed=run.seed,
            kind=run.outcome.kind if run.outcome else None,
            value=run.outcome.value if run.outcome else None,
            seconds=round(run.outcome.seconds, 2) if run.outcome else None,
            audit=f"{run.audit.kind}: {run.audit.reason}" if run.audit else None,
        )
        for run in trial.runs
    ]
