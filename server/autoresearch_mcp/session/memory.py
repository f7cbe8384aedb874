"""What an agent needs that has lost the thread: the whole state in under 2 KB."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from autoresearch_mcp.core import resultslog
from autoresearch_mcp.core.noise import pooled
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.session import views
from autoresearch_mcp.session.answers import Answer, IncumbentView, NextStep
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.state import State, look

_LAST_VERDICTS = 5
_GOAL_CHARACTERS = 200
_IDEA_CHARACTERS = 80
_IDEAS_BYTES = 900
AFTER_THE_LAST = (
    "Start no further trial; tell what was found (get_metrics(best=true)). A person may start "
    "another run on a new branch."
)


class Recollection(Answer):
    """Where the research stands, short enough for an agent whose context was compacted."""

    goal: str
    metric: str = Field(description="The metric that decides, and its direction.")
    branch: str | None = Field(description="Branch of this research run, null before it starts.")
    trials: int = Field(description="Trials of this research run.")
    baseline: float | None = Field(description="The unmodified recipe's metric.")
    incumbent: IncumbentView | None = Field(description="The code to beat.")
    noise: float | None = Field(
        description="Standard deviation of one run's metric, measured here; null until some "
        "code was run twice. A smaller gain means nothing."
    )
    last_verdicts: list[str] = Field(description="Newest first: trial, status, gain.")
    ideas_tried: list[str] = Field(
        description="Newest first, each idea once: what came of it (gain), the idea, its trials."
    )
    ideas_left_out: int = Field(description="Older ideas not listed; get_metrics has all trials.")
    running: str | None = Field(description="The trial that has no verdict yet.")
    next_step: NextStep


@dataclass(slots=True)
class _Idea:
    """One idea and every trial of it.

    Args:
        said: The hypothesis, as last worded.
        trials: Its trials, newest first.
    """

    said: str
    trials: list[TrialRecord]


def recall(rooms: Rooms) -> Recollection:
    """Sum up where the research of HEAD stands, in under 2 KB. Changes nothing.

    Raises:
        Fault: The repository or its protocol cannot be used.
    """
    state = look(rooms)
    protocol = state.recipe.protocol
    metric = protocol.measurement.primary_metric
    trials, ledger, research = state.trials, rooms.ledger, state.research or ""
    decided = [t for t in reversed(trials) if t.verdict is not None]
    ideas = [_line(idea) for idea in _ideas(decided)]
    listed = _fitting(ideas)
    baseline = views.incumbent_view(ledger.first_kept(research))
    return Recollection(
        goal=views.short(protocol.meta.purpose_statement or "", _GOAL_CHARACTERS),
        metric=f"{metric.name}, {metric.direction}",
        branch=state.research,
        trials=len(trials),
        baseline=baseline.value if baseline else None,
        incumbent=views.incumbent_view(state.incumbent),
        noise=_noise(trials),
        last_verdicts=[f"{t.id} {_outcome(t)}" for t in decided[:_LAST_VERDICTS]],
        ideas_tried=listed,
        ideas_left_out=len(ideas) - len(listed),
        running=_running(state),
        next_step=next_step(state),
    )


def next_step(state: State) -> str:
    """Say what the agent should do now."""
    open_trial = state.under_way or state.awaiting_application
    # Before what else is due: another try of an interrupted trial would be refused as well.
    if open_trial is None and (cap := state.cap_reached):
        return f"{cap}: this research run is over. {AFTER_THE_LAST}"
    trial = open_trial or state.newest
    if trial and (due := views.still_due(trial)):
        return due
    if state.incumbent is None:
        return "Call run_trial(hypothesis='baseline') to measure the unmodified recipe."
    if state.candidate():
        return "Call run_trial(hypothesis=...) to measure the candidate, or apply_edit again."
    return "Think of one change, make it with apply_edit, then call run_trial."


def _noise(trials: Sequence[TrialRecord]) -> float | None:
    arms: dict[str, list[float]] = {}
    for run in (run for trial in trials for run in trial.runs):
        if run.outcome is not None and run.outcome.value is not None:
            arms.setdefault(run.arm, []).append(run.outcome.value)
    found = pooled(arms.values())
    return float(f"{found.sd:.3g}") if found.df else None


def _ideas(decided: Sequence[TrialRecord]) -> list[_Idea]:
    """Gather the trials of the same code or the same words, the newest first."""
    found: list[_Idea] = []
    by_key: dict[str, _Idea] = {}
    for trial in decided:
        if trial.baseline:
            continue
        keys = (f"arm {trial.arm}", f"said {' '.join(trial.hypothesis.casefold().split())}")
        idea = next((by_key[key] for key in keys if key in by_key), None)
        if idea is None:
            idea = _Idea(trial.hypothesis, [])
            found.append(idea)
        idea.trials.append(trial)
        by_key.update(dict.fromkeys(keys, idea))
    return found


def _line(idea: _Idea) -> str:
    numbers = ", ".join(str(trial.id) for trial in idea.trials[:3])
    return f"{_outcome(idea.trials[0])}: {views.short(idea.said, _IDEA_CHARACTERS)} ({numbers})"


def _outcome(trial: TrialRecord) -> str:
    gain = trial.verdict.gain if trial.verdict else None
    return resultslog.status(trial) + ("" if gain is None else f" {gain:+.4g}")


def _fitting(lines: Sequence[str]) -> list[str]:
    """Return the first lines, as many as fit."""
    shown: list[str] = []
    room = _IDEAS_BYTES
    for line in lines:
        room -= len(line.encode())
        if room < 0:
            break
        shown.append(line)
    return shown


def _running(state: State) -> str | None:
    trial = state.under_way
    return None if trial is None else f"trial {trial.id}: {views.short(trial.hypothesis)}"
