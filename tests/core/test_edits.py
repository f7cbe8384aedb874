"""Edits: exactly once, in order, in the file's own line endings."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autoresearch_mcp.core.edits import (
    DiffStat,
    Replacement,
    WholeFile,
    apply,
    check_kind,
    diff_stat,
    unified_diff,
)
from autoresearch_mcp.core.errors import Refusal

SOURCE = (
    "DEPTH = 2\nWIDTH = 128\nfor i in range(3):\n    step(i)\nfor j in range(3):\n    step(j)\n"
)
PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=40)
LINES = st.lists(st.sampled_from(["a", "b", "", "  c", "a b"]), max_size=8).map("\n".join)


def refusal(source: str, *edits: Replacement) -> Refusal:
    with pytest.raises(Refusal) as caught:
        apply(source, edits)
    return caught.value


@given(PLAIN, PLAIN, PLAIN, PLAIN)
def test_text_that_occurs_once_is_replaced_and_nothing_else(
    before: str, old: str, after: str, new: str
) -> None:
    source = before + old + after
    assume(old and sum(source.startswith(old, i) for i in range(len(source))) == 1)
    assert apply(source, [Replacement(old, new)]) == before + new + after


@given(PLAIN, PLAIN)
def test_the_whole_file_is_replaced_by_what_was_sent(source: str, content: str) -> None:
    assume("\r" not in source)
    assert apply(source, WholeFile(content)) == content


@given(LINES, LINES)
def test_a_file_of_crlf_stays_one_whatever_is_sent(source: str, content: str) -> None:
    crlf = (source + "\n").replace("\n", "\r\n")
    sent = content + "\n"
    expected = sent.replace("\n", "\r\n")
    assert apply(crlf, WholeFile(sent)) == expected
    assert apply(crlf, WholeFile(expected)) == expected


def test_a_replacement_in_a_crlf_file_may_be_quoted_with_either_line_ending() -> None:
    source = "a = 1\r\nb = 2\r\nc = 3\r\n"
    expected = "a = 1\r\nb = 5\r\nd = 6\r\nc = 3\r\n"
    for old, new in [("b = 2\n", "b = 5\nd = 6\n"), ("b = 2\r\n", "b = 5\r\nd = 6\r\n")]:
        assert apply(source, [Replacement(old, new)]) == expected


def test_a_carriage_return_is_not_brought_into_a_file_without() -> None:
    assert refusal(SOURCE, Replacement("DEPTH = 2", "DEPTH = 4\r\n")).code == "edit.newline"
    with pytest.raises(Refusal, match="carriage return"):
        apply(SOURCE, WholeFile("x = 1\r\n"))
    with pytest.raises(Refusal, match="carriage return"):
        apply("a\r\nb\r\n", WholeFile("x = 1\r# hidden\n"))


def test_each_replacement_sees_the_result_of_the_one_before() -> None:
    edits = [Replacement("DEPTH = 2", "DEPTH = 4"), Replacement("DEPTH = 4", "DEPTH = 8")]
    assert apply(SOURCE, edits).startswith("DEPTH = 8\n")


def test_a_failing_replacement_is_named_and_nothing_is_applied() -> None:
    refused = refusal(SOURCE, Replacement("DEPTH = 2", "D = 2"), Replacement("DEPTH = 2", "D"))
    assert refused.code == "edit.match"
    assert refused.message.startswith("replacement 2 of 2: `old` does not occur")


def test_no_match_shows_the_nearest_line_with_its_number() -> None:
    message = refusal(SOURCE, Replacement("WIDHT = 128", "WIDTH = 256")).message
    assert message.endswith("the nearest to 'WIDHT = 128' is line 2: 'WIDTH = 128'")


def test_no_match_by_indentation_points_at_the_line_that_differs() -> None:
    message = refusal(SOURCE, Replacement("for i in range(3):\n  step(i)", "pass")).message
    assert "line 4: '    step(i)'" in message


def test_lines_that_exist_but_not_together_are_told_so() -> None:
    message = refusal(SOURCE, Replacement("WIDTH = 128\n    step(j)", "pass")).message
    assert "not together as quoted; see line 2" in message


def test_nothing_alike_says_read_again() -> None:
    assert "read the file again" in refusal("x\n", Replacement("quite another", "")).message
    assert "only blank lines" in refusal("x\n", Replacement("\n\n\n", "")).message


def test_many_matches_are_counted_with_their_lines() -> None:
    message = refusal(SOURCE, Replacement("range(3)", "range(5)")).message
    assert "`old` occurs 2 times (lines 3, 5); quote more" in message


def test_overlapping_matches_are_ambiguous() -> None:
    assert "occurs 2 times" in refusal("aaa\n", Replacement("aa", "b")).message


def test_an_empty_quote_and_an_empty_list_are_refused() -> None:
    assert refusal(SOURCE, Replacement("", "x")).code == "edit.match"
    assert refusal(SOURCE).code == "edit.match"


def test_counting_stops_at_a_hundred() -> None:
    message = refusal("a" * 260_000, Replacement("a" * 130_000, "")).message
    assert "occurs at least 100 times (lines 1, 1, 1, 1, 1, …)" in message


# Threat 75.
def test_64_mebibytes_are_refused_before_any_work() -> None:
    huge = "x" * (64 * 2**20)
    assert refusal(SOURCE, Replacement("DEPTH = 2", huge)).code == "edit.size"
    with pytest.raises(Refusal, match=r"edit\.size"):
        apply(SOURCE, WholeFile(huge))
    growing = [Replacement("y", "y" * 1), Replacement("y", "x" * 262_144)]
    assert refusal("y\n", *growing).code == "edit.size"


def test_a_pathological_line_costs_no_unbounded_search() -> None:
    source = "ab" * 130_000
    assert "does not occur" in refusal(source, Replacement("ba" * 100_000 + "c", "")).message


def test_edits_of_a_kind_the_protocol_does_not_allow_are_refused() -> None:
    check_kind("train.py", ["code_edit"])
    check_kind("size.toml", ["code_edit", "config_edit"])
    with pytest.raises(
        Refusal, match=r"size\.toml is a config_edit; the protocol allows code_edit"
    ):
        check_kind("size.toml", ["code_edit"])


def test_a_diff_says_where_the_last_newline_is_missing() -> None:
    assert unified_diff("t.py", "a\nb", "a\nc\n") == (
        "--- a/t.py\n+++ b/t.py\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n"
    )
    assert unified_diff("t.py", "a\n", "a\n") == ""


@given(LINES, LINES)
def test_the_net_lines_of_a_diff_are_the_growth_of_the_file(before: str, after: str) -> None:
    stat = diff_stat(before + "\n", after + "\n")
    assert stat.net == after.count("\n") - before.count("\n")
    diff = unified_diff("t", before + "\n", after + "\n").split("\n")
    assert stat.added == sum(line.startswith("+") for line in diff[2:])
    assert (stat == DiffStat(0, 0)) == (before == after)


def test_git_applies_the_diff_to_the_same_result(tmp_path: Path) -> None:
    before, after = "a\n\x0cb\u2028c\n\nlast", "a\n\x0cb\u2028d\n\nlast\nmore\n"
    (tmp_path / "t.py").write_bytes(before.encode())
    patch = unified_diff("t.py", before, after).encode()
    subprocess.run(["git", "apply", "-"], input=patch, cwd=tmp_path, check=True)
    assert (tmp_path / "t.py").read_bytes() == after.encode()
