"""The metric: every evaluation token, exactly, whatever the caller asks for."""

import math
from types import ModuleType
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
import pytest


class Bigram:
    """A model with something to say: logits from a table; it notes the rows it is shown."""

    def __init__(self, vocab_size: int) -> None:
        random = np.random.default_rng(7)
        self.table = random.normal(size=(vocab_size, vocab_size)).astype(np.float32)
        self.shown: list[npt.NDArray[Any]] = []

    def __call__(self, tokens: mx.array) -> mx.array:
        self.shown.append(np.array(tokens))
        return mx.array(self.table)[tokens]


@pytest.fixture
def model(harness: ModuleType) -> Bigram:
    return Bigram(harness.PROFILE.vocab_size)


def bits_per_byte(harness: ModuleType, table: npt.NDArray[Any]) -> float:
    """The metric by its definition, in NumPy and float64."""
    rows = harness.evaluation_rows()
    inputs, targets = rows[:, :-1], rows[:, 1:]
    logits = table[inputs].astype(np.float64)
    nats = (
        np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    )
    lengths = np.array(harness.get_token_bytes())[targets]
    return float(nats[lengths > 0].sum() / math.log(2) / lengths.sum())


@pytest.mark.parametrize("batch_size", [1, 300, 500, 769])
def test_every_evaluation_token_is_scored_whatever_the_batch_size(
    harness: ModuleType, model: Bigram, batch_size: int
) -> None:
    value = harness.evaluate_bpb(model, harness.Tokenizer.from_directory(), batch_size)

    shown = np.concatenate(model.shown)
    assert shown.size == harness.EVAL_TOKENS
    assert np.array_equal(shown, harness.evaluation_rows()[:, :-1])
    assert value == harness.evaluate_bpb(model, None, 1)


def test_the_metric_agrees_with_numpy_on_the_same_logits(
    harness: ModuleType, model: Bigram
) -> None:
    value = harness.evaluate_bpb(model, None, 1)

    assert value == pytest.approx(bits_per_byte(harness, model.table), abs=1e-6)


def test_half_precision_logits_are_scored_in_full_precision(
    harness: ModuleType, model: Bigram
) -> None:
    model.table = np.array(mx.array(model.table).astype(mx.bfloat16).astype(mx.float32))

    value = harness.evaluate_bpb(lambda x: model(x).astype(mx.bfloat16), None, 1)

    assert value == pytest.approx(bits_per_byte(harness, model.table), abs=1e-6)


def test_an_even_guess_costs_the_bits_of_the_vocabulary_on_ordinary_tokens(
    harness: ModuleType,
) -> None:
    vocab_size = harness.PROFILE.vocab_size
    lengths = np.array(harness.get_token_bytes())[harness.evaluation_rows()[:, 1:]]

    value = harness.evaluate_bpb(lambda x: mx.zeros((*x.shape, vocab_size)), None, 1)

    assert (lengths == 0).any()
    assert value == pytest.approx(math.log2(vocab_size) * (lengths > 0).sum() / lengths.sum())


def test_a_special_target_costs_nothing_however_wrong_the_guess(
    harness: ModuleType, model: Bigram
) -> None:
    before = harness.evaluate_bpb(model, None, 1)
    rows = harness.evaluation_rows()
    special = np.array(harness.get_token_bytes())[rows[:, 1:]] == 0

    def surprised(tokens: mx.array) -> mx.array:
        logits = np.array(model(tokens))
        first = sum(len(part) for part in model.shown[:-1])
        here = special[first : first + len(logits)]
        logits[here] = np.where(np.arange(logits.shape[-1]) == 0, 100.0, 0.0)
        return mx.array(logits)

    model.shown.clear()
    assert harness.evaluate_bpb(surprised, None, 1) == before


@pytest.mark.parametrize("shape", [(16, 64), (16, 64, 511), (1, 64, 512)])
def test_a_model_that_gives_no_logits_is_told_what_it_should_give(
    harness: ModuleType, shape: tuple[int, ...]
) -> None:
    with pytest.raises(harness.PrepareError, match=r"logits of shape \(16, 64, 512\), not"):
        harness.evaluate_bpb(lambda _: mx.zeros(shape), None, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_is_not_finite_has_no_metric(harness: ModuleType, value: float) -> None:
    broken = harness.evaluate_bpb(lambda x: mx.full((*x.shape, 512), value), None, 1)

    assert math.isnan(broken)


def test_as_many_other_rows_are_kept_for_certificates(harness: ModuleType) -> None:
    rows = harness.evaluation_rows()
    hidden = np.load(harness.data_file(harness.EVALUATION["holdout"]))

    assert hidden.shape == rows.shape
    assert not set(map(bytes, hidden)) & set(map(bytes, rows.astype(hidden.dtype)))
