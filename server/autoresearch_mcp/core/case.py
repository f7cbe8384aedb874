"""What the court is asked, and what it answers. The rule itself is core/decision.py."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from autoresearch_mcp.core.noise import NO_NOISE, Noise

Preset = Literal["strict", "explore", "single"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How much evidence a keep takes.

    Args:
        direction: Whether the metric is better when smaller or when larger.
        preset: The name of the rule.
        min_gain_bips: Smallest gain that may count, in 1/10,000 of the incumbent's value
            (the protocol's minScoreImprovementBips).
        least_runs: Runs that candidate and incumbent have at least (the protocol's
            measuredTrials).
        most_spread: Relative standard deviation of a candidate's runs above which it is not kept
            (the protocol's maxRelativeStdDev).
        warm_ups: Runs of each code that are made first and have no say (the protocol's
            warmupTrials): none of them is among the observations.
        most_seconds: How long the research run may go on (the protocol's maxSessionWallSeconds):
            no run begins later.
    """

    direction: Literal["minimize", "maximize"]
    preset: Preset = "strict"
    min_gain_bips: int = 0
    least_runs: int = 1
    most_spread: float | None = None
    warm_ups: int = 0
    most_seconds: float | None = None


class Observation(NamedTuple):
    """One ended run that counts."""

    arm: str
    """Fingerprint of what was run."""
    value: float | None
    """The metric, or None when the run gave none by its own fault."""
    proved: bool = True
    """False where its claims were never audited, and cannot be any more: it may speak against its
    code, and never carries a keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an earlier keep showed.

    Args:
        gain: Its gain when it was kept, metric units.
        simpler: Whether it was kept for being simpler.
        pull: By how much the gain was probably overstated (explore).
        runs: Runs that it had then.
    """

    gain: float
    simpler: bool = False
    pull: float = 0.0
    runs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the court is asked to judge.

    Args:
        candidate: The arm in question.
        incumbent: The incumbent's arm; None while the baseline is being measured.
        observations: All ended runs of the research run, in ledger order.
        net_lines: Lines the candidate adds to the incumbent, less those it removes.
        simplification: Whether it is put forward for being simpler, not better.
        kept: What was kept on evidence so far, oldest first.
        saved: The noise that earlier sessions on this machine left.
        out_of_budget: Whether no further run may be made.
    """

    candidate: str
    incumbent: str | None
    observations: tuple[Observation, ...]
    net_lines: int = 0
    simplification: bool = False
    kept: tuple[Kept, ...] = ()
    saved: Noise = NO_NOISE
    out_of_budget: bool = False


class Action(StrEnum):
    """What the court orders."""

    KEEP = "keep"
    DISCARD = "discard"
    INCONCLUSIVE = "inconclusive"
    RUN_CANDIDATE = "run_candidate"
    RUN_INCUMBENT = "run_incumbent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The court's order, its reason in plain words, and the figures it rests on.

    Args:
        action: What follows.
        reason: Why.
        value: Mean of the candidate's runs.
        incumbent_value: Mean of the incumbent's runs.
        gain: Improvement over the incumbent in metric units; positive is better.
        odds: Evidence for the edit, as odds:1; below 1 it speaks against. Kept within a
            million either way.
        noise: Standard deviation between runs of the same code, metric units.
        noise_df: Degrees of freedom of that.
        runs: Runs of the candidate that count.
        incumbent_runs: Runs of the incumbent that count.
        most_runs: Runs of the candidate that there may be.
        simpler: Whether it was judged as a simplification.
        pull: By how much the gain is probably overstated (explore).
        spread: Relative standard deviation of the candidate's runs, where it is more than the
            protocol allows of what would be kept; None otherwise.
    """

    action: Action
    reason: str = ""
    value: float | None = None
    incumbent_value: float | None = None
    gain: float | None = None
    odds: float | None = None
    noise: float | None = None
    noise_df: float = 0.0
    runs: int = 0
    incumbent_runs: int = 0
    most_runs: int = 0
    simpler: bool = False
    pull: float = 0.0
    spread: float | None = None
