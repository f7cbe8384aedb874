"""The branch of a research run: whatever the pattern, git accepts the name."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch_mcp.core.branches import branch_name, pattern_problem

PIECES = st.sampled_from(
    ["lab", "<tag>", "{tag}", "@{", ".lock", "refs/", "HEAD", "//", "..", *"a/.@-_*~^:?[ \\ö\x7f"]
)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("autoresearch/", "autoresearch/7"),
        ("autoresearch", "autoresearch/7"),
        ("night-", "night-7"),
        ("lab/<tag>/mlx", "lab/7/mlx"),
        ("lab/*", "lab/7"),
        ("{tag}", "7"),
    ],
)
def test_the_tag_goes_where_the_pattern_says_or_behind_it(pattern: str, name: str) -> None:
    assert branch_name(pattern, "7") == name
    assert pattern_problem(pattern) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=5).map("".join))
def test_git_accepts_every_branch_of_an_accepted_pattern(pattern: str) -> None:
    if pattern_problem(pattern) is None:
        name = branch_name(pattern, "2026-11-23")
        done = subprocess.run(
            ["git", "check-ref-format", "--branch", name], check=False, capture_output=True
        )
        assert done.returncode == 0, name
