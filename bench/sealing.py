"""Measure what the server's own evaluation and the audit cost beside the evaluation in place.

    python bench/sealing.py [--profile cpu] [--pairs 3] [--data FOLDER]

Each pair evaluates the same untrained model twice, in turns, with the same data and BLAS: in place,
as `python train.py` does, and handed over from a run in its sandbox; then it audits what was
claimed. Nothing is trained: an evaluation takes as long with any weights. The last lines say what
that is of a whole trial. An audit's probes are whole rows: 128 of the 128 that `cpu` has, 128 of
the 768 that `full` has, so there it takes a sixth of the evaluation's time and a process's start.
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
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from autoresearch_mcp.core.audit import BASELINE_TOLERANCE, PROBES
from autoresearch_mcp.core.evaluation import bits_per_byte
from autoresearch_mcp.core.events import Queued, RunFinished, Running, RunStarted, Staged
from autoresearch_mcp.core.trial import Role
from autoresearch_mcp.effects import prepared, processes
from autoresearch_mcp.effects.prepared import CACHE_VARIABLE, PreparedData
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.session.auditing import Auditor
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.proving import Subject, proving
from autoresearch_mcp.session.recipe import recipe_at
from autoresearch_mcp.session.rooms import Options, Rooms
from autoresearch_mcp.session.running import Performance, RunOrder
from autoresearch_mcp.session.sealing import rehearse, scored
from autoresearch_mcp.session.warming import warm_up

TOP = Path(__file__).resolve().parent.parent
RECIPE = ("protocol.json", "prepare.py", "train.py", "results.tsv")

LOADER = 'loader = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train")\n'
UNTRAINED = """\
import numpy as np
next(make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train"))
shapes = by_path(model.parameters())
model.load_weights([
    (path, mx.array(0.4 * np.sin(np.arange(p.size) * (1 + n))).reshape(p.shape).astype(DTYPE))
    for n, (path, p) in enumerate(shapes.items())
])
mx.eval(model.parameters())
before = time.perf_counter()
val_bpb = evaluate_bpb(model, tokenizer, rows)
print(f"evaluation: {time.perf_counter() - before}")
print(f"exactly: {val_bpb!r}")
print(f"val_bpb: {val_bpb:.6f}")
raise SystemExit
"""
"""The weights of a formula: the two ways are to give the same number."""

BESIDE = 1.0
"""Seconds of a trial beside budget and evaluation: start and end; compilation would come on top."""


PARTS = ("start and load the prover", "a row that means nothing", "all rows", "the server's sum")


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds that a run waits for its number, and the parts of the second way."""

    in_place: float
    handed_over: float
    parts: tuple[float, ...]
    audit: float
    """Seconds of an audit of the run's claims."""
    difference: float
    """Between the numbers of the two ways, in bits per byte."""


class Side:
    """The recipe in a repository of its own, and the two ways to evaluate its model."""

    def __init__(self, folder: Path, data: PreparedData) -> None:
        self.folder, self.data, self.count = folder, data, 0
        self.rooms = Rooms.open(untrained(folder / "recipe"), Options(python=Path(sys.executable)))
        self.commit = self.rooms.repository.head().commit
        self.guard = Guard(Bench(self.rooms, recipe_at(self.rooms.repository, self.commit)))
        if not self.guard.seals:
            raise SystemExit("no sandbox works here: autoresearch-mcp doctor says why")
        # As a server does before its first trial: on CUDA kernels are compiled here and not below.
        warm_up(self.rooms, self.guard, lambda: False)

    def pair(self) -> Pair:
        """Evaluate once in place and once handed over."""
        alone, held = self.in_place(), self.handed_over()
        waits = said(alone, "evaluation"), said(held, "evaluation")
        difference = abs(said(held, "exactly") - said(alone, "exactly"))
        return Pair(*waits, self.parts(), self.audit(), difference)

    def in_place(self) -> str:
        """Evaluate without a server; return what the run printed."""
        bench, settings = self.guard.bench, self.folder / "run.json"
        settings.write_text(json.dumps({**bench.settings(1, 0, None), "handover_fd": None}))
        environment = {**os.environ, **bench.variables(settings, 1)}
        root = self.rooms.repository.root
        command = [sys.executable, "train.py"]
        return subprocess.check_output(command, cwd=root, env=environment, text=True)

    def handed_over(self) -> str:
        """Have the server evaluate for a run in its sandbox; return what the run printed."""
        self.count += 1
        directory = RunDirectory.choose()
        self.record(directory)
        directory.make()
        order = RunOrder(trial=self.count, number=1, commit=self.commit, seed=1, baselines=())
        try:
            outcome = Performance(self.rooms, self.guard, order, directory).perform(lambda: False)
        finally:
            directory.remove()
        log = self.rooms.files.run_log(self.count, 1).read_text()
        if outcome is None or outcome.evaluation is None:
            raise SystemExit(f"nothing was evaluated: {outcome}\n{log}")
        self.rooms.ledger.append(RunFinished(trial=self.count, outcome=outcome))
        return log

    def record(self, directory: RunDirectory) -> None:
        """Tell the ledger what a trial's process tells it before a run."""
        trial = self.count
        staged = Staged(
            trial=trial,
            research="bench",
            base=self.commit,
            candidate=self.commit,
            arm="bench",
            baseline=True,
            hypothesis="",
            added=0,
            removed=0,
        )
        place, role = str(directory.path), Role.CANDIDATE
        for event in (
            staged,
            Queued(trial=trial, process=processes.identify()),
            Running(trial=trial),
            RunStarted(trial=trial, role=role, arm="bench", seed=1, directory=place),
        ):
            self.rooms.ledger.append(event)

    def audit(self) -> float:
        """Return the seconds that an audit of the last run's claims takes."""
        trial, directory, before = self.rooms.ledger.get(self.count), RunDirectory.choose(), now()
        directory.make()
        try:
            auditor = Auditor(self.rooms, self.guard, directory, lambda: False)
            (run,) = trial.runs
            found = auditor.finding(trial, run, PROBES, BASELINE_TOLERANCE).finding
        finally:
            directory.remove()
        if not found.passed:
            raise SystemExit(found.reason)
        return now() - before

    def parts(self) -> tuple[float, ...]:
        """Question another prover for the model that the last run left; time each part."""
        rows = prepared.evaluation_data(self.data)
        assert rows is not None
        subject = Subject(trial=self.count, number=1, commit=self.commit, seed=1)
        directory, times = RunDirectory.choose(), [time.perf_counter()]
        directory.make()
        try:
            with proving(self.rooms, self.guard, subject, directory, lambda: None) as prover:
                times.append(time.perf_counter())
                rehearse(prover, rows)
                times.append(time.perf_counter())
                losses = scored(prover, rows, self.data.manifest.profile.eval_micro_batch)
                times.append(time.perf_counter())
                bits_per_byte(losses, rows)
                times.append(time.perf_counter())
        finally:
            directory.remove()
        return tuple(after - before for before, after in pairwise(times))


def now() -> float:
    """Return the monotonic clock, in seconds."""
    return time.perf_counter()


def untrained(folder: Path) -> Path:
    """Copy the recipe into a repository of its own, evaluating before its first step."""
    folder.mkdir()
    for name in RECIPE:
        shutil.copy(TOP / name, folder)
    train = (folder / "train.py").read_text()
    (folder / "train.py").write_text(train.replace(LOADER, UNTRAINED + LOADER))
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "recipe")):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folder


def said(log: str, what: str) -> float:
    """Return a number that a run has printed: seconds of its evaluation, or what came of it."""
    (line,) = (line for line in log.splitlines() if line.startswith(f"{what}: "))
    return float(line.split()[1])


def prepared_data(profile: str, folder: Path | None) -> PreparedData:
    """Return the data to evaluate on, and make the server find it."""
    if folder is None:
        command = [sys.executable, str(TOP / "prepare.py"), "--profile", profile, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        folder = Path(json.loads(done.stdout)["folder"])
    os.environ[CACHE_VARIABLE] = str(folder.parent)
    return prepared.load(folder)


def show(pairs: list[Pair], budget: float) -> None:
    """Print the medians of the pairs and what they make of a whole trial."""
    in_place = statistics.median(pair.in_place for pair in pairs)
    handed_over = statistics.median(pair.handed_over for pair in pairs)
    parts = [statistics.median(column) for column in zip(*(p.parts for p in pairs), strict=True)]
    rest = handed_over - sum(parts)
    print(f"{'':32} {'seconds':>9} {'of in place':>12}")
    named = zip(PARTS, parts, strict=True)
    lines = (
        ("evaluation in place", in_place),
        ("evaluation handed over", handed_over),
        *((f"  {name}", seconds) for name, seconds in named),
        ("  the rest: hand-over, folders", rest),
    )
    for name, seconds in lines:
        print(f"{name:32} {seconds:9.2f} {100 * seconds / in_place:11.1f} %")
    audit = statistics.median(pair.audit for pair in pairs)
    print(f"{f'audit, {PROBES} probes':32} {audit:9.2f} {100 * audit / in_place:11.1f} %")
    more, trial = handed_over - in_place, BESIDE + budget + in_place
    print(f"\nmore than in place: {more:+.2f} s, {100 * more / trial:+.2f} % of a trial")
    kept = more + audit
    print(f"with an audit:      {kept:+.2f} s, {100 * kept / trial:+.2f} % of a trial that is kept")
    worst = max(pair.difference for pair in pairs)
    print(f"the two numbers differ by {worst:.1e} bits per byte at most")
    print(f"(a trial: {budget:g} s of training, {in_place:.1f} s in place, {BESIDE:g} s beside)")


def main() -> None:
    """Run the pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="cpu", choices=("tiny", "cpu", "full"))
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="prepared data of that profile")
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    data = prepared_data(options.profile, options.data)
    with tempfile.TemporaryDirectory() as name:
        side, pairs = Side(Path(name), data), list[Pair]()
        for number in range(1, options.pairs + 1):
            pairs.append(side.pair())
            print(f"pair {number} of {options.pairs}: {pairs[-1]}", file=sys.stderr, flush=True)
    show(pairs, data.manifest.profile.time_budget)


if __name__ == "__main__":
    main()
