"""Which files an edit may touch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.surface import Surface

SEED = Surface(
    allowed=("train.py",),
    forbidden=("prepare.py", "pyproject.toml"),
    harness_paths=("prepare.py", "evaluation"),
    records=("results.tsv",),
)
WIDE = Surface(
    allowed=("src/**/*.py", "config/*.toml"),
    harness_paths=("src/eval/score.py",),
    records=("src/log.py",),
)


def refusal(surface: Surface, path: str) -> str:
    with pytest.raises(Refusal) as caught:
        surface.admits(path)
    assert caught.value.code == "surface.path"
    return caught.value.message


def test_the_one_file_of_the_seed_is_admitted() -> None:
    SEED.admits("train.py")


def test_the_harness_is_named_as_such_with_what_to_edit_instead() -> None:
    assert refusal(SEED, "prepare.py") == "prepare.py is read-only (harness); edit train.py"


# Threat 73: every other way to say a file that is not, or not plainly, the surface's.
@pytest.mark.parametrize(
    "path",
    [
        "/srv/recipe/train.py",
        "./train.py",
        "../train.py",
        "sub/../train.py",
        "sub/train.py",
        "train.py/",
        "//train.py",
        "train.py\x00",
        "train.py\n",
        "train.py ",
        "train\u200b.py",
        "tr\u0430in.py",
        "Train.py",
        "TRAIN.PY",
        "..\\train.py",
        "C:\\train.py",
        "~/train.py",
        "file:///train.py",
        "train.py:stream",
        "%2e%2e/train.py",
        "\uff54rain.py",
        "prepare.py",
        "PREPARE.py",
        "evaluation/score.py",
        "results.tsv",
        "protocol.json",
        ".git/config",
        "",
    ],
)
def test_no_variant_of_the_path_gets_through(path: str) -> None:
    assert "edit train.py" in refusal(SEED, path)


def test_a_name_that_differs_only_in_case_is_told_so() -> None:
    assert "only in case" in refusal(SEED, "Train.py")


@pytest.mark.parametrize("path", ["SRC/EVAL/SCORE.py", "src/eval/Score.py", "src/LOG.py"])
def test_what_is_read_only_stays_so_where_the_file_system_ignores_case(path: str) -> None:
    assert "read-only" in refusal(WIDE, path)


def test_git_is_out_of_reach_at_any_depth_and_in_any_case() -> None:
    everything = Surface(allowed=("**",))
    for path in [".git/hooks/post-commit", "sub/.git/config", ".GIT/config", "sub/.git"]:
        assert "belongs to git" in refusal(everything, path)


def test_several_files_are_admitted_by_whole_path_globs() -> None:
    WIDE.admits("src/model.py")
    WIDE.admits("src/deep/er/model.py")
    WIDE.admits("config/size.toml")
    refusal(WIDE, "model.py")
    refusal(WIDE, "config/deep/size.toml")


def test_tracked_files_are_sorted_into_surface_harness_and_the_rest() -> None:
    tracked = ["train.py", "prepare.py", "evaluation/score.py", "README.md", "a/train.py"]
    assert SEED.files(tracked) == ("train.py",)
    assert SEED.harness(tracked) == ("evaluation/score.py", "prepare.py")


@given(st.text(max_size=30))
def test_nothing_but_the_file_itself_is_admitted(path: str) -> None:
    if path == "train.py":
        SEED.admits(path)
    else:
        message = refusal(SEED, path)
        assert message.isprintable()


@given(st.text(st.sampled_from("sSrRcC/.peyvalmodi*\\"), max_size=20))
def test_files_lists_exactly_what_is_admitted(path: str) -> None:
    listed = WIDE.files([path]) == (path,)
    try:
        WIDE.admits(path)
    except Refusal:
        assert not listed
    else:
        assert listed
