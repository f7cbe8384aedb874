"""The verdict: a pure function of the runs."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.decision import Action, Case, Observation, Rule, judge

MINIMIZE = Rule(direction="minimize")
MAXIMIZE = Rule(direction="maximize")
values = st.floats(min_value=1e-3, max_value=1e3)


def case(incumbent: float | None, candidate: float | None) -> Case:
    """A baseline of one run and a candidate of one run."""
    runs = (Observation(1, "old", incumbent), Observation(2, "new", candidate))
    return Case(trial=2, candidate="new", incumbent="old", observations=runs)


@given(values, values)
def test_a_candidate_is_kept_only_when_it_is_better(incumbent: float, candidate: float) -> None:
    ruling = judge(case(incumbent, candidate), MINIMIZE)

    assert ruling.action is (Action.KEEP if candidate < incumbent else Action.DISCARD)


@given(values, values)
def test_turning_the_direction_round_mirrors_the_verdict(
    incumbent: float, candidate: float
) -> None:
    straight = judge(case(incumbent, candidate), MINIMIZE)
    mirrored = judge(case(-incumbent, -candidate), MAXIMIZE)

    assert (mirrored.action, mirrored.gain) == (straight.action, straight.gain)


@given(values, values)
def test_the_same_runs_give_the_same_judgement(incumbent: float, candidate: float) -> None:
    assert judge(case(incumbent, candidate), MINIMIZE) == judge(
        case(incumbent, candidate), MINIMIZE
    )


def test_a_tie_is_discarded() -> None:
    assert judge(case(2.0, 2.0), MINIMIZE).action is Action.DISCARD


def test_a_run_without_value_is_discarded_even_where_the_arm_has_others() -> None:
    runs = (
        Observation(1, "old", 2.0),
        Observation(2, "new", 1.0),
        Observation(3, "new", None),
    )
    ruling = judge(Case(trial=3, candidate="new", incumbent="old", observations=runs), MINIMIZE)

    assert ruling.action is Action.DISCARD


def test_the_first_value_makes_the_baseline() -> None:
    empty = Case(trial=1, candidate="old", incumbent=None, observations=())
    measured = replace(empty, observations=(Observation(1, "old", 2.0),))

    assert judge(empty, MINIMIZE).action is Action.RUN_CANDIDATE
    assert judge(measured, MINIMIZE).action is Action.KEEP


def test_an_arm_that_was_measured_before_is_not_run_again() -> None:
    runs = (Observation(1, "old", 2.0), Observation(2, "new", 3.0))
    again = Case(trial=5, candidate="new", incumbent="old", observations=runs)

    assert judge(again, MINIMIZE).action is Action.DISCARD


@pytest.mark.parametrize(
    ("bips", "candidate", "action"),
    [(100, 1.98, Action.KEEP), (101, 1.98, Action.DISCARD), (0, 1.999999, Action.KEEP)],
)
def test_the_gain_must_reach_what_the_protocol_asks_for(
    bips: int, candidate: float, action: Action
) -> None:
    ruling = judge(case(2.0, candidate), replace(MINIMIZE, min_gain_bips=bips))

    assert ruling.action is action
    assert ruling.gain is not None
    assert math.isclose(ruling.gain, 2.0 - candidate)
