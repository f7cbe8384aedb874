"""The metric from per-token losses: what the server computes instead of believing it."""

from __future__ import annotations  # array[int] is a type from Python 3.12 on

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

_ROUNDING = 1e-3
"""A loss is never below 0 but for the rounding of a sum over the vocabulary, in nats."""

_PRINTED = 1e-4
"""Share by which a printed number may differ: recipes round to four digits or more."""


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """The rows that are scored.

    Args:
        rows: Tokens, uint16, each row T inputs and the target of the last one.
        token_bytes: Bytes of each token of the vocabulary; 0 for one that is not scored.
    """

    rows: tuple[array[int], ...]
    token_bytes: array[int]

    @property
    def vocabulary(self) -> int:
        """Return the number of tokens."""
        return len(self.token_bytes)

    def meaningless(self, count: int) -> EvaluationData:
        """Return as many rows of the same length, made of nothing of the real ones.

        Their tokens have bytes, so that a number can be computed from them.

        Args:
            count: How many.
        """
        scored = [token for token, size in enumerate(self.token_bytes) if size]
        row = array("H", islice(cycle(scored), len(self.rows[0])))
        return EvaluationData((row,) * count, self.token_bytes)


def bits_per_byte(losses: Sequence[array[float]], data: EvaluationData) -> float:
    """Return the bits a model needs for a byte of text.

    Targets without bytes (special tokens) count neither as nats nor as bytes.

    Args:
        losses: Nats of every target, row by row.
        data: The rows.

    Example:
        >>> data = EvaluationData((array("H", [0, 1, 2]),), array("i", [0, 1, 3]))
        >>> round(bits_per_byte([array("f", [math.log(2), math.log(8)])], data), 6)
        1.0
    """
    sizes = data.token_bytes
    nats: list[float] = []
    scored = 0
    for row, row_losses in zip(data.rows, losses, strict=True):
        targets = [sizes[token] for token in row[1:]]
        scored += sum(targets)
        nats += [loss for loss, size in zip(row_losses, targets, strict=True) if size]
    return math.fsum(nats) / (math.log(2) * scored)


def objection(losses: Sequence[array[float]]) -> str | None:
    """Say why losses cannot come from probabilities; None where they can."""
    if not all(math.isfinite(loss) for row in losses for loss in row):
        return "its losses are not finite: logits are NaN or infinite"
    if any(min(row) < -_ROUNDING for row in losses):
        return "it has negative losses: probabilities above 1"
    return None


def mismatch(printed: float | None, value: float, metric: str) -> str | None:
    """Say that what a run printed is not what the server computed; None where it agrees.

    Args:
        printed: What the log says, None where it says nothing that can be read.
        value: What the server computed.
        metric: The metric's name.
    """
    if printed is None:
        return f"metric_mismatch: the log has no {metric}; the server computed {value:.6f}"
    if math.isclose(printed, value, rel_tol=_PRINTED, abs_tol=_PRINTED):
        return None
    return f"metric_mismatch: the log says {metric} {printed:g}; the server computed {value:.6f}"
