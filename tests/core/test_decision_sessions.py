"""What the rule is worth in simulated sessions: the short form of bench/decision.py."""

import pytest

from bench.decision import SIGMAS, Row, row, session

_FEW, _MANY = 60, 2000
_ERRORS = 3
"""A bound counts as missed when it is missed by so many standard errors."""


def played(policy: str, sigma: float, full: bool) -> Row:
    return row([session(policy, sigma, seed) for seed in range(_MANY if full else _FEW)])


@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_default_rule_keeps_real_gains_and_little_else(sigma: float, full: bool) -> None:
    """The full form takes about two minutes on one core."""
    found = played("strict", sigma, full)

    share, error = found.false
    assert share - _ERRORS * error <= {1.7: 0.08, 3.0: 0.20}.get(sigma, 0.05)
    gain, error = found.gain
    if sigma in {0.3, 1.0}:
        single, single_error = played("single", sigma, full).gain
        assert gain + _ERRORS * (error + 0.72 * single_error) >= 0.72 * single
    if sigma == 3.0:
        assert gain + _ERRORS * error >= 0.6
    bias, error = found.bias
    assert abs(bias) - _ERRORS * error <= 0.05
    covered, error = found.covered
    assert covered + _ERRORS * error >= 0.88
    assert covered - _ERRORS * error <= 0.94
