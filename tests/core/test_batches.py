"""The batch size that is advised after running out of memory is one the recipe accepts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.batches import Batch, next_batch
from autoresearch_mcp.core.crash import memory_kind

BOX = (Path(__file__).parents[2] / "train.py").read_text()


@given(st.integers(1, 64), st.integers(2, 64), st.sampled_from([None, 8, 256]))
def test_the_next_smaller_size_still_divides_the_total(
    many: int, now: int, context: int | None
) -> None:
    rows = context or 8
    total = many * now * rows
    source = f"MAX_SEQ_LEN = 8\nTOTAL_BATCH_SIZE = {total}\nDEVICE_BATCH_SIZE = {now}\n"
    found = next_batch([source], context)
    assert found is not None
    assert found.next < now
    assert total % (found.next * rows) == 0
    larger = range(found.next + 1, now)
    assert not any(total % (size * rows) == 0 for size in larger)


def test_without_a_known_context_a_divisor_of_the_present_size_is_given() -> None:
    source = "TOTAL_BATCH_SIZE = 2**16\nDEVICE_BATCH_SIZE: int = 4 * 3\n"
    assert next_batch([source]) == Batch("DEVICE_BATCH_SIZE", 12, 6)


def test_the_recipe_in_the_box_gets_a_size() -> None:
    assert next_batch([BOX], 256, "cpu") == Batch("DEVICE_TOKENS", 1024, 512)
    assert next_batch([BOX], 2048, "metal") == Batch("DEVICE_TOKENS", 2**14, 2**13)
    assert next_batch([BOX], 256, "abacus") is None


@pytest.mark.parametrize(
    "source",
    [
        "",
        "DEVICE_BATCH_SIZE = 1",
        "DEVICE_BATCH_SIZE = x",
        "DEVICE_BATCH_SIZE = 2**9**9",
        "def (",
        "DEVICE_BATCH_SIZE = 4 // 0",
        "DEVICE_BATCH_SIZE = True",
        "(" * 500,
    ],
)
def test_a_source_that_names_no_batch_above_1_gets_no_advice(source: str) -> None:
    assert next_batch([source]) is None


@pytest.mark.parametrize(
    ("error_class", "reason", "code", "kind"),
    [
        (
            "oom",
            "RuntimeError: [metal::malloc] Attempting to allocate 9 bytes",
            1,
            "metal",
        ),
        ("oom", "std::runtime_error: [METAL] Command buffer ... Insufficient Memory", -6, "metal"),
        ("oom", "RuntimeError: cudaMallocAsync(&p, n, s) failed: out of memory", 1, "cuda"),
        ("oom", "MemoryError", 1, "host"),
        ("oom", "what(): std::bad_alloc", -6, "host"),
        ("killed", "killed by signal SIGKILL", -9, "killed"),
        ("killed", "killed by signal SIGSEGV", -11, None),
        ("nan", "RuntimeError: nan", 1, None),
        (None, "", 0, None),
    ],
)
def test_the_memory_that_was_short_is_told_apart(
    error_class: str | None, reason: str, code: int, kind: str | None
) -> None:
    assert memory_kind(error_class, reason, code) == kind
