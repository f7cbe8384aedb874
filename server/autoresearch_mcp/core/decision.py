"""The rule that keeps or drops an edit: a pure function of the runs that the ledger holds.

After every run of candidate or incumbent: how much better do the results fit "the edit is at
least one noise unit better" than "it is no better"? At 20:1 the edit is kept, below 1.35:1 it is
dropped, else whichever of the two has fewer runs is run once more. The noise unit is the standard
deviation between runs of the same code, measured in the session itself.

    strict     the rule above (RACE-20)
    explore    2:1 keeps, below 0.8:1 drops, and what is kept counts less than it showed (RACE-2)
    single     one run each, the better value wins: the original autoresearch loop

The protocol may ask for more: a least number of runs (measuredTrials), a least gain
(minScoreImprovementBips), and that no code is kept whose runs spread wide (maxRelativeStdDev). Its
`aggregator` has no say: it sums up what is shown, and the rule is made for means.

No clock, no random number, no memory: the same runs in the same order give the same judgement.
bench/decision.py shows what the rule is worth.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autoresearch_mcp.core.case import Action, Case, Judgement, Preset, Rule
from autoresearch_mcp.core.noise import Noise, normal_of_t, pooled, relative_spread
from autoresearch_mcp.core.reasons import explain

BASELINE_RUNS = 3
_DELTA, _CHASE, _CAP = 1.0, 0.4, 3.0  # noise units, share of the gains so far, noise units
_FLOOR, _LINE = 1e-4, 5e-5  # of the incumbent's value: least noise, price of an added line
_LARGEST = math.log(1e6)


@dataclass(frozen=True, slots=True)
class _Bar:
    """Keep from `keep`:1 on, drop below `drop`:1, decide within `most` runs of the candidate."""

    keep: float
    drop: float
    most: int


_BARS: Mapping[Preset, _Bar] = {"strict": _Bar(20.0, 1.35, 12), "explore": _Bar(2.0, 0.8, 12)}
_SIMPLER_BAR = _Bar(3.0, 0.7, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arms:
    """The runs of candidate and incumbent, and the noise of all."""

    mine: Sequence[float]
    theirs: Sequence[float]
    noise: Noise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """The runs on the scales: see `_weigh`."""

    gain: float
    s: float
    weight: float
    bar: _Bar
    simpler: bool
    pull: float


def judge(case: Case, rule: Rule) -> Judgement:
    """Decide what follows from the runs so far: another run, or the verdict.

    An arm of which a run gave no value is discarded. A tie is no gain. What would be kept is judged
    once more by the candidate's proved runs alone.

    Example:
        >>> from autoresearch_mcp.core.case import Observation
        >>> rule = Rule(direction="minimize", preset="single")
        >>> runs = (Observation("old", 2.10), Observation("new", 2.05))
        >>> judge(Case(candidate="new", incumbent="old", observations=runs), rule).reason
        '2.050000 against 2.100000: better by 0.050000'
    """
    judgement = _judge(case, rule)
    proved = tuple(o for o in case.observations if o.proved or o.arm != case.candidate)
    if judgement.action is Action.KEEP and proved != case.observations:
        return _judge(replace(case, observations=proved), rule)
    return judgement


def _judge(case: Case, rule: Rule) -> Judgement:
    arms = _arms(case)
    if any(o.arm == case.candidate and not _is_number(o.value) for o in case.observations):
        judgement = Judgement(action=Action.DISCARD)
    elif action := _too_few(case, rule, arms):
        judgement = Judgement(action=Action.INCONCLUSIVE if case.out_of_budget else action)
    elif case.incumbent is None:
        judgement = Judgement(action=Action.KEEP)
    elif rule.preset == "single":
        judgement = _single(arms, rule)
    else:
        judgement = _race(case, rule, arms)
    judgement = replace(
        judgement,
        value=_mean(arms.mine) if arms.mine else None,
        incumbent_value=_mean(arms.theirs) if arms.theirs else None,
        runs=len(arms.mine),
        incumbent_runs=len(arms.theirs),
        most_runs=judgement.most_runs or _most_runs(case, rule),
    )
    judgement = _held_back(judgement, case, rule, arms.mine)
    return replace(judgement, reason=explain(judgement, case, rule))


def _held_back(judgement: Judgement, case: Case, rule: Rule, mine: Sequence[float]) -> Judgement:
    """Keep nothing whose runs spread too wide: run it again while it may be, then leave it open.

    The baseline is kept all the same: it is what others are compared with.
    """
    spread = relative_spread(mine) or 0.0
    if (
        judgement.action is not Action.KEEP
        or rule.most_spread is None
        or spread <= rule.most_spread
    ):
        return judgement
    action = Action.KEEP
    if case.incumbent is not None:
        may_run = judgement.runs < judgement.most_runs and not case.out_of_budget
        action = Action.RUN_CANDIDATE if may_run else Action.INCONCLUSIVE
    return replace(judgement, action=action, spread=spread)


def noise_of(case: Case) -> Noise:
    """Return all that is known of the noise."""
    return _arms(case).noise


def _race(case: Case, rule: Rule, arms: _Arms) -> Judgement:
    """Keep, drop, or run whichever of candidate and incumbent has fewer runs."""
    seen = _weigh(case, rule, arms)
    most = max(seen.bar.most, rule.least_runs)
    if seen.weight >= math.log(seen.bar.keep):
        pays = seen.simpler or seen.gain >= _least_gain(arms, rule)
        action = Action.KEEP if pays else Action.DISCARD
    elif seen.weight < math.log(seen.bar.drop):
        action = Action.DISCARD
    elif len(arms.mine) >= most or case.out_of_budget:
        action = Action.INCONCLUSIVE
    elif len(arms.theirs) < len(arms.mine):
        action = Action.RUN_INCUMBENT
    else:
        action = Action.RUN_CANDIDATE
    return Judgement(
        action=action,
        gain=seen.gain,
        odds=math.exp(max(-_LARGEST, min(_LARGEST, seen.weight))),
        noise=seen.s,
        noise_df=arms.noise.df,
        most_runs=most,
        simpler=seen.simpler,
        pull=seen.pull,
    )


def _weigh(case: Case, rule: Rule, arms: _Arms) -> _Evidence:
    """Weigh "better by d noise units" against "no better" by their likelihood ratio.

    For a normal mean, d against 0 after n runs, its logarithm is n (d x - d^2 / 2): A. Wald,
    Sequential tests of statistical hypotheses, Annals of Mathematical Statistics 16 (1945),
    117-186. Here n is the harmonic sum of both sides' runs, and Wallace's transformation
    (core/noise.py) pays for the noise being an estimate. `pull` is by how much the best looking
    of many is overstated: W. James and C. Stein, Estimation with quadratic loss, Proceedings of
    the Fourth Berkeley Symposium 1 (1961), 361-379.
    """
    size = abs(_mean(arms.theirs))
    s = max(arms.noise.sd, _FLOOR * size) or _FLOOR
    n = 1 / (1 / len(arms.theirs) + 1 / len(arms.mine))
    gain = _gain(arms, rule) + _pulled_back(case, len(arms.theirs))
    debt = max(0.0, -gain) + sum(max(0.0, -kept.gain) for kept in case.kept if kept.simpler)
    simpler = case.simplification and case.net_lines < 0 and debt <= s
    if simpler:  # "no worse" against "worse by one noise unit", with no pay for the lines
        weight = n * (gain / s + 0.5)
        return _Evidence(gain=gain, s=s, weight=weight, bar=_SIMPLER_BAR, simpler=True, pull=0.0)
    better = [kept.gain for kept in case.kept if not kept.simpler]
    d = min(_CAP, max(_DELTA, _CHASE * _mean(better) / s)) if better else _DELTA
    net = gain - _LINE * size * max(0, case.net_lines)
    z = net / s * math.sqrt(n)
    x = (normal_of_t(z, arms.noise.df) if z > 0 else z) / math.sqrt(n)
    weight, bar = n * (d * x - d * d / 2), _BARS[rule.preset]
    pulls_back = rule.preset == "explore" and weight >= math.log(bar.keep)
    pull = gain / (n * x * x) if pulls_back else 0.0
    return _Evidence(gain=gain, s=s, weight=weight, bar=bar, simpler=False, pull=pull)


def _most_runs(case: Case, rule: Rule) -> int:
    """Return how many runs a candidate may have; a baseline has exactly as many."""
    racing = rule.preset != "single"
    if case.incumbent is None:
        return max(rule.least_runs, BASELINE_RUNS if racing else 1)
    return max(rule.least_runs, _BARS[rule.preset].most if racing else 1)


def _too_few(case: Case, rule: Rule, arms: _Arms) -> Action | None:
    """Return whom to run before anything can be said; None when enough has been run."""
    mine, theirs = len(arms.mine), len(arms.theirs)
    racing = rule.preset != "single"
    if case.incumbent is None:
        return Action.RUN_CANDIDATE if mine < _most_runs(case, rule) else None
    if min(mine, theirs) < rule.least_runs:
        return Action.RUN_INCUMBENT if theirs < mine else Action.RUN_CANDIDATE
    # A ledger begun under another preset may hold one run of each.
    return Action.RUN_INCUMBENT if racing and arms.noise.df < BASELINE_RUNS - 1 else None


def _single(arms: _Arms, rule: Rule) -> Judgement:
    """Compare the means, whatever the noise: the rule of the original autoresearch loop."""
    gain = _gain(arms, rule)
    keeps = gain > 0 and gain >= _least_gain(arms, rule)
    return Judgement(action=Action.KEEP if keeps else Action.DISCARD, gain=gain)


def _pulled_back(case: Case, incumbent_runs: int) -> float:
    """Return how much worse the incumbent probably is than its runs up to its keep showed."""
    last = case.kept[-1] if case.kept else None
    return last.pull * min(1.0, last.runs / incumbent_runs) if last else 0.0


def _least_gain(arms: _Arms, rule: Rule) -> float:
    return rule.min_gain_bips / 10_000 * abs(_mean(arms.theirs))


def _gain(arms: _Arms, rule: Rule) -> float:
    difference = _mean(arms.theirs) - _mean(arms.mine)
    return difference if rule.direction == "minimize" else -difference


def _arms(case: Case) -> _Arms:
    runs: dict[str, list[float]] = {}
    for observation in case.observations:
        if observation.value is not None and math.isfinite(observation.value):
            runs.setdefault(observation.arm, []).append(observation.value)
    noise = case.saved.plus(pooled(runs.values()))
    mine, theirs = runs.get(case.candidate, []), runs.get(case.incumbent or "", [])
    return _Arms(mine=mine, theirs=theirs, noise=noise)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _mean(values: Sequence[float]) -> float:
    # In ledger order and by plain summation: a replay must give the same bits.
    return sum(values) / len(values)
