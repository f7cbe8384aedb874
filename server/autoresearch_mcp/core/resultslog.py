"""The results log: one line per decided trial, in the protocol's columns.

A view of the ledger, never read back. Lines that the file held before the research run
stay where they were. A text that a spreadsheet would take for a formula gets an apostrophe
before it, except in jsonl, which no spreadsheet reads as one.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from autoresearch_mcp.core.protocol_schema import ResultsLog
from autoresearch_mcp.core.trial import OutcomeKind, TrialRecord

_SHORT_HASH = 7
_MB_PER_GB = 1024
_MEMORY_METRIC = "peak_vram_mb"
_FORMULA = ("=", "+", "-", "@")
_SMALL = 1e-3


class _Figure(NamedTuple):
    """A number and how it is written; no number is an empty cell, never 0."""

    value: float | None
    pattern: str


_Cell = str | _Figure
_Row = Sequence[_Cell]


def render(
    before: bytes | None, log: ResultsLog, metric: str, trials: Iterable[TrialRecord]
) -> bytes:
    """Return the results log in the protocol's format: tsv, csv or jsonl.

    Args:
        before: The file as the research run found it; None where there was none.
        log: The protocol's columns, in order. Known are commit, memory_gb, status,
            description, the metric's name and the names of secondary metrics; any other
            column stays empty.
        metric: Name of the primary metric.
        trials: The research run's trials, oldest first; undecided ones are left out.
    """
    kept = before.decode(errors="replace").rstrip("\n") if before else ""
    header = "" if log.format == "jsonl" else _WRITERS[log.format](log.columns, log.columns)
    first = kept or header
    return (f"{first}\n".encode() if first else b"") + rows(log, metric, trials)


def rows(log: ResultsLog, metric: str, trials: Iterable[TrialRecord]) -> bytes:
    """Return the rows of some trials, as `render` has them."""
    write, columns = _WRITERS[log.format], log.columns
    content = bytearray()  # row by row: ten thousand of them are not held twice
    for trial in trials:
        if trial.verdict is not None and trial.outcome is not None:
            line = write(columns, [_cell(trial, column, metric) for column in columns])
            content += f"{line}\n".encode() if line else b""
    return bytes(content)


def status(trial: TrialRecord) -> str:
    """Return the word for how a decided trial ended: keep, discard, crash or inconclusive."""
    if trial.outcome is None or trial.verdict is None:
        raise ValueError(f"trial {trial.id} is not decided")
    blameless = {OutcomeKind.MEASURED, OutcomeKind.INTERRUPTED, OutcomeKind.CANCELLED}
    return str(trial.verdict.status) if trial.outcome.kind in blameless else "crash"


def _tsv(_columns: Sequence[str], row: _Row) -> str:
    return "\t".join(map(_text, row))


def _csv(_columns: Sequence[str], row: _Row) -> str:
    return ",".join(map(_quoted, map(_text, row)))


def _jsonl(columns: Sequence[str], row: _Row) -> str:
    values = [cell if isinstance(cell, str) else cell.value for cell in row]
    return json.dumps(dict(zip(columns, values, strict=True)))


_WRITERS: dict[str, Callable[[Sequence[str], _Row], str]] = {
    "tsv": _tsv,
    "csv": _csv,
    "jsonl": _jsonl,
}


def _text(cell: _Cell) -> str:
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(_FORMULA) else cell
    return "" if cell.value is None else cell.pattern.format(cell.value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text


def _cell(trial: TrialRecord, column: str, metric: str) -> _Cell:
    outcome = trial.outcome
    if column == metric:
        value = outcome.value if outcome else None
        small = value is not None and 0 < abs(value) < _SMALL
        return _Figure(value, "{:.6g}" if small else "{:.6f}")
    known: dict[str, Callable[[TrialRecord], _Cell]] = {
        "commit": lambda t: t.candidate[:_SHORT_HASH],
        "memory_gb": _memory_gb,
        "status": status,
        "description": _description,
    }
    if column in known:
        return known[column](trial)
    return _Figure(outcome.secondary.get(column) if outcome else None, "{:g}")


def _memory_gb(trial: TrialRecord) -> _Figure:
    peak = trial.outcome.secondary.get(_MEMORY_METRIC) if trial.outcome else None
    return _Figure(None if peak is None else peak / _MB_PER_GB, "{:.1f}")


def _description(trial: TrialRecord) -> str:
    text = "baseline" if trial.baseline else trial.hypothesis
    if trial.outcome and trial.outcome.kind is not OutcomeKind.MEASURED:
        text = f"{text} [{trial.outcome.kind}: {trial.outcome.reason}]"
    if trial.verdict and trial.verdict.operator is not None:
        text = f"{text} [{trial.verdict.status} by the operator: {trial.verdict.operator}]"
    # A tab or a line end inside a cell would forge a column or a row.
    return " ".join(text.split())
