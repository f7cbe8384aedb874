"""How far identical runs differ: pooled over all arms that ran more than once."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_SAVED_DF = 10
"""What an earlier session may weigh at most: the machine may have changed since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A pooled estimate of the variance between runs of the same code.

    Args:
        squares: Sum of squared deviations from each arm's own mean.
        df: Degrees of freedom: runs less arms.
    """

    squares: float = 0.0
    df: float = 0.0

    @property
    def sd(self) -> float:
        """Return the standard deviation of one run; 0 where nothing ran twice."""
        return math.sqrt(self.squares / self.df) if self.df else 0.0

    def plus(self, other: "Noise") -> "Noise":
        """Return the estimate from both."""
        return Noise(squares=self.squares + other.squares, df=self.df + other.df)

    def for_reuse(self) -> "Noise":
        """Return the same standard deviation with the weight that a later session may give it."""
        share = min(1.0, MOST_SAVED_DF / self.df) if self.df else 0.0
        return Noise(squares=self.squares * share, df=self.df * share)


NO_NOISE = Noise()
"""Nothing is known of the noise."""


def pooled(arms: Iterable[Sequence[float]]) -> Noise:
    """Estimate the noise from each arm's runs, given in ledger order.

    Example:
        >>> pooled([[1.0, 3.0], [5.0]])
        Noise(squares=2.0, df=1)
    """
    squares, df = 0.0, 0
    for runs in arms:
        if len(runs) > 1:
            mean = sum(runs) / len(runs)
            squares += sum((value - mean) * (value - mean) for value in runs)
            df += len(runs) - 1
    return Noise(squares=squares, df=df)


def relative_spread(runs: Sequence[float]) -> float | None:
    """Return the standard deviation of some runs as a share of their mean; None for fewer than two.

    Example:
        >>> round(relative_spread([9.0, 11.0]), 4)
        0.1414
    """
    if len(runs) < 2:
        return None
    sd = pooled([runs]).sd
    size = abs(sum(runs) / len(runs))
    if size:
        return sd / size
    return math.inf if sd else 0.0


def normal_of_t(t: float, df: float) -> float:
    """Return the normal deviate with about the tail of Student's t, for t > 0.

    D. L. Wallace, Bounds on normal approximations to Student's and the chi-square
    distributions, Annals of Mathematical Statistics 30 (1959), 1121-1130.

    Example:
        >>> round(normal_of_t(2.92, 2), 2)  # the upper 5 % point of t with 2 df; exact: 1.64
        1.63
    """
    return (8 * df + 1) / (8 * df + 3) * math.sqrt(df * math.log1p(t * t / df))


def t_of_normal(z: float, df: float) -> float:
    """Return Student's t with about the tail of a normal deviate: Wallace's formula, inverted.

    Within 2 % of the exact quantile from 2 degrees of freedom on, and on the wide side.

    Example:
        >>> round(t_of_normal(1.6449, 10), 2)  # exact: 1.81
        1.81
    """
    inner = z * (8 * df + 3) / (8 * df + 1)
    return math.sqrt(df * math.expm1(inner * inner / df))
