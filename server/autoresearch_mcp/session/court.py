"""From the ledger to a verdict: what counts, who is the incumbent, what follows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from autoresearch_mcp.core.case import Action, Case, Judgement, Kept, Observation, Rule
from autoresearch_mcp.core.decision import judge, noise_of
from autoresearch_mcp.core.events import Decided
from autoresearch_mcp.core.measurement import Measurement
from autoresearch_mcp.core.noise import Noise
from autoresearch_mcp.core.protocol_schema import Protocol
from autoresearch_mcp.core.sampling import aggregate
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Timing, TrialRecord, TrustLevel
from autoresearch_mcp.core.verdict import Evidence, Verdict, VerdictStatus
from autoresearch_mcp.effects.ledger import EndedRun, Ledger
from autoresearch_mcp.session.rooms import Options, Rooms

_NO_SAY = frozenset({OutcomeKind.CANCELLED, OutcomeKind.INTERRUPTED, OutcomeKind.WARM_UP})
_LEVELS = list(TrustLevel)
_SMOKE_TEST = "this data is a smoke test for its profile: results on it are never ranked"
_STATUS = {
    Action.KEEP: VerdictStatus.KEEP,
    Action.DISCARD: VerdictStatus.DISCARD,
    Action.INCONCLUSIVE: VerdictStatus.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Docket:
    """What the ledger holds that bears on one trial: it alone decides.

    Args:
        trial: The trial.
        incumbent: Whose candidate the branch held when it was staged; None for a baseline.
        runs: How the runs ended, up to this trial's last, of its arm, of the incumbent's and of
            every arm that ran more than once: no other has a say.
        kept: The verdicts kept before it, the baseline's first.
        saved: The noise that earlier sessions left.
        began: When the baseline was staged, UTC, ISO 8601; None for the baseline itself.
        unproved: Trial and number of runs of its arm whose claims nobody has audited, and nobody
            can: their models went when their trials ended.
    """

    trial: TrialRecord
    incumbent: TrialRecord | None
    runs: tuple[EndedRun, ...]
    kept: tuple[Verdict, ...]
    saved: Noise
    began: str | None = None
    unproved: frozenset[tuple[int, int]] = frozenset()

    @classmethod
    def read(cls, ledger: Ledger, trial_id: int) -> "Docket":
        """Read it from the ledger."""
        trial = ledger.get(trial_id)
        research = trial.research
        incumbent = None if trial.baseline else ledger.last_kept(research, before=trial_id)
        baseline = ledger.first_kept(research) if incumbent else None
        arms = [trial.arm, *([incumbent.arm] if incumbent else [])]
        return cls(
            trial=trial,
            incumbent=incumbent,
            runs=ledger.ended_runs(research, upto=trial_id, arms=arms),
            kept=ledger.verdicts_kept(research, before=trial_id),
            saved=ledger.started(research).noise,
            began=baseline.staged_at if baseline else None,
            unproved=frozenset(_unproved(ledger, trial)),
        )

    @property
    def seconds(self) -> float:
        """Return how long the research run had gone on when this trial's last run ended."""
        if self.began is None or not self.trial.runs:
            return 0.0
        last = self.trial.runs[-1]
        began, started = map(datetime.fromisoformat, (self.began, last.started_at))
        return (started - began).total_seconds() + (last.outcome.seconds if last.outcome else 0.0)

    def case_under(self, rule: Rule) -> Case:
        """Return what the rule is asked, its limit on time applied to what the ledger tells."""
        limit = rule.most_seconds
        return replace(self.case, out_of_budget=limit is not None and self.seconds >= limit)

    @property
    def case(self) -> Case:
        """Return what there is to judge, as long as it may take."""
        trial = self.trial
        return Case(
            candidate=trial.arm,
            incumbent=self.incumbent.arm if self.incumbent else None,
            observations=tuple(
                Observation(run.arm, run.value, (run.trial, run.number) not in self.unproved)
                for run in self.runs
                if self.counts(run)
            ),
            net_lines=trial.added - trial.removed,
            simplification=trial.simplification,
            kept=tuple(kept for verdict in self.kept if (kept := _kept(verdict))),
            saved=self.saved,
        )

    @property
    def noise(self) -> Noise:
        """Return all that is known of the noise, what earlier sessions left included."""
        return noise_of(self.case)

    def counts(self, run: EndedRun) -> bool:
        """Tell whether a run has a say.

        What failed once as a candidate is not run again unchanged. A baseline is: what made it
        fail may have been mended outside the code.
        """
        if run.kind in _NO_SAY:
            return False
        return run.value is not None or not self.trial.baseline or run.trial == self.trial.id

    def runs_of(self, arm: str) -> int:
        """Return how many runs of an arm have a say: the next one's seed follows from it.

        A run that has none gives its seed to its successor, so that nothing is gained by
        ending a run that goes badly.
        """
        return sum(run.arm == arm and run.kind not in _NO_SAY for run in self.runs)

    def warm_up_due(self, arm: str, rule: Rule) -> int | None:
        """Return which warm-up of an arm its next run is; None where that run is to count.

        Warm-ups come first: code that has a run with a say gets no more of them.
        """
        made = sum(run.arm == arm and run.kind == OutcomeKind.WARM_UP for run in self.runs)
        return None if made >= rule.warm_ups or self.runs_of(arm) else made + 1


def _unproved(ledger: Ledger, trial: TrialRecord) -> Iterator[tuple[int, int]]:
    """Find the runs that earlier trials of the same code left without an audit.

    What the server did not evaluate itself is not meant: no audit exists for it.
    """
    for earlier in ledger.trials_of_arm(trial.research, trial.arm):
        for run in earlier.runs if earlier.id < trial.id else ():
            sealed = run.outcome is not None and run.outcome.evaluation is not None
            if run.arm == trial.arm and sealed and run.audit is None:
                yield earlier.id, run.number


def _kept(verdict: Verdict) -> Kept | None:
    """Return what a keep showed; None for a baseline and for what the operator decided."""
    if verdict.gain is None or verdict.operator is not None:
        return None
    seen = verdict.evidence
    if seen is None:
        return Kept(gain=verdict.gain)
    return Kept(gain=verdict.gain, simpler=seen.simpler, pull=seen.pull, runs=max(1, seen.runs))


def incumbent_of(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the trial whose candidate the branch holds: the last kept, first the baseline."""
    return next((t for t in reversed(trials) if t.kept), None)


def rule_of(protocol: Protocol, options: Options, *, rankable: bool) -> Rule:
    """Return the evidence rule in force.

    Args:
        protocol: The recipe's.
        options: The operator's choices.
        rankable: Whether results may be compared at all: where not, one run is enough.
    """
    measurement = protocol.measurement
    sampling = measurement.sampling
    return Rule(
        direction=measurement.primary_metric.direction,
        preset=options.preset if rankable else "single",
        min_gain_bips=measurement.min_score_improvement_bips or 0,
        least_runs=sampling.measured_trials if sampling and rankable else 1,
        most_spread=sampling.max_relative_std_dev if sampling else None,
        warm_ups=sampling.warmup_trials if sampling and rankable else 0,
        most_seconds=protocol.mining_loop.max_session_wall_seconds,
    )


def measured(docket: Docket, trials: Sequence[TrialRecord], measurement: Measurement) -> Outcome:
    """Sum up the runs of the trial's arm in one value, as the protocol's aggregator does.

    An arm that was run before brings its earlier runs along, and what made one of them fail.

    Args:
        docket: The trial's.
        trials: The trials in which its arm was run, oldest first.
        measurement: The protocol's: what is measured, and how its values become one.
    """
    arm, mine = docket.trial.arm, docket.trial
    ended = [
        run.outcome
        for t in trials
        for run in t.runs
        if run.arm == arm and run.outcome is not None and run.outcome.kind not in _NO_SAY
        if run.outcome.value is not None or not mine.baseline or t.id == mine.id
    ]
    if failed := [outcome for outcome in ended if outcome.value is None]:
        reason = f"the same code was run before: {failed[-1].reason}"
        return failed[-1].model_copy(update={"reason": reason})
    values = [outcome.value for outcome in ended if outcome.value is not None]
    value, runs = aggregate(values, measurement.sampling)
    weakest = min((o.trust for o in ended), key=lambda trust: _LEVELS.index(trust.level))
    slow = sum(outcome.throttled is not None for outcome in ended)
    flag = f", {slow} of them on a machine slower than usual" if slow else ""
    reason = f"{measurement.primary_metric.name} {value:.6f} ({runs}{flag})"
    return ended[-1].model_copy(update={"value": value, "reason": reason, "trust": weakest})


def verdict_on(docket: Docket, rule: Rule, *, rankable: bool) -> Decided:
    """Return the decision on a trial whose outcome is known.

    Args:
        docket: The trial's.
        rule: The evidence rule.
        rankable: Whether results in this setting may be compared at all.
    """
    trial = docket.trial
    if trial.outcome is None:
        raise ValueError(f"trial {trial.id} has no outcome yet")
    match trial.outcome.kind:
        case OutcomeKind.MEASURED if not rankable and not trial.baseline:
            verdict = Verdict(status=VerdictStatus.INCONCLUSIVE, reason=_SMOKE_TEST)
        case OutcomeKind.MEASURED:
            verdict = _verdict(judge(docket.case_under(rule), rule), rule)
        case OutcomeKind.INTERRUPTED:
            verdict = Verdict(status=VerdictStatus.INCONCLUSIVE, reason=trial.outcome.reason)
        case kind:
            reason = f"{kind}: {trial.outcome.reason}"
            verdict = Verdict(status=VerdictStatus.DISCARD, reason=reason)
    return Decided(trial=trial.id, verdict=verdict)


def decide(rooms: Rooms, trial_id: int, protocol: Protocol) -> Decided:
    """Return the decision that the ledger's runs lead to."""
    docket = Docket.read(rooms.ledger, trial_id)
    rankable = rooms.ledger.started(docket.trial.research).setting.rankable
    rule = rule_of(protocol, rooms.options, rankable=rankable)
    return verdict_on(docket, rule, rankable=rankable)


def _verdict(judged: Judgement, rule: Rule) -> Verdict:
    evidence = Evidence(
        preset=rule.preset,
        odds=judged.odds,
        noise=judged.noise,
        noise_df=judged.noise_df,
        runs=judged.runs,
        incumbent_runs=judged.incumbent_runs,
        simpler=judged.simpler,
        pull=judged.pull,
    )
    status = _STATUS.get(judged.action, VerdictStatus.INCONCLUSIVE)
    return Verdict(status=status, reason=judged.reason, gain=judged.gain, evidence=evidence)


def timings(baseline: TrialRecord) -> tuple[Timing, ...]:
    """Return the timings of the baseline's measured runs."""
    return tuple(
        run.outcome.timing
        for run in baseline.runs
        if run.outcome and run.outcome.timing and run.outcome.value is not None
    )


def mean_of(ledger: Ledger, trial: TrialRecord) -> float:
    """Return the mean of all runs so far of a trial's code.

    Raises:
        ValueError: It has none with a value.
    """
    runs = ledger.ended_runs(trial.research, upto=ledger.last_trial(), arms=[trial.arm])
    values = [r.value for r in runs if r.arm == trial.arm and r.value is not None]
    if not values:
        raise ValueError(f"trial {trial.id} has no value")
    return sum(values) / len(values)
