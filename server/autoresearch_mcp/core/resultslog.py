"""The results log: one line per decided trial, in the protocol's columns.

A view of the ledger, never read back. Lines that the file held before the research run
stay where they were.
"""

from collections.abc import Callable, Iterable, Sequence

from autoresearch_mcp.core.trial import OutcomeKind, TrialRecord

_SHORT_HASH = 7
_MB_PER_GB = 1024
_MEMORY_METRIC = "peak_vram_mb"


def render(
    before: bytes | None, columns: Sequence[str], metric: str, trials: Iterable[TrialRecord]
) -> bytes:
    """Return the results log as tab-separated lines.

    Args:
        before: The file as the research run found it; None where there was none.
        columns: The protocol's columns, in order. Known are commit, memory_gb, status,
            description, the metric's name and the names of secondary metrics; any other
            column stays empty.
        metric: Name of the primary metric.
        trials: The research run's trials, oldest first; undecided ones are left out.
    """
    header = "\t".join(columns)
    kept = before.decode(errors="replace").rstrip("\n") if before else ""
    rows = [
        "\t".join(_cell(trial, column, metric) for column in columns)
        for trial in trials
        if trial.verdict is not None and trial.outcome is not None
    ]
    lines = [kept or header, *rows]
    return ("\n".join(lines) + "\n").encode()


def status(trial: TrialRecord) -> str:
    """Return the log's word for how a decided trial ended: keep, discard, crash, inconclusive."""
    if trial.outcome is None or trial.verdict is None:
        raise ValueError(f"trial {trial.id} is not decided")
    blameless = {OutcomeKind.MEASURED, OutcomeKind.INTERRUPTED, OutcomeKind.CANCELLED}
    return str(trial.verdict.status) if trial.outcome.kind in blameless else "crash"


def _cell(trial: TrialRecord, column: str, metric: str) -> str:
    if column == metric:
        return _number(trial.outcome.value if trial.outcome else None, "{:.6f}")
    known: dict[str, Callable[[TrialRecord], str]] = {
        "commit": lambda t: t.candidate[:_SHORT_HASH],
        "memory_gb": _memory_gb,
        "status": status,
        "description": _description,
    }
    if column in known:
        return known[column](trial)
    return _number(trial.outcome.secondary.get(column) if trial.outcome else None, "{:g}")


def _memory_gb(trial: TrialRecord) -> str:
    peak = trial.outcome.secondary.get(_MEMORY_METRIC) if trial.outcome else None
    return _number(None if peak is None else peak / _MB_PER_GB, "{:.1f}")


def _description(trial: TrialRecord) -> str:
    text = "baseline" if trial.baseline else trial.hypothesis
    if trial.outcome and trial.outcome.kind is not OutcomeKind.MEASURED:
        text = f"{text} [{trial.outcome.kind}: {trial.outcome.reason}]"
    # A tab or a line end inside a cell would forge a column or a row.
    return " ".join(text.split())


def _number(value: float | None, pattern: str) -> str:
    # Empty, never 0: a crash must not look like the best result of the night.
    return "" if value is None else pattern.format(value)
