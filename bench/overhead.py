"""Measure what a trial costs beside its training: through the server against by hand.

    python bench/overhead.py [--pairs 3] [--budget 10]

Each pair trains the same candidate twice, in turns: once as `python train.py` with the same data,
budget and BLAS, once as a trial that a client asks the real server for over stdio. Needs the
data of the recipe's `cpu` profile, and prepares it where it is missing.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

from autoresearch_mcp.effects import blas

TOP = Path(__file__).resolve().parent.parent
RECIPE = ("protocol.json", "prepare.py", "train.py", "results.tsv")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--budget", type=float, default=10.0, help="training seconds of a run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        anyio.run(measure, Path(name), options.pairs, options.budget)


async def measure(folder: Path, pairs: int, budget: float) -> None:
    """Run the pairs and print a row for each, then the medians."""
    repository = make_recipe(folder / "recipe", budget)
    data = prepare(repository)
    environment = by_hand_environment(folder, data, budget)
    command = ["-m", "autoresearch_mcp", "serve", "--repo", str(repository)]
    server = StdioServerParameters(
        command=sys.executable, args=[*command, "--max-wait", "600"], env=dict(os.environ)
    )
    print(f"{'pair':>4} {'by hand':>10} {'as a trial':>11} {'more':>8} {'ratio':>7}")
    rows: list[tuple[float, float]] = []
    async with Client(server) as client:
        await seconds_of(client, "run_trial", hypothesis="baseline")
        for pair in range(1, pairs + 1):
            train = repository / "train.py"
            await seconds_of(client, "apply_edit", content=f"PAIR = {pair}\n{train.read_text()}")
            hand = timed([sys.executable, "train.py"], repository, environment)
            trial = await seconds_of(client, "run_trial", hypothesis=f"pair {pair}")
            rows.append((hand, trial))
            print(row(str(pair), hand, trial), flush=True)
            found = await client.call_tool("get_metrics", {"last": 1})
            assert found.structured_content is not None
            trial_id = found.structured_content["trials"][0]["trial_id"]
            await seconds_of(client, "commit_or_revert", trial_id=trial_id)
    hand, trial = (statistics.median(column) for column in zip(*rows, strict=True))
    print(row("med.", hand, trial))


def row(name: str, hand: float, trial: float) -> str:
    """Return one line of the table, in seconds."""
    return f"{name:>4} {hand:>9.2f}s {trial:>10.2f}s {trial - hand:>+7.2f}s {trial / hand:>7.3f}"


def make_recipe(folder: Path, budget: float) -> Path:
    """Copy the recipe into a git repository of its own, under a budget of so many seconds."""
    folder.mkdir()
    for name in RECIPE:
        shutil.copy(TOP / name, folder)
    protocol = json.loads((folder / "protocol.json").read_text())
    protocol["execution"]["stopCondition"]["trainingSecondsBudget"] = budget
    (folder / "protocol.json").write_text(json.dumps(protocol))
    (folder / ".gitignore").write_text(".autoresearch/\n")
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "recipe")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def prepare(repository: Path) -> Path:
    """Prepare the embedded data of the cpu profile and return its folder."""
    command = [sys.executable, "prepare.py", "--profile", "cpu", "--json"]
    done = subprocess.run(command, cwd=repository, stdout=subprocess.PIPE, text=True, check=True)
    return Path(json.loads(done.stdout)["folder"])


def by_hand_environment(folder: Path, data: Path, budget: float) -> dict[str, str]:
    """Return the environment that gives a run by hand what a trial gets."""
    profile = json.loads((data / "manifest.json").read_text())["profile"]
    settings = folder / "run.json"
    settings.write_text(
        json.dumps({"data": str(data), "profile": profile, "time_budget": budget, "seed": 1})
    )
    fast = blas.ensure(Path(sys.executable), folder / "cache").environment
    no_compile = {"MLX_DISABLE_COMPILE": "1"}
    return {**os.environ, **fast, **no_compile, "AUTORESEARCH_RUN": str(settings)}


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command and return its wall-clock seconds."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


async def seconds_of(client: Client, tool: str, **arguments: object) -> float:
    """Call a tool and return the seconds until its answer."""
    began = time.perf_counter()
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise SystemExit(f"{tool}: {result.content}")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
