"""From the bare facts of one run to its outcome."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch_mcp.core.budget import Budget, overrun
from autoresearch_mcp.core.crash import CRASH_HINTS, ErrorClass, classify_crash
from autoresearch_mcp.core.evaluation import mismatch
from autoresearch_mcp.core.measurement import Measurement
from autoresearch_mcp.core.metrics import extract, reads_test_report
from autoresearch_mcp.core.stopping import in_words, overstepped
from autoresearch_mcp.core.trial import Evaluation, Outcome, OutcomeKind, Timing, Trust

SETUP = "setup"
"""Error class of a run that could not be made before a person has mended something."""

CLOCK = "clock"
"""Error class of a run that the machine's sleep or a clock change spoilt: it is repeated."""

RETRIED = "retried"
"""Error class of a first crash that the protocol has tried again: it has no say."""

_LARGEST_CLOCK_JUMP_SECONDS = 2.0
_CLAIM = re.compile(rb"^training_seconds:[ \t]+([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unevaluated:
    """Why the server has no metric for a model that it was to evaluate.

    Args:
        reason: One line.
        error_class: Its class, for the hint.
        tried: False where the run ended by itself before it had its answer.
    """

    reason: str
    error_class: ErrorClass = "other"
    tried: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What the supervisor saw of a run.

    Args:
        exit_code: Exit status; minus the signal's number when a signal ended the process.
        stopped: Why the supervisor ended it: "timeout", or a sentence; None when it did not.
        timing: The supervisor's clocks.
        stop_class: The class of what the supervisor ended it for.
        clock_jump: Seconds by which the wall clock ran ahead of the monotonic one.
        tampered: What was changed that a run must not change; None when nothing was.
        trust: The level of trust that the run's surroundings give.
        evaluation: The server's own, or why it came to none; None where the run evaluates.
    """

    exit_code: int
    stopped: str | None
    timing: Timing
    stop_class: ErrorClass = "other"
    clock_jump: float = 0.0
    tampered: str | None = None
    trust: Trust = field(default_factory=Trust)
    evaluation: Evaluation | Unevaluated | None = None


def outcome_of(
    facts: RunFacts,
    log: bytes,
    measurement: Measurement,
    budget: Budget,
    baselines: Sequence[Timing],
) -> Outcome:
    """Read the run's metrics from its log, or say why there are none.

    Args:
        facts: What the supervisor saw.
        log: All output of the run.
        measurement: Which metrics, and how they are written.
        budget: The limits in force.
        baselines: Timings of the baseline's runs; empty for the baseline itself.
    """
    ended = (
        _spoilt(facts)
        or _stopped(facts, budget)
        or _unevaluated(facts)
        or _crashed(facts, log, measurement)
        or _over_budget(facts, log, budget, baselines)
        or _measured(measurement, log, facts.evaluation)
    )
    secondary = {
        metric.name: extract(metric.extract, log, metric.name).value if metric.extract else None
        for metric in measurement.secondary_metrics
    }
    timing = facts.timing.model_copy(update={"claimed": claimed_seconds(log)})
    return ended.model_copy(
        update={
            "exit_code": facts.exit_code,
            "timing": timing,
            "secondary": secondary,
            "trust": facts.trust,
        }
    )


def excused(outcome: Outcome) -> Outcome:
    """Return a crash as one that counts for nothing, because the run is made once more."""
    if outcome.kind is not OutcomeKind.CRASH:
        return outcome
    reason = f"crashed, and is tried once more: {outcome.reason}"
    kind = OutcomeKind.INTERRUPTED
    return outcome.model_copy(update={"kind": kind, "error_class": RETRIED, "reason": reason})


def claimed_seconds(log: bytes) -> float | None:
    r"""Return the training seconds that the log claims last, None where it claims none.

    Example:
        >>> claimed_seconds(b"---\ntraining_seconds: 29.8\n")
        29.8
    """
    claims = _CLAIM.findall(log)
    return float(claims[-1]) if claims else None


def _spoilt(facts: RunFacts) -> Outcome | None:
    if facts.tampered:
        return Outcome(
            kind=OutcomeKind.TAMPERED,
            reason=facts.tampered,
            hint="Change nothing but the surface, and write files to the temporary folder only.",
        )
    if abs(facts.clock_jump) <= _LARGEST_CLOCK_JUMP_SECONDS:
        return None
    return Outcome(
        kind=OutcomeKind.INTERRUPTED,
        reason=f"the machine slept or its clock was set: {facts.clock_jump:+.0f} s during the run",
        error_class=CLOCK,
        hint="Start the trial again: the candidate is still in place.",
    )


def _stopped(facts: RunFacts, budget: Budget) -> Outcome | None:
    if facts.stopped is None:
        return None
    if facts.stopped != "timeout":
        return Outcome(
            kind=OutcomeKind.CRASH,
            reason=f"stopped early: {facts.stopped}",
            error_class=facts.stop_class,
            hint=CRASH_HINTS[facts.stop_class],
        )
    return Outcome(
        kind=OutcomeKind.TIMEOUT,
        reason=f"stopped after {facts.timing.total:.0f} s; the hard limit is "
        f"{budget.hard_timeout_seconds:g} s",
        hint="Make the run shorter: it must train within the budget, evaluate and exit.",
    )


def _crashed(facts: RunFacts, log: bytes, measurement: Measurement) -> Outcome | None:
    failed_tests = facts.exit_code == 1 and reads_test_report(measurement.primary_metric.extract)
    if facts.exit_code == 0 or (
        failed_tests and _measured(measurement, log, facts.evaluation).value is not None
    ):
        return None
    crash = classify_crash(log, facts.exit_code)
    return Outcome(
        kind=OutcomeKind.CRASH,
        reason=crash.reason,
        error_class=crash.error_class,
        hint=CRASH_HINTS[crash.error_class],
    )


def _unevaluated(facts: RunFacts) -> Outcome | None:
    failed = facts.evaluation
    if not isinstance(failed, Unevaluated) or not failed.tried:
        return None
    return _without(OutcomeKind.CRASH, failed)


def _without(kind: OutcomeKind, failed: Unevaluated) -> Outcome:
    hint = CRASH_HINTS[failed.error_class]
    return Outcome(kind=kind, reason=failed.reason, error_class=failed.error_class, hint=hint)


def _over_budget(
    facts: RunFacts, log: bytes, budget: Budget, baselines: Sequence[Timing]
) -> Outcome | None:
    if budget.stop and (reason := overstepped(budget.stop, log)):
        return Outcome(
            kind=OutcomeKind.OVER_BUDGET, reason=reason, hint=f"{in_words(budget.stop)} Keep to it."
        )
    reason = overrun(facts.timing, budget, baselines)
    if reason is None:
        return None
    return Outcome(
        kind=OutcomeKind.OVER_BUDGET,
        reason=reason,
        hint=f"Stop training after {budget.training_seconds:g} s from the first batch, whatever "
        "the step; what is printed does not count.",
    )


def _measured(
    measurement: Measurement, log: bytes, evaluation: Evaluation | Unevaluated | None
) -> Outcome:
    if isinstance(evaluation, Unevaluated):
        return _without(OutcomeKind.NO_METRIC, evaluation)
    metric = measurement.primary_metric
    reading = extract(metric.extract, log, metric.name)
    if isinstance(evaluation, Evaluation):
        odd = mismatch(reading.value, evaluation.value, metric.name)
        return Outcome(
            kind=OutcomeKind.MEASURED,
            value=evaluation.value,
            reason=f"{metric.name} {evaluation.value:.6f}",
            evaluation=evaluation.model_copy(update={"printed": reading.value}),
            notes=() if odd is None else (odd,),
        )
    if reading.value is None:
        return Outcome(
            kind=OutcomeKind.NO_METRIC,
            reason=f"no {metric.name}: {reading.problem}",
            hint=f"Print {metric.name} exactly once, at a line's start, as the protocol shows it.",
        )
    return Outcome(
        kind=OutcomeKind.MEASURED,
        value=reading.value,
        reason=f"{metric.name} {reading.value:.6f}",
    )
