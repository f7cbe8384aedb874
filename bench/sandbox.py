"""Measure what a sandbox costs: the start of a run, and its tokens per second. One table each.

    python bench/sandbox.py [--pairs 5] [--profile tiny] [--sandbox NAME ...]

Inside and outside take turns, so that a busy machine is busy for both. The recipe is the one in
this repository, on data prepared for the purpose.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from autoresearch_mcp.effects import blas, launcher
from autoresearch_mcp.effects.sandbox import files, probe
from autoresearch_mcp.effects.sandbox.policy import Bare, Policy, Sandbox

REPO = Path(__file__).resolve().parent.parent
PYTHON = Path(sys.executable)
STARTS = 50
T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
"""Student's t, two-sided 95 %, for 1, 2, ... degrees of freedom; the normal's beyond."""


class Place:
    """A folder with the recipe, its data and a scratch, and how to start something there.

    Args:
        root: An empty folder.
        profile: The profile to prepare.
    """

    def __init__(self, root: Path, profile: str) -> None:
        self.recipe, self.scratch = root / "recipe", root / "scratch"
        self.recipe.mkdir()
        self.scratch.mkdir()
        for name in ("train.py", "prepare.py"):
            (self.recipe / name).write_bytes((REPO / name).read_bytes())
        self.data = prepared(profile, root / "cache")
        self.manifest = json.loads((self.data / "manifest.json").read_bytes())
        self.blas = blas.ensure(PYTHON, root / "made")
        own = files.runtime(PYTHON)
        libraries = () if self.blas.library is None else (self.blas.library,)
        shared = [self.data / name for name in ("manifest.json", "tokenizer", "train", "val")]
        self.run_file = root / "run.json"
        self.policy = Policy(
            read=(*own.read, *libraries, *shared, self.recipe, self.run_file, launcher_file()),
            write=(self.scratch,),
            masked=(*own.masked, *map(Path, self.manifest["masked"])),
            memory_bytes=16 * 2**30,
        )

    def start(self, sandbox: Sandbox, argv: tuple[str, ...]) -> tuple[str, float]:
        """Run a command in a sandbox; return what it printed and the seconds it took.

        Raises:
            SystemExit: If it fails; its last lines are shown.
        """
        wrapped = sandbox.wrap(argv, self.environment, self.policy)
        began = time.perf_counter()
        done = subprocess.run(
            wrapped.argv,
            cwd=self.recipe,
            env=dict(wrapped.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"a run failed:\n{(done.stdout + done.stderr)[-2000:]}")
        return done.stdout, seconds

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of every run, inside and outside alike."""
        return {
            "PATH": os.defpath,
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            "LANG": "C.UTF-8",
            "ARAH_TRIAL_SEED": "1",
            "AUTORESEARCH_RUN": str(self.run_file),
            "MLX_DISABLE_COMPILE": "1",
            **self.blas.environment,
        }

    def train(self, sandbox: Sandbox) -> dict[str, float]:
        """Train once and return the values of the summary."""
        settings = {
            "data": str(self.data),
            "profile": self.manifest["profile"],
            "time_budget": self.manifest["profile"]["time_budget"],
            "seed": 1,
            "handover_fd": None,
        }
        self.run_file.write_text(json.dumps(settings))
        command = ("-I", "-B", "-u", str(launcher_file()), "python", "train.py")
        output, _ = self.start(sandbox, (str(PYTHON), *command))
        summary = output.rpartition("---\n")[2]
        found = re.findall(r"^(\w+):\s+([\d.]+)$", summary, flags=re.MULTILINE)
        return {key: float(value) for key, value in found}


def launcher_file() -> Path:
    """Return the first program of every run."""
    return Path(launcher.__file__)


def prepared(profile: str, cache: Path) -> Path:
    """Prepare data for the recipe and return its folder."""
    command = [sys.executable, str(REPO / "prepare.py"), "--profile", profile, "--json"]
    environment = {**os.environ, "AUTORESEARCH_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return Path(json.loads(done.stdout)["folder"])


def measure_start(place: Place, sandbox: Sandbox) -> None:
    """Print what the sandbox adds to the start of a program that does nothing."""
    bare: list[float] = []
    inside: list[float] = []
    nothing = (str(PYTHON), "-I", "-c", "pass")
    for _ in range(STARTS):
        bare.append(place.start(Bare(), nothing)[1] * 1e3)
        inside.append(place.start(sandbox, nothing)[1] * 1e3)
    added = [one - other for one, other in zip(inside, bare, strict=True)]
    shown = [statistics.median(times) for times in (bare, inside, added)]
    worst = sorted(added)[math.ceil(0.95 * len(added)) - 1]
    print(f"{sandbox.name:32}{shown[0]:10.1f}{shown[1]:10.1f}{shown[2]:10.1f}{worst:10.1f}")


def measure_speed(place: Place, sandbox: Sandbox, pairs: int) -> None:
    """Print the tokens per second inside and outside, and the interval of their ratio."""
    ratios: list[float] = []
    for pair in range(pairs):
        order = (Bare(), sandbox) if pair % 2 else (sandbox, Bare())
        results = {one.name: place.train(one) for one in order}
        outside, inside = results[Bare.name], results[sandbox.name]
        speed = [one["num_steps"] / one["training_seconds"] for one in (outside, inside)]
        ratios.append(math.log(speed[1] / speed[0]))
        print(
            f"{pair + 1:4}{outside['num_steps']:10.0f}{inside['num_steps']:10.0f}"
            f"{outside['val_bpb']:12.6f}{inside['val_bpb']:12.6f}{math.exp(ratios[-1]):10.4f}"
        )
    if pairs < 2:
        return
    mean, spread = statistics.mean(ratios), statistics.stdev(ratios)
    t = T_975[pairs - 2] if pairs - 2 < len(T_975) else 1.96
    half = t * spread / math.sqrt(pairs)
    low, high = math.exp(mean - half), math.exp(mean + half)
    print(
        f"{sandbox.name}: tokens/s inside / outside = {math.exp(mean):.4f}, "
        f"95 % [{low:.4f}, {high:.4f}]"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Measure what a sandbox costs.")
    parser.add_argument("--pairs", type=int, default=5, help="runs inside and outside; 0: none")
    parser.add_argument("--profile", default="tiny", choices=("tiny", "cpu"))
    parser.add_argument("--sandbox", action="append", help="default: each that works here")
    args = parser.parse_args()
    works = [one.name for one in probe.available() if one.works and one.name != Bare.name]
    sandboxes = [probe.select(name) for name in args.sandbox or works]
    with tempfile.TemporaryDirectory(prefix="autoresearch-bench-") as folder:
        place = Place(Path(folder), args.profile)
        place.run_file.write_text("{}")
        print(f"start of `python -c pass`, milliseconds, median of {STARTS} in turns")
        print(f"{'sandbox':32}{'plain':>10}{'inside':>10}{'added':>10}{'p95':>10}")
        for sandbox in sandboxes:
            measure_start(place, sandbox)
        for sandbox in sandboxes if args.pairs else ():
            print(f"\n{args.profile} recipe in {sandbox.name}, outside and inside")
            print(
                f"{'pair':4}{'steps':>10}{'steps':>10}{'val_bpb':>12}{'val_bpb':>12}{'ratio':>10}"
            )
            measure_speed(place, sandbox, args.pairs)


if __name__ == "__main__":
    main()
