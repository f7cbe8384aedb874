"""The kind of a crash, told from what the process left behind."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.crash import CRASH_HINTS, classify_crash

METAL = (
    b"libc++abi: terminating due to uncaught exception of type std::runtime_error: [METAL] Command "
    b"buffer execution failed: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOut"
    b"OfMemory)\n"
)
ALLOCATION = (
    b"RuntimeError: [metal::malloc] Attempting to allocate 48736917632 bytes which is greater than "
    b"the maximum allowed buffer size of 30150672384 bytes.\n"
)


def crashed(code: str) -> tuple[str, str]:
    """Run a crashing program with the real interpreter and classify its log."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    crash = classify_crash(done.stdout, done.returncode)
    return crash.error_class, crash.reason


@pytest.mark.parametrize(
    ("code", "error_class", "reason"),
    [
        ("if x", "syntax", "SyntaxError: expected ':'"),
        ("if 1:\npass", "syntax", "IndentationError: expected an indented block"),
        ("import no_such_module_here", "import", "ModuleNotFoundError: No module named"),
        ("raise MemoryError", "oom", "MemoryError"),
        ("1/0", "other", "ZeroDivisionError: division by zero"),
        ("raise FloatingPointError('loss is nan')", "nan", "FloatingPointError: loss is nan"),
        (
            "try:\n 1/0\nexcept Exception as e:\n raise ValueError('b') from e",
            "other",
            "ValueError",
        ),
        ("import sys; sys.exit(3)", "other", "exit status 3 and no exception"),
        ("pass", "other", "ended normally but printed no metric"),
        ("print('FAIL'); raise SystemExit(1)", "nan", "the recipe gave up: FAIL"),
        ("import os; os.kill(os.getpid(), 9)", "killed", "killed by signal SIGKILL"),
        ("import os; os.kill(os.getpid(), 64)", "killed", "killed by signal 64"),
    ],
)
def test_a_real_interpreters_last_words_are_understood(
    code: str, error_class: str, reason: str
) -> None:
    found = crashed(code)
    assert found[0] == error_class
    assert reason in found[1]


@pytest.mark.parametrize(
    "code",
    [
        "mx.zeros((2, 3)) @ mx.zeros((4, 5))",
        "mx.zeros((2, 3)) + mx.zeros((4, 5))",
        "mx.reshape(mx.zeros((6,)), (4,))",
        "mx.concatenate([mx.zeros((2, 3)), mx.zeros((2, 4))])",
        "mx.stack([mx.zeros((5,)), mx.zeros((4,))])",
        "mx.softmax(mx.zeros((3,)), axis=4)",
        "mx.fast.rms_norm(mx.zeros((2, 5)), mx.zeros((3,)), 1e-5)",
        "mx.einsum('ij,jk->ik', mx.zeros((2, 3)), mx.zeros((4, 5)))",
    ],
)
def test_shapes_that_mlx_refuses_are_told_as_shapes(code: str) -> None:
    assert crashed(f"import mlx.core as mx\n{code}")[0] == "shape"


@pytest.mark.parametrize(
    ("log", "exit_code"),
    [
        (ALLOCATION, 1),
        (METAL, -6),
        (b"MemoryError: [malloc] Unable to allocate 12 bytes\n", 1),
        (b"RuntimeError: [cuda::malloc] cudaMallocAsync out of memory\n", 1),
        (b"RuntimeError: cudaMallocManaged failed: an illegal memory access\n", 1),
        (b"terminate called after throwing an instance of 'std::bad_alloc'\n", -6),
    ],
)
def test_out_of_memory_is_known_on_metal_cuda_and_cpu(log: bytes, exit_code: int) -> None:
    assert classify_crash(log, exit_code).error_class == "oom"


def test_the_last_exception_decides_even_after_a_progress_line() -> None:
    log = b"ImportError: first\n\rstep 1 (3%)\rstep 2 (4%)\nTypeError: boom\n"
    assert classify_crash(log, 1) == ("other", "TypeError: boom")


def test_every_class_comes_with_advice() -> None:
    for error_class, advice in CRASH_HINTS.items():
        assert advice.endswith("."), error_class


@given(st.binary(max_size=500), st.one_of(st.none(), st.integers(-70, 255)))
def test_any_log_gives_a_known_class_and_one_safe_line(log: bytes, exit_code: int | None) -> None:
    crash = classify_crash(log.replace(b"e", b"Error: "), exit_code)
    assert crash.error_class in CRASH_HINTS
    assert crash.reason.replace("\t", "").isprintable()
    assert 0 < len(crash.reason) <= 300


def test_a_line_made_to_be_slow_is_not() -> None:
    assert classify_crash(b"loss " * 20_000, 1).error_class == "other"
