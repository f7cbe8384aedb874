"""Measure our train.py against the train.py of autoresearch-mlx: speed and quality, one table.

    python bench/recipe.py --seed-recipe FOLDER [--pairs 2] [--budget 30] [--preload libblas.so]

Both train on the same machine, data, tokenizer, model size, batch and budget, in turns. FOLDER
holds the other train.py; its constants alone are changed, to the size that ours reports.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
SIZE = re.compile(r"depth (\d+), width \d+, heads of (\d+); (\d+) x (\d+) rows of (\d+) tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run printed."""

    log: str
    values: dict[str, float]

    def tokens_per_second(self, step_tokens: int) -> float:
        """Return the tokens trained on by the seconds charged for them."""
        return step_tokens * self.values["num_steps"] / self.values["training_seconds"]


def scaled(source: str, constants: dict[str, int]) -> str:
    """Return a recipe with some of its constants changed and nothing else."""
    for name, value in constants.items():
        source, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", source, flags=re.MULTILINE)
        if count != 1:
            raise SystemExit(f"the seed's train.py has {count} lines `{name} = ...`, not 1")
    return source


def constants_like(result: Result) -> dict[str, int]:
    """Return the seed's constants that give the size another run reported."""
    match = SIZE.search(result.log)
    if match is None:
        raise SystemExit("our train.py did not print its size")
    depth, head, accumulate, rows, length = map(int, match.groups())
    return {
        "DEPTH": depth,
        "HEAD_DIM": head,
        "DEVICE_BATCH_SIZE": rows,
        "TOTAL_BATCH_SIZE": accumulate * rows * length,
    }


def run(source: str, environment: dict[str, str]) -> Result:
    """Run a train.py beside our prepare.py, in a folder of its own.

    Raises:
        SystemExit: If the run fails; its last lines are shown.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(source)
        (folder / "prepare.py").write_bytes((REPO / "prepare.py").read_bytes())
        command = [sys.executable, "train.py"]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"a run failed:\n{(done.stdout + done.stderr)[-2000:]}")
    summary = done.stdout.rpartition("---\n")[2]
    found = re.findall(r"^(\w+):\s+([\d.]+)$", summary, flags=re.MULTILINE)
    return Result(log=done.stdout, values={key: float(value) for key, value in found})


def settings(data: Path, budget: float | None, folder: Path) -> Path:
    """Write the settings of a run with a budget of our choice."""
    profile = json.loads((data / "manifest.json").read_bytes())["profile"]
    values = {
        "data": str(data),
        "profile": profile,
        "time_budget": budget or profile["time_budget"],
        "seed": 0,
        "handover_fd": None,
    }
    path = folder / "run.json"
    path.write_text(json.dumps(values))
    return path


def show(ours: list[Result], theirs: list[Result], step_tokens: int) -> None:
    """Print one line per run, then the means and what lies between them."""
    print(f"{'run':8}{'tok/s':>10}{'steps':>8}{'val_bpb':>10}{'MFU %':>8}{'MB':>9}{'total s':>9}")
    for pair in zip(ours, theirs, strict=True):
        for name, one in zip(("ours", "seed"), pair, strict=True):
            v = one.values
            print(
                f"{name:8}{one.tokens_per_second(step_tokens):10,.0f}{v['num_steps']:8.0f}{v['val_bpb']:10.4f}"
                f"{v['mfu_percent']:8.2f}{v['peak_vram_mb']:9.0f}{v['total_seconds']:9.1f}"
            )
    speed = [
        statistics.mean(r.tokens_per_second(step_tokens) for r in side) for side in (ours, theirs)
    ]
    bpb = [statistics.mean(r.values["val_bpb"] for r in side) for side in (ours, theirs)]
    print(f"\n{speed[0] / speed[1]:.1f} times the tokens per second")
    print(f"{bpb[1] - bpb[0]:.3f} lower val_bpb")


def main() -> None:
    """Run the pairs and print the table."""
    parser = argparse.ArgumentParser(description="Measure our train.py against the seed's.")
    parser.add_argument("--seed-recipe", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--budget", type=float, help="seconds; default: the profile's")
    parser.add_argument("--preload", type=Path, metavar="LIB", help="a fast BLAS, for both")
    parser.add_argument("--data", type=Path, help="prepared data; default: what prepare.py gives")
    args = parser.parse_args()

    environment = dict(os.environ)
    if args.preload:
        environment |= {"LD_PRELOAD": str(args.preload.resolve()), "OPENBLAS_NUM_THREADS": "1"}
    if args.data is None:
        command = [sys.executable, str(REPO / "prepare.py"), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        args.data = Path(json.loads(done.stdout)["folder"])
    our_source = (REPO / "train.py").read_text()
    seed_source = (args.seed_recipe / "train.py").read_text()
    ours: list[Result] = []
    theirs: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        run_file = settings(args.data, args.budget, Path(folder))
        environment["AUTORESEARCH_RUN"] = str(run_file)
        for pair in range(args.pairs):
            print(f"pair {pair + 1} of {args.pairs} ...", file=sys.stderr)
            ours.append(run(our_source, environment))
            theirs.append(run(scaled(seed_source, constants_like(ours[0])), environment))
    show(ours, theirs, constants_like(ours[0])["TOTAL_BATCH_SIZE"])


if __name__ == "__main__":
    main()
