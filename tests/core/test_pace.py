"""A slow machine is no fault of a candidate."""

import pytest

from autoresearch_mcp.core.pace import THROTTLED, marked, slowdown
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Pace

USUAL = [0.100, 0.101, 0.099, 0.100, 0.100, 0.101]
SLOW, FAST = Pace(before=0.100, after=0.120), Pace(before=0.090, after=0.101)


def test_slower_is_by_three_percent_and_three_deviations() -> None:
    assert slowdown(FAST, USUAL) is None
    assert slowdown(SLOW, USUAL) == "the machine was 20 % slower than usual"
    assert slowdown(SLOW, [0.08, 0.12, 0.10, 0.09, 0.11, 0.10]) is None


def test_a_few_figures_are_no_measure() -> None:
    assert slowdown(SLOW, USUAL[:5]) is None


def test_a_machine_that_is_slower_for_good_becomes_the_usual_one() -> None:
    assert slowdown(SLOW, USUAL * 10 + [0.120] * 60) is None


@pytest.mark.parametrize("kind", [OutcomeKind.MEASURED, OutcomeKind.TIMEOUT])
def test_a_slow_run_is_void_until_it_was_repeated_twice_and_then_counts_flagged(
    kind: OutcomeKind,
) -> None:
    outcome = Outcome(kind=kind, value=2.0, reason="val_bpb 2.000000")

    void = marked(outcome, SLOW, USUAL, repeats=1)
    last = marked(outcome, SLOW, USUAL, repeats=0)

    assert (void.kind, void.error_class, void.value) == (
        OutcomeKind.INTERRUPTED,
        THROTTLED,
        None,
    )
    assert (last.kind, last.value) == (kind, 2.0)
    assert last.throttled
    assert void.pace == last.pace == SLOW


def test_a_crash_is_no_machines_fault() -> None:
    crash = Outcome(kind=OutcomeKind.CRASH, reason="ValueError")

    assert marked(crash, SLOW, USUAL, repeats=2).kind is OutcomeKind.CRASH
