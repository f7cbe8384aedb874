"""From the ledger's trials to a verdict: what counts, who is the incumbent, what follows."""

from collections.abc import Sequence

from autoresearch_mcp.core.case import Action, Case, Observation, Rule
from autoresearch_mcp.core.decision import judge
from autoresearch_mcp.core.events import Decided
from autoresearch_mcp.core.protocol_schema import Protocol
from autoresearch_mcp.core.trial import (
    Outcome,
    OutcomeKind,
    Timing,
    TrialRecord,
    TrustLevel,
    Verdict,
    VerdictStatus,
)
from autoresearch_mcp.session.rooms import Options, Rooms

_NOT_ITS_FAULT = frozenset({OutcomeKind.CANCELLED, OutcomeKind.INTERRUPTED})
_LEVELS = list(TrustLevel)
_SMOKE_TEST = "this data is a smoke test for its profile: results on it are never ranked"
_STATUS = {
    Action.KEEP: VerdictStatus.KEEP,
    Action.DISCARD: VerdictStatus.DISCARD,
    Action.INCONCLUSIVE: VerdictStatus.INCONCLUSIVE,
}


def incumbent_of(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the trial whose candidate the branch holds: the last kept, first the baseline."""
    return next((t for t in reversed(trials) if t.kept), None)


def case_of(trial: TrialRecord, trials: Sequence[TrialRecord]) -> Case:
    """Return what the court needs to know about a trial.

    Args:
        trial: The trial in question.
        trials: All trials of its research run, oldest first, itself included.
    """
    earlier = [t for t in trials if t.id < trial.id]
    incumbent = None if trial.baseline else incumbent_of(earlier)
    return Case(
        candidate=trial.arm,
        incumbent=incumbent.arm if incumbent else None,
        observations=tuple(
            Observation(run.arm, run.outcome.value)
            for t in trials
            if t.id <= trial.id
            for run in t.runs
            if run.outcome is not None and _counts(run.outcome, own=t.id == trial.id, case=trial)
        ),
        net_lines=trial.added - trial.removed,
    )


def _counts(outcome: Outcome, *, own: bool, case: TrialRecord) -> bool:
    """Tell whether a run has a say in a case.

    What failed once as a candidate is not run again unchanged. A baseline is: what made it fail
    may have been mended outside the code.
    """
    if outcome.kind in _NOT_ITS_FAULT:
        return False
    return outcome.value is not None or own or not case.baseline


def rule_of(protocol: Protocol, options: Options) -> Rule:
    """Return the evidence rule in force."""
    return Rule(
        direction=protocol.measurement.primary_metric.direction,
        preset=options.preset,
        min_gain_bips=protocol.measurement.min_score_improvement_bips or 0,
    )


def measured(trial: TrialRecord, trials: Sequence[TrialRecord], metric: str) -> Outcome:
    """Sum up the runs of the trial's arm: its value is their mean.

    An arm that was run before brings its earlier runs along, and what made one of them fail.
    """
    ended = [
        run.outcome
        for t in trials
        for run in t.runs
        if run.arm == trial.arm
        and run.outcome is not None
        and _counts(run.outcome, own=t.id == trial.id, case=trial)
    ]
    if failed := [outcome for outcome in ended if outcome.value is None]:
        reason = f"the same code was run before: {failed[-1].reason}"
        return failed[-1].model_copy(update={"reason": reason})
    values = [outcome.value for outcome in ended if outcome.value is not None]
    value = sum(values) / len(values)
    runs = "1 run" if len(values) == 1 else f"mean of {len(values)} runs"
    weakest = min((o.trust for o in ended), key=lambda trust: _LEVELS.index(trust.level))
    reason = f"{metric} {value:.6f} ({runs})"
    return ended[-1].model_copy(update={"value": value, "reason": reason, "trust": weakest})


def verdict_on(
    trial: TrialRecord, trials: Sequence[TrialRecord], rule: Rule, *, rankable: bool
) -> Decided:
    """Return the decision on a trial whose outcome is known.

    Args:
        trial: The trial.
        trials: All trials of its research run, oldest first, itself included.
        rule: The evidence rule.
        rankable: Whether results in this setting may be compared at all.
    """
    if trial.outcome is None:
        raise ValueError(f"trial {trial.id} has no outcome yet")
    match trial.outcome.kind:
        case OutcomeKind.MEASURED if not rankable and not trial.baseline:
            verdict = Verdict(status=VerdictStatus.INCONCLUSIVE, reason=_SMOKE_TEST)
        case OutcomeKind.MEASURED:
            ruling = judge(case_of(trial, trials), rule)
            status = _STATUS.get(ruling.action, VerdictStatus.INCONCLUSIVE)
            verdict = Verdict(status=status, reason=ruling.reason, gain=ruling.gain)
        case OutcomeKind.INTERRUPTED:
            verdict = Verdict(status=VerdictStatus.INCONCLUSIVE, reason=trial.outcome.reason)
        case kind:
            reason = f"{kind}: {trial.outcome.reason}"
            verdict = Verdict(status=VerdictStatus.DISCARD, reason=reason)
    return Decided(trial=trial.id, verdict=verdict)


def decide(rooms: Rooms, trial: TrialRecord, rule: Rule) -> Decided:
    """Return the decision that the ledger's runs lead to."""
    started = rooms.ledger.started(trial.research)
    trials = rooms.ledger.trials(trial.research)
    return verdict_on(trial, trials, rule, rankable=started.setting.rankable)


def baseline_timings(trials: Sequence[TrialRecord]) -> tuple[Timing, ...]:
    """Return the timings of the baseline's measured runs."""
    return tuple(
        run.outcome.timing
        for t in trials
        if t.baseline
        for run in t.runs
        if run.outcome and run.outcome.timing and run.outcome.value is not None
    )


def runs_of(arm: str, trials: Sequence[TrialRecord]) -> int:
    """Return how many runs an arm has had, whatever came of them."""
    return sum(run.arm == arm for t in trials for run in t.runs)
