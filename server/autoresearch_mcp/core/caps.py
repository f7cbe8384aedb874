"""The protocol's caps on a research run: `miningLoop`."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import takewhile

from autoresearch_mcp.core.protocol_schema import MiningLoop
from autoresearch_mcp.core.trial import OutcomeKind, TrialRecord
from autoresearch_mcp.core.verdict import VerdictStatus

_NOT_COUNTED = frozenset({OutcomeKind.INTERRUPTED, OutcomeKind.CANCELLED})


def reached(caps: MiningLoop, trials: Sequence[TrialRecord], now: datetime) -> str | None:
    """Name the first cap that another trial would pass; None while there is room for one.

    What was interrupted or cancelled counts for nothing.

    Args:
        caps: The protocol's.
        trials: The trials of the research run, oldest first, the baseline among them.
        now: The time, UTC.
    """
    counted = [t for t in trials if not (t.outcome and t.outcome.kind in _NOT_COUNTED)]
    if caps.max_trials is not None and len(counted) >= caps.max_trials:
        return f"miningLoop.maxTrials: {caps.max_trials} trials have been made"
    barren = len(list(takewhile(_not_kept, reversed(counted))))
    most = caps.max_consecutive_non_improvements
    if most is not None and barren >= most:
        return (
            f"miningLoop.maxConsecutiveNonImprovements: the last {barren} trials improved nothing"
        )
    limit = caps.max_session_wall_seconds
    if limit is not None and trials:
        seconds = (now - datetime.fromisoformat(trials[0].staged_at)).total_seconds()
        if seconds >= limit:
            return f"miningLoop.maxSessionWallSeconds: {limit:g} s have passed"
    return None


def in_words(caps: MiningLoop) -> Iterator[str]:
    """Yield the caps as rules for whoever works under them."""
    if caps.max_trials is not None:
        yield f"At most {caps.max_trials} trials, the baseline among them."
    if caps.max_consecutive_non_improvements is not None:
        most = caps.max_consecutive_non_improvements
        yield f"After {most} trials in a row without an improvement the research ends."
    if caps.max_session_wall_seconds is not None:
        yield f"No trial starts later than {caps.max_session_wall_seconds:g} s after the first."


def _not_kept(trial: TrialRecord) -> bool:
    return trial.verdict is None or trial.verdict.status is not VerdictStatus.KEEP
