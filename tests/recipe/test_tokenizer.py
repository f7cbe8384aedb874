"""The tokenizer: exact both ways, counted in bytes, stored without code."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def tokenizer(harness: ModuleType) -> Any:
    return harness.Tokenizer.from_directory()


@given(text=st.text())
def test_decoding_gives_back_what_was_encoded(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text.encode("utf-8", "replace").decode()


@given(text=st.text())
def test_the_tokens_of_a_text_have_as_many_bytes_as_the_text(
    tokenizer: Any, harness: ModuleType, text: str
) -> None:
    lengths = np.array(harness.get_token_bytes())

    assert lengths[tokenizer.encode(text)].sum() == len(text.encode("utf-8", "replace"))


def test_every_byte_of_a_split_character_counts_once(harness: ModuleType, tokenizer: Any) -> None:
    lengths = np.array(harness.get_token_bytes())
    ordinary = range(tokenizer.get_vocab_size() - len(harness.SPECIAL_TOKENS))

    assert [lengths[i] for i in ordinary] == [
        len(tokenizer.enc.decode_single_token_bytes(i)) for i in ordinary
    ]


def test_the_vocabulary_has_the_size_of_the_profile_special_tokens_included(
    harness: ModuleType, tokenizer: Any
) -> None:
    lengths = np.array(harness.get_token_bytes())

    assert tokenizer.get_vocab_size() == len(lengths) == harness.PROFILE.vocab_size
    assert list(lengths[-len(harness.SPECIAL_TOKENS) :]) == [0] * len(harness.SPECIAL_TOKENS)


@pytest.mark.parametrize("first", ["<|reserved_0|>", None])
def test_a_token_can_be_put_before_one_text_or_each_of_many(
    tokenizer: Any, first: str | None
) -> None:
    head = [tokenizer.get_bos_token_id()] if first else []
    one, many = tokenizer.encode("a b", prepend=first), tokenizer.encode(["a b", ""], prepend=first)

    assert one == head + tokenizer.encode("a b")
    assert many == [one, head]
    if first:
        assert tokenizer.encode("a b", prepend=tokenizer.get_bos_token_id()) == one


def test_a_special_token_in_a_text_is_ordinary_text(tokenizer: Any) -> None:
    assert tokenizer.get_bos_token_id() not in tokenizer.encode("<|reserved_0|>")


def test_what_is_not_text_is_refused(tokenizer: Any) -> None:
    with pytest.raises(TypeError, match="cannot encode a int"):
        tokenizer.encode(1)


def test_the_tokenizer_is_stored_as_plain_json(data: Path) -> None:
    stored = json.loads((data / "tokenizer" / "tokenizer.json").read_text())

    assert set(stored) == {"pat_str", "special_tokens", "tokens"}
