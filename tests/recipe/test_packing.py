"""Packing: full rows, each from the start of a document, by best fit."""

from itertools import islice, pairwise
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

BOS = 0
Array = npt.NDArray[Any]


def flat(lengths: list[int]) -> tuple[Array, Array]:
    """Documents of these lengths, BOS first; every other token is unlike all others."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.arange(offsets[-1]) + 1
    tokens[offsets[:-1]] = BOS
    return tokens, offsets


def pack(harness: ModuleType, lengths: list[int], room: int, rows: int, buffer: int) -> list[Array]:
    return [row for row, _ in islice(harness.packed_rows(*flat(lengths), room, buffer), rows)]


def pack_plainly(lengths: list[int], room: int, rows: int, buffer: int) -> list[Array]:
    """The rule said once more, as slowly as it reads: look at all documents every time."""
    tokens, offsets = flat(lengths)
    documents = [tokens[a:b] for a, b in pairwise(offsets)]
    waiting: list[Array] = []
    read, packed = 0, list[Array]()
    for _ in range(rows):
        row = np.empty(0, dtype=np.int64)
        while len(row) < room:
            while len(waiting) < max(1, min(buffer, len(documents) // 4)):
                waiting.append(documents[read % len(documents)])
                read += 1
            fitting = [i for i, one in enumerate(waiting) if len(one) <= room - len(row)]
            if fitting:
                chosen = max(fitting, key=lambda i: (len(waiting[i]), -i))
            else:
                chosen = min(range(len(waiting)), key=lambda i: (len(waiting[i]), i))
            row = np.concatenate([row, waiting.pop(chosen)[: room - len(row)]])
        packed.append(row)
    return packed


lengths_of_documents = st.lists(st.integers(1, 30), min_size=1, max_size=60)


@given(lengths=lengths_of_documents, room=st.integers(2, 20), buffer=st.integers(1, 40))
def test_rows_are_full_and_start_with_a_document(
    harness: ModuleType, lengths: list[int], room: int, buffer: int
) -> None:
    for row in pack(harness, lengths, room, 20, buffer):
        assert row.shape == (room,)
        assert row[0] == BOS


@given(lengths=lengths_of_documents, room=st.integers(2, 20), buffer=st.integers(1, 40))
def test_rows_are_those_of_best_fit_done_plainly(
    harness: ModuleType, lengths: list[int], room: int, buffer: int
) -> None:
    fast = pack(harness, lengths, room, 20, buffer)

    assert np.array_equal(fast, pack_plainly(lengths, room, 20, buffer))


def test_the_largest_document_that_fits_is_taken_the_earliest_of_equals(
    harness: ModuleType,
) -> None:
    lengths = [2, 4, 9, 4] + 12 * [50]
    tokens, offsets = flat(lengths)

    (row,) = pack(harness, lengths, 6, 1, 4)

    first_of_four, two = tokens[offsets[1] : offsets[2]], tokens[offsets[0] : offsets[1]]
    assert list(row) == [*first_of_four, *two]


def test_the_shortest_document_is_cropped_when_none_fits(harness: ModuleType) -> None:
    lengths = [9, 7, 8, 7] + 12 * [50]
    tokens, offsets = flat(lengths)

    (row,) = pack(harness, lengths, 5, 1, 4)

    assert list(row) == list(tokens[offsets[1] : offsets[1] + 5])


def test_epochs_are_counted_from_one(harness: ModuleType) -> None:
    epochs = [epoch for _, epoch in islice(harness.packed_rows(*flat([4] * 8), 4, 2), 16)]

    assert epochs == sorted(epochs)
    assert epochs[0] == 1
    assert epochs[-1] == 3  # 16 documents taken, 2 waiting


@pytest.mark.parametrize("split", ["train", "val"])
def test_batches_hold_inputs_and_the_next_tokens(harness: ModuleType, split: str) -> None:
    tokenizer = harness.Tokenizer.from_directory()

    inputs, targets, epoch = next(harness.make_dataloader(tokenizer, 3, 32, split))

    assert inputs.shape == targets.shape == (3, 32)
    assert np.array_equal(np.array(inputs)[:, 1:], np.array(targets)[:, :-1])
    assert set(np.array(inputs)[:, 0].tolist()) == {tokenizer.get_bos_token_id()}
    assert epoch == 1


def test_the_holdout_is_not_a_split_that_a_recipe_can_load(harness: ModuleType) -> None:
    with pytest.raises(ValueError, match='split is "train" or "val"'):
        harness.make_dataloader(None, 1, 32, "holdout")


def test_no_document_is_scored_twice(harness: ModuleType) -> None:
    starts = [tuple(row[:24].tolist()) for row in harness.evaluation_rows()]

    assert len(set(starts)) == len(starts)
