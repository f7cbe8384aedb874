"""The honest gain: fresh runs of baseline and incumbent that took no part in choosing.

What a session kept was chosen for looking good, so its own figures flatter it. Fresh pairs do not.
Nor is the session's noise taken: an edit is run again when its first run looked lucky, so repeats
spread wider than runs do (by a quarter where noise is large; bench/decision.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch_mcp.core.noise import Noise, pooled, t_of_normal

_Z95 = 1.6448536269514722
"""The upper 5 % point of the normal distribution: an interval both ways holds 90 %."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One run each of baseline and incumbent, made one after the other, metric units."""

    baseline: float
    incumbent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The gain of the incumbent over the baseline.

    Args:
        gain: Mean over the pairs, metric units; positive is better.
        margin: The true gain is within this of it 9 times in 10; None where the noise is
            unknown.
    """

    gain: float
    margin: float | None


def certificate(pairs: Sequence[Pair], before: Noise, *, maximize: bool = False) -> Certificate:
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
    return Certificate(gain=-gain if maximize else gain, margin=margin)
