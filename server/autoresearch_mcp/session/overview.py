"""Where the research of HEAD stands, for a person; nothing is changed by looking."""

from collections import Counter

from pydantic import Field

from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.effects import processes
from autoresearch_mcp.session import views
from autoresearch_mcp.session.answers import (
    Answer,
    BudgetView,
    IncumbentView,
    NextStep,
    TrialLine,
    TrialView,
)
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.state import State, look

MOST_LISTED = 20


class Overview(Answer):
    """A research run at a glance."""

    repository: str
    branch: str | None = Field(description="Branch of HEAD, null when it is detached.")
    research: str | None = Field(description="Branch of the research run, null before one.")
    metric: str
    direction: str
    budget: BudgetView
    baseline: IncumbentView | None
    incumbent: IncumbentView | None
    gain: float | None = Field(description="Incumbent over baseline; positive is better.")
    total: int = Field(description="Trials of this research run.")
    counts: dict[str, int] = Field(description="Trials by status.")
    trials: list[TrialLine] = Field(description="The last of them, newest last.")
    under_way: TrialView | None
    next_step: NextStep


def overview(rooms: Rooms) -> Overview:
    """Read where the research of HEAD stands.

    Raises:
        Fault: The repository or its protocol cannot be used.
    """
    state = look(rooms)
    metric = state.recipe.protocol.measurement.primary_metric
    bench = Bench(rooms, state.recipe)
    ledger, research = rooms.ledger, state.research or ""
    baseline = views.incumbent_view(ledger.first_kept(research))
    incumbent = views.incumbent_view(state.incumbent)
    counts: Counter[str] = Counter()
    for trial, count in ledger.kinds(research):
        counts[views.trial_line(trial).status] += count
    return Overview(
        repository=str(rooms.repository.root),
        branch=state.head.branch,
        research=state.research,
        metric=metric.name,
        direction=metric.direction,
        budget=views.budget_view(bench.budget),
        baseline=baseline,
        incumbent=incumbent,
        gain=_gain(baseline, incumbent, metric.direction),
        total=counts.total(),
        counts=dict(counts),
        trials=[views.trial_line(trial) for trial in ledger.newest(research, MOST_LISTED)],
        under_way=_under_way(state, bench),
        next_step=_next_step(state, bench),
    )


def _gain(
    baseline: IncumbentView | None, incumbent: IncumbentView | None, direction: str
) -> float | None:
    if baseline is None or incumbent is None:
        return None
    difference = baseline.value - incumbent.value
    return difference if direction == "minimize" else -difference


def _under_way(state: State, bench: Bench) -> TrialView | None:
    trial = state.under_way
    if trial is None:
        return None
    return views.trial_view(state.rooms, trial, bench.budget, _next_step(state, bench))


def _next_step(state: State, bench: Bench) -> str:
    if trial := state.under_way:
        return _while_running(trial)
    if trial := state.awaiting_application:
        assert trial.verdict is not None
        verdict = trial.verdict.status
        return f"Trial {trial.id} is decided ({verdict}): the agent calls commit_or_revert next."
    if state.recipe.needs_data and bench.data is None:
        return "There is no prepared data yet: run `autoresearch-mcp prepare`."
    if state.started is None:
        return (
            "No research has been started on this branch. Connect your coding agent "
            "(`autoresearch-mcp doctor` prints the line for it) and ask it to improve the recipe."
        )
    if state.incumbent is None:
        return "The baseline gave no value yet: mend the recipe, then the agent calls run_trial."
    return "Nothing is running: the agent goes on with apply_edit, then run_trial."


def _while_running(trial: TrialRecord) -> str:
    if trial.process is not None and processes.is_alive(trial.process):
        return f"Trial {trial.id} is going on: there is nothing to do but wait."
    return (
        f"The process of trial {trial.id} is gone: the server's next call records that, and the "
        "agent starts the trial again."
    )
