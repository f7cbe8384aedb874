"""The audit's rules: what is probed, what is shown, what is found."""

import math
import random
from collections.abc import Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.audit import (
    BASELINE_TOLERANCE,
    Answer,
    Claim,
    Finding,
    Probe,
    Tolerance,
    calibrate,
    loss,
    plan,
    shown,
    weigh,
)

Shape = tuple[int, int]
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 20))  # rows, T
SEEDS = st.integers(0, 2**128 - 1)


def claim_of(shape: Shape, nats: Sequence[float] | None = None) -> Claim:
    """A claim on rows in which no token occurs twice, so that every token names its place."""
    rows, length = shape
    tokens = [[row * (length + 1) + place for place in range(length + 1)] for row in range(rows)]
    return Claim(rows=tokens, nats=nats or [3.0] * (rows * length))


def answers_of(differences: Sequence[float]) -> list[Answer]:
    return [
        Answer(probe=Probe(row, 5), claimed=2.0, found=2.0 + d) for row, d in enumerate(differences)
    ]


@given(SHAPES, st.integers(0, 300), SEEDS, st.booleans())
def test_as_many_places_are_probed_as_asked_for_and_none_twice(
    shape: Shape, count: int, seed: int, aimed: bool
) -> None:
    claim = claim_of(shape)
    rounds = plan(claim, claim.nats if aimed else None, count, seed)
    places = [(probe.row, probe.position) for probe in chain(*rounds)]

    assert len(places) == len(set(places)) == min(count, shape[0] * shape[1])
    assert all(0 <= row < shape[0] and 0 <= place < shape[1] for row, place in places)
    for one in rounds:
        assert len({probe.row for probe in one}) == len(one)


@given(SHAPES, st.integers(1, 300), SEEDS)
def test_no_process_is_shown_the_label_of_a_probe_of_its(
    shape: Shape, count: int, seed: int
) -> None:
    claim = claim_of(shape)
    for one in plan(claim, None, count, seed):
        inputs = list(shown(claim, one, seed))
        labels = {claim.rows[probe.row][probe.position + 1] for probe in one}

        assert not labels & set(chain(*inputs))
        for probe, tokens in zip(one, inputs, strict=True):
            known = probe.position + 1
            assert len(tokens) == claim.length
            assert tokens[:known] == claim.rows[probe.row][:known]


@given(SEEDS)
def test_what_follows_begins_otherwise_than_the_row_goes_on(seed: int) -> None:
    rng = random.Random(seed)
    rows = [[rng.randrange(2) for _ in range(9)] for _ in range(6)]
    claim = Claim(rows=rows, nats=[1.0] * 48)
    (one,) = plan(claim, None, 6, seed)
    other = {rows[p.row][i] for p in one for i in range(p.position + 1)} == {0, 1}

    for probe, tokens in zip(one, shown(claim, one, seed), strict=True):
        if other and probe.position + 1 < claim.length:
            assert tokens[probe.position + 1] != rows[probe.row][probe.position + 1]


@given(SHAPES, SEEDS)
def test_half_of_the_probes_go_where_the_claimed_loss_fell_most(shape: Shape, seed: int) -> None:
    rng = random.Random(seed)
    size = shape[0] * shape[1]
    nats, incumbent = ([rng.random() for _ in range(size)] for _ in range(2))
    claim = claim_of(shape, nats)
    one = plan(claim, incumbent, shape[0], seed)[0]
    falls = [before - after for before, after in zip(incumbent, nats, strict=True)]
    best = sorted(max(falls[r * shape[1] : (r + 1) * shape[1]]) for r in range(shape[0]))
    aimed = [falls[p.row * shape[1] + p.position] for p in one if p.aimed]

    assert aimed == best[::-1][: shape[0] // 2]


@given(SHAPES)
def test_targets_that_do_not_count_are_not_probed(shape: Shape) -> None:
    claim = claim_of(shape)
    odd = frozenset(token for token in chain(*claim.rows) if token % 2)
    counting = Claim(rows=claim.rows, nats=claim.nats, uncounted=odd)
    probes = list(chain(*plan(counting, claim.nats, 10_000, seed=1)))

    assert all(claim.rows[p.row][p.position + 1] % 2 == 0 for p in probes)
    assert len(probes) == sum(len(counting.counted(row)) for row in range(shape[0]))


def test_the_same_seed_gives_the_same_probes_and_another_seed_others() -> None:
    claim = claim_of((64, 64))

    assert plan(claim, None, 64, seed=1) == plan(claim, None, 64, seed=1)
    assert plan(claim, None, 64, seed=1) != plan(claim, None, 64, seed=2)


@given(st.lists(st.floats(-700, 700), min_size=2, max_size=9), st.data())
def test_the_loss_is_of_a_distribution_whatever_the_logits(
    logits: list[float], data: st.DataObject
) -> None:
    target = data.draw(st.integers(0, len(logits) - 1))
    whole = math.fsum(math.exp(-loss(logits, token)) for token in range(len(logits)))

    assert loss(logits, target) >= -1e-9
    assert whole == pytest.approx(1.0)
    shifted = [logit + 13.0 for logit in logits]
    assert loss(shifted, target) == pytest.approx(loss(logits, target), abs=1e-9)


@given(st.lists(st.floats(-9e-5, 9e-5), min_size=1, max_size=200))
def test_differences_within_the_tolerance_pass(differences: list[float]) -> None:
    found = weigh(answers_of(differences), Tolerance())

    assert found.passed
    assert found.outside == 0
    assert found.probes == len(differences)


@given(
    st.lists(st.floats(-1e-4, 1e-4), max_size=200),
    st.floats(2e-3, 50.0),
    st.sampled_from([1.0, -1.0, math.inf, math.nan]),
)
def test_one_probe_outside_the_tolerance_is_enough(
    honest: list[float], lie: float, factor: float
) -> None:
    found = weigh(answers_of([*honest, lie * factor]), Tolerance())

    assert not found.passed
    assert found.outside == 1
    assert f"position 5 of row {len(honest)}" in found.reason
    assert Finding.model_validate_json(found.model_dump_json()) == found


def test_the_finding_names_the_place_and_both_losses() -> None:
    answers = [
        Answer(probe=Probe(30, 500), claimed=2.0, found=2.1),
        Answer(probe=Probe(31, 512, aimed=True), claimed=0.02, found=4.125),
        Answer(probe=Probe(32, 9), claimed=2.0, found=2.0),
    ]

    assert weigh(answers, Tolerance()).reason == (
        "position 512 of row 31 changes when later tokens change: 0.0200 nats claimed, "
        "4.1250 found (2 of 3 probes do)"
    )


def test_a_small_lie_told_everywhere_shows_in_the_mean() -> None:
    found = weigh(answers_of([5e-4] * 128), Tolerance())

    assert not found.passed
    assert found.outside == 0
    assert "too low by 0.0005 nats on average" in found.reason


def test_no_answer_at_all_does_not_pass() -> None:
    assert not weigh([], Tolerance()).passed


@pytest.mark.parametrize(
    ("largest", "each"), [(0.0, 1e-3), (1e-4, 1e-3), (1e-3, 5e-3), (9e-3, 4.5e-2)]
)
def test_the_baseline_sets_the_tolerance(largest: float, each: float) -> None:
    tolerance = calibrate([weigh(answers_of([largest, -largest, 0.0]), BASELINE_TOLERANCE)])

    assert tolerance is not None
    assert tolerance.each == pytest.approx(each)
    assert tolerance.mean == pytest.approx(each / 10)


@pytest.mark.parametrize("largest", [0.02, 3.0, math.nan])
def test_a_baseline_that_looks_ahead_itself_sets_none(largest: float) -> None:
    assert calibrate([weigh(answers_of([largest, 0.0]), BASELINE_TOLERANCE)]) is None


@pytest.mark.parametrize("share", [0.005, 0.01, 0.05])
def test_a_cheat_at_few_tokens_is_found_in_99_of_100_by_256_probes(share: float) -> None:
    """Losses of two honest trainings differ by far more than the tolerance; a peek by more yet."""
    assert sum(caught(share, seed) for seed in range(100)) >= 99


def caught(share: float, seed: int) -> bool:
    """Let a model know some labels of 128 rows of 64 tokens, and audit it."""
    rng, rows, length = random.Random(seed), 128, 64
    size = rows * length
    incumbent = [rng.expovariate(1 / 3) for _ in range(size)]
    honest = [max(0.0, nats + rng.gauss(0, 0.3)) for nats in incumbent]
    known = set(rng.sample(range(size), round(share * size)))
    claim = claim_of((rows, length), [0.05 if i in known else honest[i] for i in range(size)])
    answers = [
        Answer(probe=p, claimed=claim.at(p), found=honest[p.row * length + p.position])
        for p in chain(*plan(claim, incumbent, 256, seed))
    ]
    return not weigh(answers, Tolerance()).passed
