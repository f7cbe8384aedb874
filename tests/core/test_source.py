"""What the text of a file on the surface must be."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.source import MAX_SOURCE_BYTES, decode_source, encode_source


def refused(data: bytes, path: str = "train.py") -> Refusal:
    with pytest.raises(Refusal) as caught:
        decode_source(data, path)
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x = 1\n",
        b"x = 1\r\ny = 2\r\n",
        "# -*- coding: utf-8 -*-\ngrüße = '😀'\n".encode(),
        b"#!/usr/bin/env python\n# vim: set fileencoding=UTF_8 :\n",
        b"x = '\\d'\n",
        b"y = 'https:///x'  # a slash ///\n",
    ],
)
def test_plain_source_is_decoded_as_it_is(data: bytes) -> None:
    assert decode_source(data, "train.py").encode() == data


# Threats 57, 58, 75 and 76.
@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"x" * (64 * 2**20), "edit.size", "67,108,864 bytes"),
        (b"\xef\xbb\xbfx = 1\n", "edit.encoding", "byte order mark"),
        ("x = 1\n".encode("utf-16"), "edit.encoding", "byte order mark"),
        (b"x = 1\ny = '\x00'\n", "edit.encoding", "line 2"),
        (b"x = 1\n\n# \xff\n", "edit.encoding", "line 3"),
        (b"x = 1\rimport os\n", "edit.newline", "carriage return"),
        (b"x = 1\r\r\n", "edit.newline", "carriage return"),
        (b"# coding: utf-7\nx = 1\n", "edit.encoding", "utf-7"),
        (b"#!/bin/sh\n# -*- coding: latin-1 -*-\n", "edit.encoding", "latin-1"),
        (b"# coding=utf-8-sig\n", "edit.encoding", "utf-8-sig"),
        (b"# /// script\n# dependencies = ['x']\n# ///\n", "edit.header", "line 1"),
        (b"x = 1\n#///script\n", "edit.header", "line 2"),
        (b"x = 1\n#\t/// script\n", "edit.header", "line 2"),
    ],
)
def test_a_trick_is_refused_with_its_place(data: bytes, code: str, said: str) -> None:
    refusal = refused(data)
    assert refusal.code == code
    assert said in refusal.message


def test_a_syntax_error_is_shown_with_line_column_and_text() -> None:
    refusal = refused(b"x = 1\nif x\n    y = 2\n")
    assert refusal.code == "edit.syntax"
    assert "line 2, column 5: expected ':': 'if x'" in refusal.message


@pytest.mark.parametrize(
    "expression",
    ["-" * 200_000 + "1", "(" * 300 + ")" * 300, "a" + ".b" * 100_000, "1" + "+1" * 100_000],
)
def test_nesting_that_python_cannot_parse_is_a_refusal_not_a_crash(expression: str) -> None:
    assert refused(f"x = {expression}\n".encode()).code == "edit.syntax"


def test_warnings_of_the_parser_stay_inside() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode_source(b"x = '\\d'\nassert (x, 'always true')\ny = 1if x else 2\n", "train.py")
    assert caught == []


def test_only_python_is_parsed() -> None:
    assert decode_source(b"depth: [1,\n", "config.yaml") == "depth: [1,\n"
    assert refused(b"\xff", "config.yaml").code == "edit.encoding"


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(Refusal, match="surrogate pair in line 2"):
        encode_source("x = 1\ny = '\ud800'\n", "train.py")


def test_the_limit_is_exact() -> None:
    fits = b"#" * MAX_SOURCE_BYTES
    assert decode_source(fits, "train.py").encode() == fits
    assert refused(fits + b"#").code == "edit.size"


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode())))
def test_any_bytes_are_decoded_exactly_or_refused(data: bytes) -> None:
    try:
        source = decode_source(data, "train.py")
    except Refusal:
        return
    assert encode_source(source, "train.py") == data
