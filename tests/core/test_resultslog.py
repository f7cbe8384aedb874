"""The results log as a view of the trials."""

import csv
import json
from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core import resultslog
from autoresearch_mcp.core.protocol_schema import ResultsLog
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Phase, TrialRecord
from autoresearch_mcp.core.verdict import Verdict, VerdictStatus

COLUMNS = ("commit", "val_bpb", "memory_gb", "status", "description")
Format = Literal["tsv", "csv", "jsonl"]
HEADER = "\t".join(COLUMNS)


def decided(outcome: Outcome, hypothesis: str = "wider", **more: object) -> TrialRecord:
    """A discarded trial."""
    return TrialRecord(
        id=2,
        research="autoresearch/2026-11-23",
        phase=Phase.DECIDED,
        base="b" * 40,
        candidate="0123456789" * 4,
        arm="a",
        baseline=False,
        hypothesis=hypothesis,
        staged_at="2026-11-23T12:00:00+00:00",
        outcome=outcome,
        verdict=Verdict(status=VerdictStatus.DISCARD, reason="worse"),
    ).model_copy(update=more)


def render(
    before: bytes | None,
    columns: Sequence[str],
    metric: str,
    trials: Sequence[TrialRecord],
    style: Format = "tsv",
) -> bytes:
    log = ResultsLog(format=style, path="results", columns=tuple(columns))
    return resultslog.render(before, log, metric, trials)


MEASURED = Outcome(
    kind=OutcomeKind.MEASURED, value=2.1, reason="", secondary={"peak_vram_mb": 27528.9, "n": 46.0}
)
CRASH = Outcome(kind=OutcomeKind.CRASH, reason="ValueError: no")


def test_a_trial_is_one_line_in_the_protocols_columns() -> None:
    log = render(None, COLUMNS, "val_bpb", [decided(MEASURED)]).decode()

    assert log == f"{HEADER}\n0123456\t2.100000\t26.9\tdiscard\twider\n"


def test_a_crash_has_no_value_instead_of_zero() -> None:
    row = render(None, COLUMNS, "val_bpb", [decided(CRASH)]).decode().splitlines()[1]

    assert row == "0123456\t\t\tcrash\twider [crash: ValueError: no]"


def test_an_undecided_trial_has_no_line() -> None:
    waiting = decided(MEASURED, verdict=None, phase=Phase.MEASURED)

    assert render(None, COLUMNS, "val_bpb", [waiting]).decode() == HEADER + "\n"


def test_secondary_metrics_fill_the_columns_named_after_them() -> None:
    row = render(None, ("n", "unheard_of"), "val_bpb", [decided(MEASURED)]).decode().splitlines()[1]

    assert row == "46\t"


def test_lines_from_before_the_research_run_stay() -> None:
    before = f"{HEADER}\nabc1234\t2.5\t1.0\tkeep\tof an earlier night".encode()
    log = render(before, COLUMNS, "val_bpb", [decided(MEASURED)]).decode().splitlines()

    assert log[:2] == before.decode().splitlines()
    assert len(log) == 3


@given(st.text(max_size=200))
def test_no_text_of_the_agent_adds_a_column_or_a_line(hypothesis: str) -> None:
    log = render(None, COLUMNS, "val_bpb", [decided(MEASURED, hypothesis)]).decode()

    assert len(log.splitlines()) == 2
    assert log.splitlines()[1].count("\t") == len(COLUMNS) - 1


TEXTS = st.text(max_size=100) | st.sampled_from(["=1+1", '@a,"b"', "-2", "+x", "a, b"])


@given(TEXTS)
def test_a_csv_log_reads_back_as_the_same_cells(hypothesis: str) -> None:
    log = render(None, COLUMNS, "val_bpb", [decided(MEASURED, hypothesis)], "csv").decode()
    header, row = csv.reader(log.splitlines())

    assert tuple(header) == COLUMNS
    assert row[:4] == ["0123456", "2.100000", "26.9", "discard"]
    assert row[4].removeprefix("'") == " ".join(hypothesis.split()).removeprefix("'")


@given(TEXTS)
def test_a_jsonl_log_has_one_object_a_line_with_numbers_and_nulls(hypothesis: str) -> None:
    columns = (*COLUMNS, "n")
    trials = [decided(MEASURED, hypothesis), decided(CRASH)]
    log = render(None, columns, "val_bpb", trials, "jsonl").decode()
    first, second = map(json.loads, log.splitlines())

    assert list(first) == list(columns)
    assert (first["val_bpb"], first["n"]) == (2.1, 46)
    assert first["description"] == " ".join(hypothesis.split())
    assert second["val_bpb"] is None


@pytest.mark.parametrize("style", ["tsv", "csv"])
@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@SUM(A1)"])
def test_no_text_of_the_agent_is_a_formula_to_a_spreadsheet(style: Format, text: str) -> None:
    row = render(None, ("description",), "x", [decided(MEASURED, text)], style).decode()

    assert row.splitlines()[1] == f"'{text}"


def test_a_negative_number_is_a_number_and_a_small_one_is_not_zero() -> None:
    negative = decided(MEASURED.model_copy(update={"value": -2.5}))
    small = decided(MEASURED.model_copy(update={"value": 2.5e-7}))

    assert render(None, ("m",), "m", [negative, small]).decode() == "m\n-2.500000\n2.5e-07\n"


def test_a_jsonl_log_keeps_the_lines_from_before_and_has_no_header() -> None:
    log = render(b'{"m": 1}\n', ("m",), "m", [decided(MEASURED)], "jsonl")

    assert log == b'{"m": 1}\n{"m": 2.1}\n'
    assert render(None, ("m",), "m", [], "jsonl") == b""
