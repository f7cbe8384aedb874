"""Whole-path globs, and the one spelling that a path may have."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.paths import glob_problem, is_literal, matches, path_problem

SEGMENTS = st.sampled_from(["a", "b", "ab", "train.py", "A"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)
GLOBS = st.lists(
    st.one_of(SEGMENTS, st.sampled_from(["*", "**", "?", "a*", "[ab]", "*.py"])),
    min_size=1,
    max_size=5,
).map("/".join)


def specified(glob: list[str], path: list[str]) -> bool:
    """Say the same as `matches` in the most obvious way, at exponential cost."""
    if not glob:
        return not path
    if glob[0] == "**":
        if len(glob) == 1:
            return bool(path)
        return any(specified(glob[1:], path[skip:]) for skip in range(len(path) + 1))
    return bool(path) and one_segment(glob[0], path[0]) and specified(glob[1:], path[1:])


def one_segment(glob: str, text: str) -> bool:
    match glob:
        case "*":
            return True
        case "?":
            return len(text) == 1
        case "a*":
            return text.startswith("a")
        case "[ab]":
            return text in ("a", "b")
        case "*.py":
            return text.endswith(".py")
        case _:
            return glob == text


@given(GLOBS, PATHS)
def test_globs_match_as_specified(glob: str, path: str) -> None:
    assert matches(glob, path) == specified(glob.split("/"), path.split("/"))


@given(PATHS, PATHS)
def test_a_literal_matches_itself_and_nothing_else(one: str, other: str) -> None:
    assert is_literal(one)
    assert matches(one, other) == (one == other)


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("train.py", "anything/train.py", False),
        ("*.py", "src/train.py", False),
        ("*.py", ".hidden.py", True),
        ("src/*", "src/a/b", False),
        ("src/**", "src/a/b", True),
        ("src/**", "src", False),
        ("src/**/x.py", "src/x.py", True),
        ("**/x.py", "x.py", True),
        ("Train.py", "train.py", False),
        ("a[!b]c", "a/c", False),
    ],
)
def test_the_holes_of_other_dialects_are_closed(glob: str, path: str, expected: bool) -> None:
    assert matches(glob, path) is expected


def test_many_stars_cost_no_exponential_time() -> None:
    assert not matches("**/a/" * 30 + "x", "a/" * 200 + "b")
    assert not matches("a*" * 30 + "x", "a" * 250)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("a//b", "empty segment"),
        ("./a", "'.' segment"),
        ("a/../b", "'..' segment"),
        ("a/", "ends in '/'"),
        ("a\\b", "backslash"),
        ("a\x00", "control"),
        ("a\nb", "control"),
        ("a\u200b", "control"),
        ("a\u00a0b", "unusual space"),
        ("\ud800", "control"),
        ("cafe\u0301.py", "normal form"),
        ("a" * 256, "segment longer"),
        ("a/" * 600 + "a", "longer than 1024"),
    ],
)
def test_a_path_with_a_second_spelling_is_a_problem(path: str, said: str) -> None:
    assert said in (path_problem(path) or "")


@given(st.text(max_size=40))
def test_a_path_without_a_problem_stays_inside_and_is_its_own_normal_form(path: str) -> None:
    if path_problem(path) is None:
        assert not path.startswith("/")
        assert all(part not in ("", ".", "..") for part in path.split("/"))


@pytest.mark.parametrize("glob", ["a**/b", "**.py", "src/[ab", "src/{a,b}.py", "src/", "../*"])
def test_a_glob_that_would_mean_something_else_elsewhere_is_a_problem(glob: str) -> None:
    assert glob_problem(glob)


def test_every_plain_combination_is_a_glob() -> None:
    for one, other in product(["a", "*", "**", "?", "[a-z]*.py"], repeat=2):
        assert glob_problem(f"{one}/{other}") is None
