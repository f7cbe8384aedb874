"""How long a run may take, who says so, and whether it kept to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoresearch_mcp.core.manifest import Profile
from autoresearch_mcp.core.protocol_schema import StopCondition
from autoresearch_mcp.core.trial import Timing

_OVERRUN_SHARE = 0.03
_OVERRUN_SECONDS = 1.0
"""The last step may end after the budget: by 3 % of it, or by a second where that is more."""

_SLACK_SECONDS = 5.0
"""What the machine's other work may cost a run beside its training, at most."""

_LEAST_START_SECONDS = 1.0
"""What it may cost a start at least: importing MLX takes half a second to two as the load goes."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits in force for one run.

    Args:
        training_seconds: The training budget.
        hard_timeout_seconds: When the whole process tree is killed, from process start.
        set_by: Who set them, for the answers that name a budget.
        compile_allowance: Seconds of compilation that the training budget does not count.
        stop: The protocol's stop condition, where it counts steps or epochs.
    """

    training_seconds: float
    hard_timeout_seconds: float
    set_by: str
    compile_allowance: float = 0.0
    stop: StopCondition | None = None

    def longest_training(self, baselines: Sequence[float] = ()) -> float:
        """Return the seconds from the first training batch to the hand-over that are allowed.

        What the baseline needed for compiling bounds what a candidate may claim for it, so that
        an allowance made for slow machines is no training time on fast ones.

        Args:
            baselines: Seconds that the baseline's runs took; empty for the baseline itself.
        """
        overrun = max(_OVERRUN_SHARE * self.training_seconds, _OVERRUN_SECONDS)
        compiling = self.compile_allowance
        if baselines and compiling:
            needed = max(0.0, max(baselines) - self.training_seconds)
            compiling = min(compiling, 2 * needed + _SLACK_SECONDS)
        return self.training_seconds + overrun + compiling


def in_force(training: float, hard_timeout: float, profile: Profile | None) -> Budget:
    """Combine the protocol's budget with the profile's, which can only tighten it.

    Args:
        training: The protocol's trainingSecondsBudget.
        hard_timeout: The protocol's hardTimeoutSeconds.
        profile: The profile of the prepared data, None for a recipe without one.

    Example:
        >>> in_force(300, 900, None).longest_training()
        309.0
    """
    if profile is None:
        return Budget(training, hard_timeout, "protocol")
    tighter = profile.time_budget < training or profile.hard_timeout < hard_timeout
    return Budget(
        min(training, profile.time_budget),
        min(hard_timeout, profile.hard_timeout),
        f"profile {profile.name}, within the protocol's {training:g} s" if tighter else "protocol",
        profile.startup_allowance,
    )


def overrun(timing: Timing, budget: Budget, baselines: Sequence[Timing]) -> str | None:
    """Say by which clock a run took more time than the budget allows; None when it kept to it.

    Args:
        timing: The run's, on the supervisor's clock.
        budget: The limits in force.
        baselines: Timings of the baseline's runs; empty while the baseline itself is measured.
    """
    for name, seconds, limit in _clocks(timing, budget, baselines):
        if seconds > limit:
            return f"{name} took {seconds:.1f} s; at most {limit:.1f} s are allowed"
    return None


def _clocks(
    timing: Timing, budget: Budget, baselines: Sequence[Timing]
) -> Iterator[tuple[str, float, float]]:
    """Yield name, seconds taken and limit of every clock that can be read."""
    longest = budget.longest_training([b.training for b in baselines if b.training is not None])
    if timing.startup is None or timing.training is None:
        if baselines:
            beside = max(0.0, max(b.total for b in baselines) - budget.training_seconds)
            yield "the whole run", timing.total, longest + beside + _SLACK_SECONDS
        return
    yield "training", timing.training, longest
    startups = [b.startup for b in baselines if b.startup is not None]
    if startups:
        limit = longest + max(startups) + _start_slack(budget, startups)
        yield "start and training", timing.startup + timing.training, limit
    evaluations = [b.evaluation for b in baselines if b.evaluation is not None]
    if evaluations and timing.evaluation is not None:
        # While the model stays in the run's process, training could go on after the hand-over.
        yield "evaluation", timing.evaluation, 2 * max(evaluations) + _SLACK_SECONDS


def _start_slack(budget: Budget, startups: Sequence[float]) -> float:
    """Return the seconds by which a start may outlast the slowest of the baseline's.

    All of it could be training that no budget counts, so it is held to the budget's scale. But a
    start is imports and set-up, which take twice as long while somebody else keeps the machine
    busy, and no honest run is to fail for that: as much again as the baseline's quickest is
    allowed. Should that not do, the run is likely to be found slow and made again (core/pace.py).
    """
    scaled = max(_LEAST_START_SECONDS, _OVERRUN_SHARE * budget.training_seconds)
    return min(_SLACK_SECONDS, max(scaled, min(startups)))
