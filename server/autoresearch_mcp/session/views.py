"""From records to answers: what an agent is shown, and what it is told to do next."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from autoresearch_mcp.core import logtext, resultslog
from autoresearch_mcp.core.budget import Budget
from autoresearch_mcp.core.outcomes import SETUP
from autoresearch_mcp.core.progress import parse_progress
from autoresearch_mcp.core.reasons import odds_text
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Phase, TrialRecord
from autoresearch_mcp.core.verdict import Verdict, VerdictStatus
from autoresearch_mcp.session import advice
from autoresearch_mcp.session.answers import (
    BudgetView,
    IncumbentView,
    OutcomeView,
    ProgressView,
    TrialLine,
    TrialView,
    VerdictView,
)
from autoresearch_mcp.session.rooms import Rooms

_SHORT = 7
_PROGRESS_BYTES = 4096
_FAILED_LOG_BYTES = 2048
_LOG_BYTES = 4096
_LINE_CHARACTERS = 90
_STARTUP_SECONDS = 10.0
"""What a run takes beside its training budget, until one has been measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """Which part of a log to show: lines with a text, lines from one on, or its last lines.

    Args:
        lines: How many of the last lines; 0 for none.
        match: A text that lines must contain.
        first_line: The first line of a range, from 1.
    """

    lines: int = 0
    match: str | None = None
    first_line: int | None = None

    @property
    def wanted(self) -> bool:
        """Tell whether any of the log is asked for."""
        return self.lines > 0 or self.match is not None or self.first_line is not None


def budget_view(budget: Budget) -> BudgetView:
    """Show the limits in force."""
    return BudgetView(
        training_seconds=budget.training_seconds,
        hard_timeout_seconds=budget.hard_timeout_seconds,
        set_by=budget.set_by,
    )


def incumbent_view(incumbent: TrialRecord | None) -> IncumbentView | None:
    """Show the code to beat."""
    if incumbent is None or incumbent.outcome is None or incumbent.outcome.value is None:
        return None
    commit = incumbent.applying_to or incumbent.candidate
    return IncumbentView(
        trial_id=incumbent.id, value=incumbent.outcome.value, commit=commit[:_SHORT]
    )


def verdict_view(verdict: Verdict) -> VerdictView:
    """Show a decision."""
    seen, gain = verdict.evidence, verdict.gain
    noise = seen.noise if seen else None
    return VerdictView(
        status=verdict.status,
        reason=verdict.reason,
        gain=_gain(verdict),
        gain_in_noise=None if gain is None or not noise else round(gain / noise, 2),
        noise=None if noise is None else float(f"{noise:.4g}"),
        evidence=None if seen is None or seen.odds is None else odds_text(seen.odds),
        runs=seen.runs if seen else None,
        incumbent_runs=seen.incumbent_runs if seen else None,
        operator=verdict.operator,
    )


def outcome_view(outcome: Outcome, hint: str | None = None) -> OutcomeView:
    """Show how a trial ended, with a better hint than the outcome's own where there is one."""
    timing = outcome.timing
    return OutcomeView(
        kind=outcome.kind,
        value=outcome.value,
        reason=outcome.reason,
        trust=outcome.trust.level,
        trust_missing=list(outcome.trust.missing),
        error_class=outcome.error_class,
        hint=hint or outcome.hint,
        notes=list(outcome.notes),
        secondary=outcome.secondary,
        exit_code=outcome.exit_code,
        seconds=_rounded(timing.total if timing else None),
        training_seconds=_rounded(timing.training if timing else None),
        claimed_seconds=timing.claimed if timing else None,
    )


def trial_view(rooms: Rooms, trial: TrialRecord, budget: Budget, next_step: str) -> TrialView:
    """Show where a trial stands.

    Args:
        rooms: Where its logs and the trials before it are.
        trial: The trial.
        budget: The limits in force.
        next_step: What is to be done now, which another trial may decide.
    """
    incumbent = rooms.ledger.last_kept(trial.research)
    if incumbent is not None and incumbent.id == trial.id:
        incumbent = rooms.ledger.last_kept(trial.research, before=trial.id)
    return TrialView(
        trial_id=trial.id,
        status=_status(trial),
        hypothesis=short(trial.hypothesis),
        baseline=trial.baseline,
        candidate=trial.candidate[:_SHORT],
        protocol_bundle=trial.protocol_bundle and short(trial.protocol_bundle),
        elapsed_s=round(_elapsed(trial), 1),
        eta_s=_eta(rooms, trial, budget),
        budget=budget_view(budget),
        progress=_progress(rooms, trial),
        incumbent=incumbent_view(incumbent),
        outcome=None
        if trial.outcome is None
        else outcome_view(trial.outcome, advice.hint(rooms, trial)),
        verdict=None if trial.verdict is None else verdict_view(trial.verdict),
        log_tail=_failed_log(rooms, trial),
        next_step=next_step,
    )


def trial_line(trial: TrialRecord) -> TrialLine:
    """Show one trial in a list."""
    verdict, outcome = trial.verdict, trial.outcome
    return TrialLine(
        trial_id=trial.id,
        status=_status(trial) if verdict is None or outcome is None else resultslog.status(trial),
        value=outcome.value if outcome else None,
        trust=outcome.trust.level if outcome and outcome.value is not None else None,
        gain=_gain(verdict) if verdict else None,
        hypothesis=short("baseline" if trial.baseline else trial.hypothesis),
        reason=short(verdict.reason if verdict else ""),
    )


def still_due(trial: TrialRecord) -> str | None:
    """Say what is still to be done about a trial; None where nothing is."""
    if trial.undecided:
        return (
            f"The trial is still going on. Call wait_trial(trial_id={trial.id}) until it has a "
            "verdict. Do not start another trial and do not edit meanwhile."
        )
    assert trial.verdict is not None
    assert trial.outcome is not None
    if trial.awaits_application:
        effect = (
            "commits the change and makes it the incumbent"
            if trial.verdict.status is VerdictStatus.KEEP
            else "puts the incumbent's file back"
        )
        return f"Call commit_or_revert(trial_id={trial.id}): it {effect}."
    if trial.outcome.error_class == SETUP:
        return "Stop and tell the person what must be mended; then call run_trial again."
    if trial.outcome.kind is OutcomeKind.INTERRUPTED:
        return "Call run_trial again with the same hypothesis: the candidate is still in place."
    if trial.baseline and trial.outcome.kind is OutcomeKind.CANCELLED:
        return "Call run_trial: without a baseline nothing can be judged."
    if trial.baseline and trial.verdict.status is not VerdictStatus.KEEP:
        return "The unmodified recipe gave no value: a person must mend it; then call run_trial."
    return None


def now() -> datetime:
    """Return the current time, UTC."""
    return datetime.now(UTC)


def _status(trial: TrialRecord) -> str:
    if trial.undecided:
        return "queued" if trial.phase in {Phase.STAGED, Phase.QUEUED} else "running"
    return "decided" if trial.awaits_application else "done"


def _elapsed(trial: TrialRecord) -> float:
    end = datetime.fromisoformat(trial.ended_at) if trial.ended_at else now()
    return max(0.0, (end - datetime.fromisoformat(trial.staged_at)).total_seconds())


def _eta(rooms: Rooms, trial: TrialRecord, budget: Budget) -> float | None:
    """Estimate the seconds to the run's end from the last measured one, else from the budget."""
    if not trial.undecided:
        return None
    measured = rooms.ledger.last_measured(trial.research)
    expected = budget.training_seconds + _STARTUP_SECONDS
    if measured is not None and measured.outcome is not None:
        expected = measured.outcome.seconds
    run = trial.current_run
    since = now() - datetime.fromisoformat(run.started_at) if run else None
    return round(max(1.0, expected - (since.total_seconds() if since else 0.0)), 0)


def _progress(rooms: Rooms, trial: TrialRecord) -> ProgressView | None:
    run = trial.current_run
    if run is None:
        return None
    log = rooms.files.read(rooms.files.run_log(trial.id, run.number), _PROGRESS_BYTES)
    seen = parse_progress(log)
    if seen is None:
        return ProgressView(run=run.number, why=run.why or None)
    return ProgressView(
        run=run.number,
        why=run.why or None,
        step=seen.step,
        percent=seen.percent,
        loss=seen.loss,
        seconds_left=seen.seconds_left,
    )


def _failed_log(rooms: Rooms, trial: TrialRecord) -> str | None:
    if trial.outcome is None or trial.outcome.kind is OutcomeKind.MEASURED or not trial.runs:
        return None
    data = rooms.files.read(rooms.files.run_log(trial.id, len(trial.runs)))
    return logtext.tail(data, _FAILED_LOG_BYTES)


def log_text(rooms: Rooms, trial: TrialRecord, request: LogRequest) -> str:
    """Return a part of the candidate's latest log as safe text: a search, a range, or its end."""
    data = rooms.files.read(rooms.files.run_log(trial.id, trial.own_run))
    text = _part(data, request, _LOG_BYTES)
    # An answer travels as JSON, in which a quote or a backslash takes two bytes.
    if len(json.dumps(text, ensure_ascii=False).encode()) > _LOG_BYTES + _LOG_BYTES // 4:
        text = _part(data, request, _LOG_BYTES // 2)
    return text


def _part(data: bytes, request: LogRequest, most: int) -> str:
    if request.match is not None:
        return logtext.matching(data, request.match, most)
    if request.first_line is not None:
        return logtext.excerpt(data, request.first_line, most)
    return logtext.tail(data, most, request.lines)


def _gain(verdict: Verdict) -> float | None:
    """Return the gain without the dust of binary fractions; the ledger keeps every bit."""
    return None if verdict.gain is None else round(verdict.gain, 9)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def short(text: str, most: int = _LINE_CHARACTERS) -> str:
    """Return a text as one harmless line, cut to a number of characters."""
    line = logtext.escape(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"
