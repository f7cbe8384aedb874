"""Whether the machine was slower during a run than it usually is.

A fixed piece of work is timed before and after each run. A machine that throttles (heat, battery,
somebody else's load on the GPU) gives a run fewer steps within its budget, which is no fault of
the candidate.
"""

from collections.abc import Sequence
from statistics import median

from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Pace

THROTTLED = "throttled"
"""Error class of a run that counts for nothing since the machine was slow: it is repeated."""

_LEAST_SHARE = 0.03
_DEVIATIONS = 3.0
_FEWEST, _NEWEST = 6, 60
"""How many earlier figures there must be, and how many count: a machine may change for good."""

_BLAMELESS_WHEN_SLOW = frozenset(
    {OutcomeKind.MEASURED, OutcomeKind.TIMEOUT, OutcomeKind.OVER_BUDGET}
)


def slowdown(pace: Pace, earlier: Sequence[float]) -> str | None:
    """Say by how much the machine was slower than usual; None where it was not.

    Slower is above the median of the earlier figures by more than 3 % and by more than three
    median absolute deviations.

    Args:
        pace: This run's two figures, seconds.
        earlier: The figures of earlier runs, seconds, oldest first.

    Example:
        >>> slowdown(Pace(before=0.100, after=0.150), [0.100, 0.101] * 3)
        'the machine was 49 % slower than usual'
    """
    recent = earlier[-_NEWEST:]
    if len(recent) < _FEWEST:
        return None
    usual = median(recent)
    spread = median(abs(figure - usual) for figure in recent)
    excess = max(pace.before, pace.after) - usual
    if excess <= max(_LEAST_SHARE * usual, _DEVIATIONS * spread):
        return None
    return f"the machine was {excess / usual:.0%} slower than usual".replace("%", " %")


def marked(outcome: Outcome, pace: Pace, earlier: Sequence[float], *, repeats: int) -> Outcome:
    """Return a run's outcome with its pace: void where the machine was slow and it may be repeated.

    Args:
        outcome: What the run came to.
        pace: The machine's pace beside it.
        earlier: The figures of earlier runs, seconds, oldest first.
        repeats: How often it may still be repeated; a slow run counts, flagged, when none is left.
    """
    slow = slowdown(pace, earlier) if outcome.kind in _BLAMELESS_WHEN_SLOW else None
    update: dict[str, object] = {"pace": pace, "throttled": slow}
    if slow and repeats:
        update |= {
            "kind": OutcomeKind.INTERRUPTED,
            "error_class": THROTTLED,
            "value": None,
            "reason": f"{slow}: the run does not count and is repeated",
        }
    return outcome.model_copy(update=update)
