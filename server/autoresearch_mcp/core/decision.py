"""The verdict: a pure function of the runs that the ledger holds.

No clock, no random number, no memory: the same runs in the same order give the same
judgement, so that replaying a ledger gives the same verdicts. One preset so far:

    single    one run each; the candidate is kept if its value is better than the
              incumbent's by more than the protocol's smallest gain
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Preset = Literal["single"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How much evidence a keep takes.

    Args:
        preset: The name of the rule.
        direction: Whether the metric is better when smaller or when larger.
        min_gain_bips: Smallest gain that may count, in 1/10,000 of the incumbent's value
            (the protocol's minScoreImprovementBips).
    """

    direction: Literal["minimize", "maximize"]
    preset: Preset = "single"
    min_gain_bips: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """One ended run that counts.

    Args:
        trial: The trial that made the run.
        arm: Fingerprint of what was run.
        value: The metric, or None when the run gave none by its own fault.
    """

    trial: int
    arm: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the court is asked to judge.

    Args:
        trial: The trial in question.
        candidate: Its arm.
        incumbent: The incumbent's arm; None while the baseline is being measured.
        observations: All ended runs of the research run, in ledger order.
        net_lines: Lines the candidate adds to the incumbent, less those it removes.
    """

    trial: int
    candidate: str
    incumbent: str | None
    observations: tuple[Observation, ...]
    net_lines: int = 0


class Action(StrEnum):
    """What the court orders."""

    KEEP = "keep"
    DISCARD = "discard"
    INCONCLUSIVE = "inconclusive"
    RUN_CANDIDATE = "run_candidate"
    RUN_INCUMBENT = "run_incumbent"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The court's order, its reason in plain words, and the gain where there is one."""

    action: Action
    reason: str
    gain: float | None = None


def judge(case: Case, rule: Rule) -> Judgement:
    """Decide what follows from the runs so far: another run, or the verdict.

    A candidate that gave no value is discarded. A tie is discarded: an equal result does
    not pay for a change.

    Example:
        >>> rule = Rule(direction="minimize")
        >>> runs = (Observation(1, "old", 2.10), Observation(2, "new", 2.05))
        >>> case = Case(trial=2, candidate="new", incumbent="old", observations=runs)
        >>> judge(case, rule).reason
        '2.050000 against 2.100000: better by 0.050000'
    """
    if any(o.trial == case.trial and o.value is None for o in case.observations):
        return Judgement(Action.DISCARD, "the candidate gave no value")
    candidate = _values(case.observations, case.candidate)
    if not candidate:
        return Judgement(Action.RUN_CANDIDATE, "the candidate has no run yet")
    if case.incumbent is None:
        return Judgement(Action.KEEP, f"baseline: {_mean(candidate):.6f}")
    incumbent = _values(case.observations, case.incumbent)
    if not incumbent:
        return Judgement(Action.RUN_INCUMBENT, "the incumbent has no run in this setting yet")
    return _PRESETS[rule.preset](candidate, incumbent, rule)


def _single(candidate: Sequence[float], incumbent: Sequence[float], rule: Rule) -> Judgement:
    """Compare the means, whatever the noise: the rule of the original autoresearch loop."""
    value, bar = _mean(candidate), _mean(incumbent)
    gain = bar - value if rule.direction == "minimize" else value - bar
    against = f"{value:.6f} against {bar:.6f}"
    needed = rule.min_gain_bips / 10_000 * abs(bar)
    if gain > 0 and gain >= needed:
        return Judgement(Action.KEEP, f"{against}: better by {gain:.6f}", gain)
    if gain > 0:
        reason = f"{against}: better by {gain:.6f}, but the protocol asks for {needed:.6f}"
        return Judgement(Action.DISCARD, reason, gain)
    return Judgement(
        Action.DISCARD, f"{against}: worse by {-gain:.6f}" if gain else f"{against}: a tie", gain
    )


_PRESETS: dict[Preset, Callable[[Sequence[float], Sequence[float], Rule], Judgement]] = {
    "single": _single
}


def _values(observations: Sequence[Observation], arm: str) -> list[float]:
    return [o.value for o in observations if o.arm == arm and o.value is not None]


def _mean(values: Sequence[float]) -> float:
    # In ledger order and by plain summation: a replay must give the same bits.
    return sum(values) / len(values)
