"""The honest gain: fresh runs of baseline and incumbent that took no part in choosing.

What a session kept was chosen for looking good, so its own figures flatter it. Fresh pairs do not.
Nor is the session's noise taken: an edit is run again when its first run looked lucky, so repeats
spread wider than runs do (by a quarter where noise is large; bench/decision.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch_mcp.core.noise import NO_NOISE, Noise, pooled, t_of_normal

_Z95 = 1.6448536269514722
"""The upper 5 % point of the normal distribution: an interval both ways holds 90 %."""

_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Pair:
    """One run each of baseline and incumbent, made one after the other, metric units."""

    baseline: float
    incumbent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The gain of the incumbent over the baseline, and how far it may be off.

    Args:
        gain: Mean over the pairs, metric units; positive is better.
        margin: The true gain is within this of it 9 times in 10; None where the noise is
            unknown.
    """

    gain: float
    margin: float | None

    @property
    def is_a_gain(self) -> bool:
        """Tell whether the whole interval is above nothing."""
        return self.margin is not None and self.gain - self.margin > 0


def certificate(pairs: Sequence[Pair], before: Noise, *, maximize: bool = False) -> Interval:
    """Estimate the gain from fresh pairs.

    The margin is t s sqrt(2 / pairs), with s from the pairs themselves and from `before`.

    Args:
        pairs: The pairs, at least one.
        before: Noise of the baseline's first runs, which nothing had been chosen by.
        maximize: Whether a larger metric is the better one.

    Example:
        >>> found = certificate([Pair(2.0, 1.5), Pair(2.2, 1.7)], Noise(squares=0.04, df=2))
        >>> f"{found.gain:.2f} +- {found.margin:.2f}"
        '0.50 +- 0.30'
    """
    baseline, incumbent = [p.baseline for p in pairs], [p.incumbent for p in pairs]
    gain = (sum(baseline) - sum(incumbent)) / len(pairs)
    noise, margin = before.plus(pooled([baseline, incumbent])), None
    if noise.df:
        margin = t_of_normal(_Z95, noise.df) * noise.sd * math.sqrt(2 / len(pairs))
    return Interval(gain=-gain if maximize else gain, margin=margin)


def disagreement(
    validation: Sequence[Pair], holdout: Sequence[Pair], *, maximize: bool = False
) -> str | None:
    """Say that the gain is another on the holdout than on validation; None where it is not.

    Each run gives both figures of one model, so that their difference has little noise of its
    own. It counts when it is more than its margin, and more than a fifth of the gain.

    Args:
        validation: The pairs on validation rows.
        holdout: The same pairs on holdout rows.
        maximize: Whether a larger metric is the better one.
    """
    both = zip(validation, holdout, strict=True)
    apart = [Pair(h.baseline - v.baseline, h.incumbent - v.incumbent) for v, h in both]
    found = certificate(apart, NO_NOISE, maximize=maximize)
    gain = certificate(validation, NO_NOISE, maximize=maximize).gain
    if found.margin is None or abs(found.gain) <= max(found.margin, _SHARE * abs(gain)):
        return None
    side = "smaller" if found.gain < 0 else "larger"
    return (
        f"the gain is {side} by {abs(found.gain):.6f} on rows that no trial was judged by: "
        "what was kept may fit the validation rows rather than the task"
    )
