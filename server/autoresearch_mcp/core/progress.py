r"""Read how far a run is from the progress it prints.

The recipe overwrites one line: `\rstep 00012 (34.5%) | loss: 3.21 | ... | remaining: 20s`.
This is a courtesy to whoever waits; nothing is decided by it.
"""

import math
import re
from dataclasses import dataclass

_STEP = re.compile(
    rb"(?:\A|[\r\n])[ \t]*step[ \t]+([0-9]{1,12})[ \t]+\(([0-9.]{1,12})%\)([^\r\n]*)"
)
_LOSS = re.compile(rb"\bloss:[ \t]*([0-9.eE+-]{1,24})(?=[ \t|]|\Z)")
_ANY_LOSS = re.compile(
    rb"\bloss:[ \t]*(-?(?:nan|inf)|[0-9.eE+-]{1,24})(?=[ \t|]|\Z)", re.IGNORECASE
)
_REMAINING = re.compile(rb"\bremaining:[ \t]*([0-9.]{1,12})s")

_MAX_BYTES = 1 << 16
_HOPELESS_REPORTS = 5
_NONSENSE_LOSS = 100.0
"""Nats per token. Guessing uniformly over a vocabulary of V tokens costs ln V, under 13 for any V
that a recipe has: a model this far above it does not come back."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The last progress line of a run.

    Attributes:
        step: Optimizer steps done, as printed.
        percent: Share of the budget that is used, 0 to 100.
        loss: The training loss shown, or None if it is not shown or not finite.
        seconds_left: Seconds of budget left, or None if not shown.
    """

    step: int
    percent: float
    loss: float | None
    seconds_left: float | None


def parse_progress(log: bytes) -> Progress | None:
    r"""Read the last progress line of a log; None if there is none in its last 64 KiB.

    Example:
        >>> parse_progress(b"\rstep 00012 (34.5%) | loss: 3.21 | remaining: 20s    ")
        Progress(step=12, percent=34.5, loss=3.21, seconds_left=20.0)
    """
    found = list(_STEP.finditer(log[-_MAX_BYTES:]))
    for match in reversed(found):
        percent = _number(match.group(2))
        if percent is not None and percent <= 100:
            rest = match.group(3)
            return Progress(int(match.group(1)), percent, _at(_LOSS, rest), _at(_REMAINING, rest))
    return None


def hopeless(log: bytes) -> str | None:
    r"""Say why a run will come to nothing: its last reports show no usable loss; else None.

    Example:
        >>> hopeless(b"".join(b"\rstep %d (1.0%%) | loss: nan | x" % n for n in range(5)))
        'the loss was nan in 5 reports in a row'
    """
    losses = [
        found.group(1).decode().lower()
        for match in _STEP.finditer(log[-_MAX_BYTES:])
        if (found := _ANY_LOSS.search(match.group(3)))
    ][-_HOPELESS_REPORTS:]
    if len(losses) == _HOPELESS_REPORTS and all(map(_is_nonsense, losses)):
        return f"the loss was {losses[-1]} in {_HOPELESS_REPORTS} reports in a row"
    return None


def _is_nonsense(loss: str) -> bool:
    value = _number(loss.encode())
    return value is None or value > _NONSENSE_LOSS


def _at(pattern: re.Pattern[bytes], text: bytes) -> float | None:
    found = pattern.search(text)
    return _number(found.group(1)) if found else None


def _number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
