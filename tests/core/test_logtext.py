"""Logs as an agent gets to see them: safe, short, and honest about what is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.logtext import escape, readable, tail

LOGS = st.one_of(
    st.binary(max_size=3000),
    st.lists(
        st.sampled_from([b"step 1", b"\r", b"\n", b"\x1b[2J", b"\xff", "\u202e".encode()])
    ).map(b"".join),
)


@given(LOGS)
def test_nothing_but_printing_characters_newline_and_tab_comes_out(log: bytes) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in readable(log))


@given(st.text())
def test_escaping_twice_is_escaping_once(text: str) -> None:
    assert escape(escape(text)) == escape(text)


@given(LOGS, st.integers(128, 2000), st.integers(1, 60))
def test_a_tail_keeps_both_its_limits(log: bytes, max_bytes: int, max_lines: int) -> None:
    shown = tail(log, max_bytes, max_lines)
    assert len(shown.encode()) <= max_bytes
    assert len(shown.split("\n")) <= max_lines + 1


@given(LOGS)
def test_a_short_log_is_its_own_tail(log: bytes) -> None:
    shown = tail(log, max_bytes=40_000, max_lines=4000)
    assert shown == readable(log.removesuffix(b"\n"))


def test_a_progress_bar_of_200_kilobytes_is_one_short_line() -> None:
    bar = b"".join(b"\rstep %05d | loss: 3.2    " % step for step in range(8000))
    assert len(bar) > 200_000
    assert tail(b"start\n" + bar + b"\ndone\n") == "start\nstep 07999 | loss: 3.2    \ndone"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b]52;c;cm0gLXJm\x07", r"\x1b]52;c;cm0gLXJm\x07"),
        ("\u202eevil", r"\u202eevil"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("\x85\x9b31m", r"\x85\x9b31m"),
        ("line\u2028line", r"line\u2028line"),
        ("hid\U000e0041den", r"hid\U000e0041den"),
        ("grüße\t😀", "grüße\t😀"),
    ],
)
def test_what_would_act_on_a_terminal_or_hide_from_a_reader_is_spelled_out(
    raw: str, shown: str
) -> None:
    assert readable(raw.encode()) == shown


def test_the_note_says_how_many_bytes_are_missing() -> None:
    log = b"".join(b"line %d\n" % number for number in range(100))
    shown = tail(log, max_lines=2)
    assert shown == f"[{len(log) - 16} bytes above not shown]\nline 98\nline 99"


def test_a_line_too_long_for_the_limit_keeps_its_end() -> None:
    shown = tail(b"x" * 10_000 + b"the end", max_bytes=128)
    note, line = shown.split("\n")
    assert note.endswith("bytes above not shown]")
    assert line.startswith("…xxx")
    assert line.endswith("the end")
