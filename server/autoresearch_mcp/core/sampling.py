"""Repeats of one candidate: `measurement.sampling`.

How many there are at least (`measuredTrials`) and how far they may spread (`maxRelativeStdDev`) is
part of the rule in core/decision.py, which compares means whatever the aggregator.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from autoresearch_mcp.core.measurement import Sampling
from autoresearch_mcp.core.trial import Outcome, OutcomeKind

_AGGREGATORS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "median": median,
    "min": min,
    "max": max,
}


def warmed_up(outcome: Outcome) -> Outcome:
    """Return a run that went well as a warm-up, whose value has no say.

    One that did not is what it is: the same code would fail again.
    """
    if outcome.kind is not OutcomeKind.MEASURED:
        return outcome
    reason = f"warm-up, which does not count: {outcome.reason}"
    return outcome.model_copy(update={"kind": OutcomeKind.WARM_UP, "value": None, "reason": reason})


def aggregate(values: Sequence[float], sampling: Sampling | None) -> tuple[float, str]:
    """Return what is shown for several runs of the same code, and how it came about.

    It is their mean unless the protocol names another way.

    Example:
        >>> aggregate([1.0, 1.0, 4.0], Sampling(aggregator="median"))
        (1.0, 'median of 3 runs, whose mean is 2.000000')
    """
    # In ledger order and by plain summation, as the verdict's: the two must be the same bits.
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, "1 run"
    way = sampling.aggregator if sampling else "mean"
    if way == "mean":
        return mean, f"mean of {len(values)} runs"
    return _AGGREGATORS[way](values), f"{way} of {len(values)} runs, whose mean is {mean:.6f}"
