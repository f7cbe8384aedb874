"""A profile may tighten the protocol's limits and never widens them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.budget import Budget, in_force, overrun
from autoresearch_mcp.core.manifest import Profile
from autoresearch_mcp.core.trial import Timing

seconds = st.floats(min_value=0.5, max_value=2000)


def profile(time_budget: float, hard_timeout: float) -> Profile:
    return Profile(
        name="cpu",
        max_seq_len=256,
        time_budget=time_budget,
        hard_timeout=hard_timeout,
        eval_tokens=32768,
        vocab_size=2048,
        eval_micro_batch=16,
        startup_allowance=0,
    )


@given(seconds, seconds, seconds, seconds)
def test_the_tighter_limit_is_in_force(
    training: float, hard: float, profile_training: float, profile_hard: float
) -> None:
    budget = in_force(training, hard, profile(profile_training, profile_hard))

    assert budget.training_seconds == min(training, profile_training)
    assert budget.hard_timeout_seconds == min(hard, profile_hard)


def test_the_answer_says_who_set_the_limit() -> None:
    assert in_force(300, 900, profile(30, 180)).set_by == "profile cpu, within the protocol's 300 s"
    assert in_force(20, 100, profile(30, 180)).set_by == "protocol"


BUDGET = Budget(300, 900, "protocol", compile_allowance=60)
BASELINE = Timing(total=340, startup=5, training=310, claimed=300)


@pytest.mark.parametrize(
    ("timing", "baselines", "kept"),
    [
        # The baseline may compile for as long as the profile allows.
        (Timing(total=400, startup=5, training=368), (), True),
        (Timing(total=405, startup=5, training=370), (), False),
        # A candidate is bounded by what the baseline needed: 10 s, doubled, and 5 s of slack.
        (Timing(total=365, startup=5, training=333), (BASELINE,), True),
        (Timing(total=367, startup=5, training=335), (BASELINE,), False),
        # A first batch that is told late is found by the clock from process start.
        (Timing(total=460, startup=130, training=300), (BASELINE,), False),
        # Nor does training hide behind a hand-over that is told early.
        (Timing(total=400, startup=5, training=300), (BASELINE,), False),
        # A harness that tells nothing is held to the budget and what the baseline took beside it.
        (Timing(total=378), (BASELINE,), True),
        (Timing(total=380), (BASELINE,), False),
        (Timing(total=333), (Timing(total=1),), True),
        (Timing(total=10_000), (), True),
    ],
)
def test_every_clock_holds(timing: Timing, baselines: tuple[Timing, ...], kept: bool) -> None:
    reason = overrun(timing, BUDGET, baselines)

    assert (reason is None) is kept, reason


QUICK, LOADED = (
    Timing(total=40, startup=startup, training=30.2, claimed=30) for startup in (1.5, 3.0)
)


@pytest.mark.parametrize(
    ("timing", "baselines", "kept"),
    [
        # What was free before the first batch: 5 s, a sixth of such a budget.
        (Timing(total=44, startup=1.5 + 4.5, training=30.9), (QUICK,), False),
        (Timing(total=44, startup=1.5 + 2.5, training=30.9), (QUICK,), False),
        # An honest run on a machine that is busy where it was idle for the baseline.
        (Timing(total=42, startup=3.5, training=30.4), (QUICK,), True),
        (Timing(total=42, startup=5.0, training=30.4), (QUICK, LOADED), True),
        (Timing(total=42, startup=5.2, training=30.4), (QUICK, LOADED), False),
        # A start of no time at all may take a second all the same, a long one no more than 5.
        (Timing(total=42, startup=1.2, training=30.7), (Timing(total=40, startup=0.2),), True),
        (Timing(total=42, startup=1.4, training=30.9), (Timing(total=40, startup=0.2),), False),
        (Timing(total=90, startup=44.9, training=30.9), (Timing(total=80, startup=40.0),), True),
        (Timing(total=90, startup=45.2, training=30.9), (Timing(total=80, startup=40.0),), False),
    ],
)
def test_what_a_start_may_take_is_on_the_budgets_scale(
    timing: Timing, baselines: tuple[Timing, ...], kept: bool
) -> None:
    reason = overrun(timing, Budget(30, 120, "profile cpu"), baselines)

    assert (reason is None) is kept, reason


def test_what_a_run_claims_decides_nothing() -> None:
    timing = Timing(total=500, startup=5, training=450, claimed=299.9)

    assert overrun(timing, BUDGET, (BASELINE,)) == (
        "training took 450.0 s; at most 334.0 s are allowed"
    )
