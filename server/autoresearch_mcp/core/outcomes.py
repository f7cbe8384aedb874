"""From the bare facts of one run to its outcome."""

from dataclasses import dataclass

from autoresearch_mcp.core.crash import CRASH_HINTS, classify_crash
from autoresearch_mcp.core.metrics import extract
from autoresearch_mcp.core.protocol_schema import Measurement
from autoresearch_mcp.core.trial import Outcome, OutcomeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What the supervisor saw.

    Args:
        exit_code: Exit status; minus the signal's number when a signal ended the process.
        timed_out: Whether the hard timeout ended it.
        seconds: Wall-clock seconds from start to end.
        hard_timeout: The limit in force, seconds.
    """

    exit_code: int
    timed_out: bool
    seconds: float
    hard_timeout: float


def outcome_of(facts: RunFacts, log: bytes, measurement: Measurement) -> Outcome:
    """Read the run's metrics from its log, or say why there are none.

    Args:
        facts: What the supervisor saw.
        log: All output of the run.
        measurement: Which metrics, and how they are written.
    """
    ended = _ending(facts, log) or _reading(measurement, log)
    secondary = {
        metric.name: extract(metric.extract, log).value if metric.extract else None
        for metric in measurement.secondary_metrics
    }
    return ended.model_copy(
        update={"exit_code": facts.exit_code, "seconds": facts.seconds, "secondary": secondary}
    )


def _ending(facts: RunFacts, log: bytes) -> Outcome | None:
    """Say how the run failed, None where it ended well."""
    if facts.timed_out:
        return Outcome(
            kind=OutcomeKind.TIMEOUT,
            reason=f"stopped after {facts.seconds:.0f} s; the hard limit is "
            f"{facts.hard_timeout:g} s",
            hint="Make the run shorter: it must train within the budget, evaluate and exit.",
        )
    if facts.exit_code == 0:
        return None
    crash = classify_crash(log, facts.exit_code)
    return Outcome(
        kind=OutcomeKind.CRASH,
        reason=crash.reason,
        error_class=crash.error_class,
        hint=CRASH_HINTS[crash.error_class],
    )


def _reading(measurement: Measurement, log: bytes) -> Outcome:
    """Read the metric of a run that ended well."""
    metric = measurement.primary_metric
    reading = extract(metric.extract, log)
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
