"""Simulate research sessions: how much true gain each rule keeps, and how much that is none.

    python bench/decision.py [--sessions 2000] [--rules single strict] [--jobs 2]

A session is 100 runs. Proposals never end: 70 % are worse (4 of 5 by an exponential of mean 3, the
others of mean 12), 20 % change nothing, 10 % are better by an exponential of mean 1, all on top of
the incumbent. A run adds normal noise; sigma is its standard deviation, which no rule is told. The
n-th proposal and the n-th run's noise are the same for every rule.

    single       one run each, the better value wins: the shipped preset
    strict       RACE-20, the shipped default
    explore      RACE-2, the shipped preset
    bootstrap    one run; a better value gets two more, kept if 95 % of resampled means are better
    t-test       three runs each, kept if Welch's one-sided t has p < 0.05 (t_of_normal)

Columns: gain truly kept; share of keeps whose true gain is not positive; baseline less incumbent as
the session would report it, less the truth; and, of five certificates from 3 fresh pairs each, the
bias in sigma and how often the 90 % interval holds the truth. Behind +- is the standard error.
"""

import argparse
import math
import os
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from multiprocessing import Pool
from statistics import fmean

from autoresearch_mcp.core.case import Action, Case, Judgement, Kept, Observation, Preset, Rule
from autoresearch_mcp.core.certificate import Interval, Pair, certificate
from autoresearch_mcp.core.decision import BASELINE_RUNS, judge
from autoresearch_mcp.core.noise import Noise, pooled, t_of_normal

SIGMAS = (0.1, 0.3, 1.0, 1.7, 3.0)
RUNS = 100
PAIRS, CERTIFICATES = 3, 5
_Z95 = 1.6448536


@dataclass
class World:
    """One session's luck, and the runs made so far."""

    sigma: float
    seed: int
    runs: list[Observation] = field(default_factory=list[Observation])
    truth: dict[str, float] = field(default_factory=lambda: {"baseline": 0.0})

    def __post_init__(self) -> None:
        self._effects = random.Random(f"effects {self.seed}")
        self._noise = random.Random(f"noise {self.seed}")

    @property
    def over(self) -> bool:
        """Tell whether all runs are used up."""
        return len(self.runs) >= RUNS

    def propose(self, incumbent: str) -> str:
        """Draw the next edit of the incumbent and return its arm."""
        luck, kind = self._effects.random(), self._effects.random()
        size = self._effects.expovariate(1.0)
        effect = -size * (3.0 if kind < 0.8 else 12.0) if luck < 0.7 else 0.0
        if luck >= 0.9:
            effect = size
        arm = str(len(self.truth))
        self.truth[arm] = self.truth[incumbent] + effect
        return arm

    def fresh(self, arm: str) -> float:
        """Return the metric of one run, smaller is better, without recording it."""
        return self._noise.gauss(-self.truth[arm], self.sigma)

    def run(self, arm: str) -> float:
        """Make and record one run, and return its metric."""
        value = self.fresh(arm)
        self.runs.append(Observation(arm, value))
        return value

    def values(self, arm: str) -> list[float]:
        """Return the metrics of an arm's runs so far."""
        return [o.value for o in self.runs if o.arm == arm and o.value is not None]


@dataclass(frozen=True)
class Session:
    """What one session came to."""

    gain: float
    keeps: int
    false: int
    flattery: float
    bias: float
    covered: float


Played = tuple[list[str], float]
"""The arms that were kept, and the gain over the baseline that the session would report."""

Policy = Callable[[World], Played]


def shipped(preset: Preset, world: World) -> Played:
    """Let the shipped rule decide."""
    rule = Rule(direction="minimize", preset=preset)
    incumbent, kept, arms = "baseline", list[Kept](), list[str]()
    first = Case(candidate=incumbent, incumbent=None, observations=())
    while judge(replace(first, observations=tuple(world.runs)), rule).action is not Action.KEEP:
        world.run(incumbent)
    while not world.over:
        case = Case(
            candidate=world.propose(incumbent),
            incumbent=incumbent,
            observations=(),
            kept=tuple(kept),
        )
        judged = race(world, case, rule)
        if judged.action is Action.KEEP:
            assert judged.gain is not None
            kept.append(Kept(gain=judged.gain, pull=judged.pull, runs=judged.runs))
            incumbent = case.candidate
            arms.append(incumbent)
    mine = world.values(incumbent)
    pull = kept[-1].pull * min(1.0, kept[-1].runs / len(mine)) if kept else 0.0
    return arms, fmean(world.values("baseline")) - fmean(mine) - pull


def race(world: World, case: Case, rule: Rule) -> Judgement:
    """Make the runs that the rule asks for, until it has enough or the session is over."""
    runs = {Action.RUN_CANDIDATE: case.candidate, Action.RUN_INCUMBENT: case.incumbent or ""}
    while True:
        seen = replace(case, observations=tuple(world.runs), out_of_budget=world.over)
        judged = judge(seen, rule)
        if judged.action not in runs:
            return judged
        world.run(runs[judged.action])


def fixed(
    better: Callable[[Sequence[float], Sequence[float]], bool], world: World, *, screened: bool
) -> Played:
    """Compare three runs with the incumbent's three; where screened, only after a better one."""
    incumbent, arms = "baseline", list[str]()
    for _ in range(3):
        world.run(incumbent)
    while not world.over:
        candidate = world.propose(incumbent)
        if screened and world.run(candidate) >= fmean(world.values(incumbent)):
            continue
        while len(world.values(candidate)) < 3 and not world.over:
            world.run(candidate)
        mine = world.values(candidate)
        if len(mine) == 3 and better(mine, world.values(incumbent)):
            incumbent = candidate
            arms.append(candidate)
    return arms, fmean(world.values("baseline")) - fmean(world.values(incumbent))


def by_bootstrap(mine: Sequence[float], theirs: Sequence[float]) -> bool:
    """Tell whether 95 % of all resampled means, each drawn once, are better."""
    means = [[fmean(drawn) for drawn in product(side, repeat=3)] for side in (mine, theirs)]
    better = sum(m < t for m, t in product(*means))
    return better >= 0.95 * len(means[0]) * len(means[1])


def by_t_test(mine: Sequence[float], theirs: Sequence[float]) -> bool:
    """Tell whether Student's one-sided test of two samples rejects at 5 %."""
    noise = pooled([mine, theirs])
    gain = fmean(theirs) - fmean(mine)
    return gain > t_of_normal(_Z95, noise.df) * noise.sd * math.sqrt(2 / 3)


POLICIES: Mapping[str, Policy] = {
    "single": partial(shipped, "single"),
    "bootstrap": partial(fixed, by_bootstrap, screened=True),
    "t-test": partial(fixed, by_t_test, screened=False),
    "strict": partial(shipped, "strict"),
    "explore": partial(shipped, "explore"),
}


def session(policy: str, sigma: float, seed: int) -> Session:
    """Play one session to its end, certificate included."""
    world = World(sigma, seed)
    arms, reported = POLICIES[policy](world)
    last, before, false = "baseline", "baseline", 0
    for last in arms:
        false += world.truth[last] <= world.truth[before]
        before = last
    gain = world.truth[last]
    first = pooled([world.values("baseline")[:BASELINE_RUNS]])
    found = [certified(world, last, first) for _ in range(CERTIFICATES)]
    return Session(
        gain=gain,
        keeps=len(arms),
        false=false,
        flattery=reported - gain,
        bias=fmean(c.gain - gain for c in found) / sigma,
        covered=fmean(abs(c.gain - gain) <= (c.margin or 0.0) for c in found),
    )


def certified(world: World, incumbent: str, first: Noise) -> Interval:
    """Certify an incumbent by fresh pairs."""
    pairs = [Pair(world.fresh("baseline"), world.fresh(incumbent)) for _ in range(PAIRS)]
    return certificate(pairs, first)


@dataclass(frozen=True)
class Row:
    """The figures of many sessions, each with its standard error."""

    gain: tuple[float, float]
    false: tuple[float, float]
    flattery: tuple[float, float]
    bias: tuple[float, float]
    covered: tuple[float, float]


def row(sessions: Sequence[Session]) -> Row:
    """Sum up sessions."""
    keeps = max(1, sum(s.keeps for s in sessions))
    share = sum(s.false for s in sessions) / keeps
    # Keeps of one session are not independent: the error of a ratio of two session sums.
    residuals = [s.false - share * s.keeps for s in sessions]
    error = math.sqrt(sum(r * r for r in residuals)) / keeps
    return Row(
        gain=_with_error([s.gain for s in sessions]),
        false=(share, error),
        flattery=_with_error([s.flattery for s in sessions]),
        bias=_with_error([s.bias for s in sessions]),
        covered=_with_error([s.covered for s in sessions]),
    )


def _with_error(values: Sequence[float]) -> tuple[float, float]:
    return fmean(values), statistics.stdev(values) / math.sqrt(len(values))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=2000, help="per cell (default: 2000)")
    parser.add_argument("--rules", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    heads = (
        "true gain kept",
        "false keeps %",
        "reported - true",
        "cert. bias / sigma",
        "covered %",
    )
    print(f"{options.sessions} sessions of {RUNS} runs a cell; +- is one standard error")
    print(f"{'rule':<10}{'sigma':>6}" + "".join(f"{head:>20}" for head in heads))
    with Pool(options.jobs) as pool:
        for policy, sigma in product(options.rules, SIGMAS):
            play = partial(session, policy, sigma)
            found = row(pool.map(play, range(options.sessions), chunksize=20))
            print(f"{policy:<10}{sigma:>6}" + "".join(_cells(found)), flush=True)


def _cells(found: Row) -> Iterator[str]:
    for (value, error), (scale, digits) in zip(
        (found.gain, found.false, found.flattery, found.bias, found.covered),
        ((1, 2), (100, 1), (1, 2), (1, 3), (100, 1)),
        strict=True,
    ):
        yield f"{f'{scale * value:.{digits}f} +- {scale * error:.{digits}f}':>20}"


if __name__ == "__main__":
    main()
