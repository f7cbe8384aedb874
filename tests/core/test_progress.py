r"""Progress as the recipe prints it, one line overwritten again and again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.progress import Progress, parse_progress

SEED_LINE = (
    b"\rstep 00045 (97.8%) | loss: 3.412345 | lrm: 0.05 | dt: 6543ms | tok/sec: 10,016 | "
    b"epoch: 1 | remaining: 7s    "
)


def test_the_line_of_the_seeds_recipe_is_read() -> None:
    assert parse_progress(SEED_LINE) == Progress(45, 97.8, 3.412345, 7.0)


def test_the_last_line_counts() -> None:
    log = b"compiled\n" + SEED_LINE + SEED_LINE.replace(b"00045", b"00046") + b"\n"
    progress = parse_progress(log)
    assert progress is not None
    assert progress.step == 46


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"step 7 (1.0%)", Progress(7, 1.0, None, None)),
        (b"step 7 (1.0%) | loss: nan | remaining: 3s", Progress(7, 1.0, None, 3.0)),
        (b"\rstep 7 (1.0%) | loss: 2.5", Progress(7, 1.0, 2.5, None)),
        (b"\rstep 7 (1.0%) | loss: 1e999 |", Progress(7, 1.0, None, None)),
        (b"\rstep 7 (250%)", None),
        (b"\rstep 7 (1.1.1%)", None),
        (b"a step 7 (1.0%)", None),
        (b"nothing", None),
        (b"", None),
    ],
)
def test_what_is_missing_is_none(line: bytes, expected: Progress | None) -> None:
    assert parse_progress(line) == expected


@given(st.binary(max_size=200))
def test_no_log_makes_progress_that_is_not_finite(log: bytes) -> None:
    progress = parse_progress(log.replace(b"s", b"\rstep 1 (5%) | loss: ").replace(b"r", b"9"))
    if progress:
        assert 0 <= progress.percent <= 100
        assert progress.loss is None or math.isfinite(progress.loss)
