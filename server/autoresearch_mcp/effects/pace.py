"""How fast the machine is right now: a fixed piece of work, timed.

On a CPU the work is done here, in CPU seconds: those grow when the clock is throttled, not when
others use the machine. On a GPU a fresh process of the recipe's interpreter multiplies matrices;
its wall-clock seconds grow with heat and with what others do there.
"""

import subprocess
import time
from pathlib import Path

_REPEATS = 7
_ROUNDS = 40_000
_PATIENCE_SECONDS = 120.0
_ON_GPU = """
import time
import mlx.core as mx

SIZE = 2048
a = mx.ones((SIZE, SIZE), dtype=mx.bfloat16)

def seconds():
    began, b = time.perf_counter(), a
    for _ in range(20):
        b = (a @ b) * (1 / SIZE)
    mx.eval(b)
    return time.perf_counter() - began

warm = time.perf_counter() + 0.5
while time.perf_counter() < warm:
    seconds()
print(min(seconds() for _ in range(7)))
"""


def on_cpu() -> float:
    """Return the CPU seconds of the work, the quickest of several times."""
    return min(_work() for _ in range(_REPEATS))


def on_gpu(python: Path) -> float | None:
    """Return the seconds of the work on the recipe's GPU; None where it cannot be done."""
    command = [str(python), "-I", "-c", _ON_GPU]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True
        )
        return float(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _work() -> float:
    began, state = time.thread_time(), 1
    for _ in range(_ROUNDS):
        state = state * 48271 % 2147483647
    return time.thread_time() - began
