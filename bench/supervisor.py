"""Measure how true the supervisor's clocks are: its seconds beside those of the run itself.

    python bench/supervisor.py [--runs 10]

Each run tells its first batch and its hand-over as the harness does, and prints when it really did
so on the clock that all processes of the machine share. Printed are the largest differences.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from autoresearch_mcp.effects import supervisor
from autoresearch_mcp.effects.supervisor import Channel, RunSpec

RUN = """
import os, time
def tell(event):
    os.write({fd}, event + b"\\n")
    print(time.monotonic())
time.sleep(0.3); tell(b"batch")
time.sleep(1.0); tell(b"handover")
time.sleep(0.2); print(time.monotonic())
"""


def measure(folder: Path) -> tuple[float, float, float]:
    """Execute one run; return by how much each of the supervisor's figures is off, in seconds."""
    with Channel() as channel:
        code = RUN.format(fd=channel.child_end)
        spec = RunSpec(
            argv=(sys.executable, "-I", "-u", "-c", code),
            cwd=folder,
            environment={},
            log=folder / "run.log",
            hard_timeout=60.0,
        )
        began = time.monotonic()
        seen = supervisor.execute(spec, channel, lambda: None)
    batch, handover, end = map(float, spec.log.read_text().split())
    if seen.startup is None or seen.training is None:
        raise SystemExit("the supervisor missed an event")
    return (
        seen.startup - (batch - began),
        seen.training - (handover - batch),
        seen.seconds - (end - began),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        rows = [measure(Path(name)) for _ in range(runs)]
    print(f"{'clock':<24} {'largest difference from the truth, ' + str(runs) + ' runs':>40}")
    names = ("start to first batch", "first batch to hand-over", "start to end")
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        print(f"{name:<24} {1000 * max(values, key=abs):>37.1f} ms")


if __name__ == "__main__":
    main()
