"""A profile may tighten the protocol's limits and never widens them."""

from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.budget import in_force
from autoresearch_mcp.core.manifest import Profile

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
