"""Measure what a long ledger costs: the same questions to an empty one and to one of many trials.

    python bench/ledger.py [--trials 100000] [--starts 5] [--calls 300]

Both are asked through the real server by a real client over stdio, in turns. `server start` is from
the process's start to the first answer; `get_metrics` the 99th percentile of so many calls. Below
that, what the ledger itself takes: a check from the last checkpoint, as before each verdict, the
whole `ledger verify`, a rebuild, and the results log.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters
from rich.progress import track

from autoresearch_mcp.core.case import Rule
from autoresearch_mcp.core.decision import judge
from autoresearch_mcp.core.events import (
    Applying,
    Decided,
    Done,
    Edited,
    Event,
    Exported,
    Measured,
    Queued,
    ResearchStarted,
    RunFinished,
    Running,
    RunStarted,
    Staged,
)
from autoresearch_mcp.core.setting import Setting
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, ProcessId, Role, Timing, Trust
from autoresearch_mcp.core.verdict import Verdict, VerdictStatus
from autoresearch_mcp.effects.ledger import Ledger, append, connected
from autoresearch_mcp.session.court import Docket
from autoresearch_mcp.session.exporting import results_log
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Options, Rooms

TOP = Path(__file__).resolve().parent.parent
RESEARCH = "autoresearch/bench"
BATCH = 10_000
"""Trials between two commits and two checkpoints while the ledger is made."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        short, long = make_recipe(Path(name) / "short"), make_recipe(Path(name) / "long")
        began = time.perf_counter()
        fill(short, 1)
        fill(long, options.trials)
        seconds = time.perf_counter() - began
        size = (long / ".git/autoresearch/ledger.sqlite").stat().st_size
        print(f"{options.trials} trials, {size / 1e6:.0f} MB, made in {seconds:.0f} s")
        print(f"{'':<28} {'1 trial':>12} {f'{options.trials} trials':>16} {'more':>12}")
        anyio.run(through_the_server, short, long, options.starts, options.calls)
        of_the_ledger(short, long)


def make_recipe(folder: Path) -> Path:
    """Commit a recipe that needs no data, on the branch of a research run."""
    folder.mkdir()
    (folder / "protocol.json").write_bytes((TOP / "protocol.json").read_bytes())
    (folder / "train.py").write_text('print("val_bpb: 2.000000")\n')
    (folder / "prepare.py").write_text("ROWS = 10\n")
    (folder / "results.tsv").write_bytes((TOP / "results.tsv").read_bytes())
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for arguments in (
        ("init", "-q", "-b", RESEARCH),
        ("add", "-A"),
        (*identity, "commit", "-qm", "recipe"),
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def fill(recipe: Path, trials: int) -> None:
    """Write a ledger of so many trials, with a candidate's ref for each, and checkpoints."""
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=recipe, text=True).strip()
    ledger = Ledger(recipe / ".git/autoresearch/ledger.sqlite")
    ledger.append(research(head))
    for first in track(range(1, trials + 1, BATCH), "making a ledger", transient=True):
        ledger.checkpoint()
        with connected(ledger.path) as db:
            db.execute("BEGIN IMMEDIATE")
            for trial in range(first, min(first + BATCH, trials + 1)):
                for event in story(trial, head):
                    append(db, event)
            db.execute("COMMIT")
    ledger.checkpoint()
    # A tail as long as it can get before the next checkpoint.
    with connected(ledger.path) as db:
        db.execute("BEGIN IMMEDIATE")
        for number in range(990 if trials > 1 else 0):
            append(db, Exported(research=RESEARCH, sha256=f"{number:064x}"))
        db.execute("COMMIT")
    packed = "".join(
        f"{head} refs/autoresearch/trials/{n}\n" for n in sorted(map(str, range(1, trials + 1)))
    )
    (recipe / ".git/packed-refs").write_text(
        "# pack-refs with: peeled fully-peeled sorted \n" + packed
    )


def research(head: str) -> ResearchStarted:
    """Return how the research run began."""
    setting = Setting(profile=None, data=None, device="x", mlx=None, python="3.11", blas="none")
    return ResearchStarted(research=RESEARCH, base=head, protocol="p", harness={}, setting=setting)


def story(trial: int, head: str) -> Iterator[Event]:
    """Yield the events of one trial, as long as a real one's; one in a hundred is kept."""
    value = 2.0 - trial / 1e6
    outcome = Outcome(
        kind=OutcomeKind.MEASURED,
        value=value,
        reason=f"val_bpb {value:.6f} (1 run)",
        secondary={"peak_vram_mb": 1024.0, "num_steps": 1000.0, "mfu_percent": None},
        exit_code=0,
        timing=Timing(total=31.0, startup=0.5, training=30.0, claimed=30.0),
        trust=Trust(missing=("the sandbox could not hide other processes",)),
    )
    kept = trial % 100 == 1
    status = VerdictStatus.KEEP if kept else VerdictStatus.DISCARD
    arm = f"{trial:064x}"
    yield Edited(research=RESEARCH, path="train.py", before="0" * 64, after=arm)
    yield Staged(
        trial=trial,
        research=RESEARCH,
        base=head,
        candidate=head,
        arm=arm,
        baseline=trial == 1,
        hypothesis=f"idea {trial}: a wider layer with a smaller rate learns faster",
        added=3,
        removed=2,
    )
    yield Queued(trial=trial, process=ProcessId(pid=1, started="1", boot="0" * 36))
    yield Running(trial=trial)
    yield RunStarted(
        trial=trial, role=Role.CANDIDATE, arm=arm, seed=1, directory="/run/of/the/bench"
    )
    yield RunFinished(trial=trial, outcome=outcome)
    yield Measured(trial=trial, outcome=outcome)
    reason = f"{value:.6f} against 2.000000: better by 0.000001"
    yield Decided(trial=trial, verdict=Verdict(status=status, reason=reason, gain=1e-6))
    yield Applying(trial=trial, old=head, new=head)
    yield Done(trial=trial)
    yield Exported(research=RESEARCH, sha256=f"e{trial:063x}")


async def through_the_server(short: Path, long: Path, starts: int, calls: int) -> None:
    """Print what a client notices."""
    times = [(await start(short), await start(long)) for _ in range(starts)]
    first, second = (statistics.median(column) for column in zip(*times, strict=True))
    print(row("server start", first, second), flush=True)
    questions: dict[str, dict[str, object]] = {
        "get_metrics p99": {},
        "get_metrics best p99": {"best": True},
        "get_metrics trial_id p99": {"trial_id": 1},
    }
    for name, arguments in questions.items():
        print(row(name, await p99(short, calls, arguments), await p99(long, calls, arguments)))


async def start(recipe: Path) -> float:
    """Return the seconds from a server's start to its first answer."""
    began = time.perf_counter()
    async with Client(server_of(recipe)) as client:
        await client.list_tools()
        return time.perf_counter() - began


async def p99(recipe: Path, calls: int, arguments: dict[str, object]) -> float:
    """Return the 99th percentile of what get_metrics takes, seconds."""
    times: list[float] = []
    async with Client(server_of(recipe)) as client:
        for _ in range(calls + 3):
            began = time.perf_counter()
            result = await client.call_tool("get_metrics", arguments)
            times.append(time.perf_counter() - began)
            if result.is_error:
                raise SystemExit(f"get_metrics: {result.content}")
    # The first calls load what later ones find loaded.
    return statistics.quantiles(times[3:], n=100)[98]


def server_of(recipe: Path) -> StdioServerParameters:
    """Return how a client starts the server."""
    arguments = ["-m", "autoresearch_mcp", "serve", "--repo", str(recipe)]
    return StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))


def of_the_ledger(short: Path, long: Path) -> None:
    """Print what the ledger's own work takes."""
    rooms = [Rooms.open(recipe, Options()) for recipe in (short, long)]
    tasks: tuple[tuple[str, Callable[[Rooms], object]], ...] = (
        ("check before a verdict", lambda r: r.ledger.check()),
        ("a case read and judged", judged),
        ("one event appended", lambda r: r.ledger.append(Exported(research=RESEARCH, sha256="0"))),
        ("results log made", lambda r: results_log(r, recipe_of(r, RESEARCH), RESEARCH)),
        ("ledger verify", lambda r: r.ledger.verify()),
        ("ledger rebuild", lambda r: r.ledger.rebuild()),
    )
    for name, task in tasks:
        print(row(name, *(seconds_of(task, r) for r in rooms)), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory of all that':<28} {peak:>28.0f} MB")


def judged(rooms: Rooms) -> None:
    """Read the last trial's case and judge it."""
    docket = Docket.read(rooms.ledger, rooms.ledger.last_trial())
    judge(docket.case, Rule(direction="minimize"))


def seconds_of(task: Callable[[Rooms], object], rooms: Rooms) -> float:
    """Return the seconds that a task takes."""
    began = time.perf_counter()
    task(rooms)
    return time.perf_counter() - began


def row(name: str, first: float, second: float) -> str:
    """Return one line of the table."""
    return f"{name:<28} {shown(first):>12} {shown(second):>16} {shown(second - first):>12}"


def shown(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    return f"{seconds:.2f} s" if abs(seconds) >= 1 else f"{1000 * seconds:.1f} ms"


if __name__ == "__main__":
    main()
