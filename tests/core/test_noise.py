"""The noise between runs of the same code."""

import math

import pytest

from autoresearch_mcp.core.certificate import Pair, certificate, disagreement
from autoresearch_mcp.core.noise import NO_NOISE, Noise, normal_of_t, pooled, t_of_normal


@pytest.mark.parametrize(
    ("arms", "sd"),
    [([], 0.0), ([[2.0], [3.0]], 0.0), ([[1.0, 3.0], [9.0]], 2**0.5), ([[1, 3], [5, 5]], 1.0)],
)
def test_noise_is_the_deviation_of_code_that_was_run_twice(
    arms: list[list[float]], sd: float
) -> None:
    assert pooled(arms).sd == pytest.approx(sd)


def test_noise_of_earlier_sessions_weighs_ten_degrees_of_freedom_at_most() -> None:
    long, short = Noise(squares=8.0, df=200), Noise(squares=1.0, df=4)

    assert long.for_reuse().df == 10
    assert long.for_reuse().sd == pytest.approx(long.sd)
    assert short.for_reuse() == short
    assert NO_NOISE.for_reuse() == NO_NOISE


@pytest.mark.parametrize(
    ("df", "exact"), [(2, 2.920), (3, 2.353), (4, 2.132), (6, 1.943), (10, 1.812), (30, 1.697)]
)
def test_students_quantile_is_within_two_percent_and_undone_by_its_inverse(
    df: int, exact: float
) -> None:
    found = t_of_normal(1.6449, df)

    assert exact <= found <= 1.02 * exact
    assert math.isclose(normal_of_t(found, df), 1.6449)


def test_a_certificate_is_positive_for_what_is_better_in_either_direction() -> None:
    pairs = [Pair(2.0, 1.5), Pair(2.2, 1.7)]
    turned = [Pair(-p.baseline, -p.incumbent) for p in pairs]

    assert certificate(pairs, NO_NOISE).gain == pytest.approx(0.5)
    assert certificate(turned, NO_NOISE, maximize=True).gain == pytest.approx(0.5)
    assert certificate(pairs[:1], NO_NOISE).margin is None


def test_a_gain_that_the_holdout_does_not_show_is_told() -> None:
    validation = [Pair(2.0, 1.5), Pair(2.02, 1.51)]
    same = [Pair(2.1, 1.61), Pair(2.12, 1.61)]
    other = [Pair(2.1, 2.0), Pair(2.12, 2.01)]

    assert disagreement(validation, same) is None
    assert "smaller by 0.4" in (disagreement(validation, other) or "")
    assert "larger by 0.4" in (disagreement(other, validation) or "")
    assert disagreement(validation[:1], other[:1]) is None
