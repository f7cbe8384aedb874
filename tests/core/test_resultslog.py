"""The results log as a view of the trials."""

from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.resultslog import render
from autoresearch_mcp.core.trial import (
    Outcome,
    OutcomeKind,
    Phase,
    TrialRecord,
    Verdict,
    VerdictStatus,
)

COLUMNS = ("commit", "val_bpb", "memory_gb", "status", "description")
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
