"""What can be asked about trials, and done with them once they have started."""

import time

from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.events import CancelRequested
from autoresearch_mcp.core.trial import Phase, TrialRecord
from autoresearch_mcp.effects import processes
from autoresearch_mcp.session import applying, memory, views
from autoresearch_mcp.session.answers import AppliedView, MetricsView, TrialView
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.settling import settle
from autoresearch_mcp.session.state import look
from autoresearch_mcp.session.views import LogRequest

_MOST_LISTED = 20
_MOST_BESIDE_A_LOG = 5
"""An answer stays under 8 KB, which is what every client passes on whole."""

_CANCEL_SECONDS = 30.0
_POLL_SECONDS = 0.05


def show(rooms: Rooms, trial_id: int) -> TrialView:
    """Show where a trial stands, after mending what a dead process left.

    Raises:
        Refusal: There is no such trial.
    """
    trial = find(rooms, trial_id)
    if trial.undecided and not (trial.process and processes.is_alive(trial.process)):
        with rooms.locked():
            settle(rooms)
        trial = find(rooms, trial_id)
    return peek(rooms, trial)


def peek(rooms: Rooms, trial: TrialRecord) -> TrialView:
    """Show a trial as the ledger has it, changing nothing."""
    recipe, next_step = recipe_of(rooms, trial.research), memory.next_step(look(rooms))
    return views.trial_view(rooms, trial, Bench(rooms, recipe).budget, next_step)


def find(rooms: Rooms, trial_id: int) -> TrialRecord:
    """Return a trial.

    Raises:
        Refusal: There is no such trial.
    """
    trial = rooms.ledger.trial(trial_id)
    if trial is None:
        last = rooms.ledger.last_trial()
        there = f"the last one is {last}" if last else "none has been started"
        raise Refusal("trial.unknown", f"there is no trial {trial_id}; {there}")
    return trial


def cancel(rooms: Rooms, trial_id: int) -> TrialView:
    """End a trial that is going on, and return once it has ended.

    Raises:
        Refusal: There is no such trial, or it has ended already.
    """
    trial = find(rooms, trial_id)
    if not trial.undecided:
        next_step = memory.next_step(look(rooms))
        raise Refusal("trial.ended", f"trial {trial_id} has ended. {next_step}")
    with rooms.locked():
        trial = find(rooms, trial_id)
        if trial.undecided and not trial.cancel_requested:
            rooms.ledger.append(CancelRequested(trial=trial_id))
        if trial.process:
            processes.terminate(trial.process)
    deadline = time.monotonic() + _CANCEL_SECONDS
    while trial.process and processes.is_alive(trial.process):
        if time.monotonic() > deadline:
            # Whatever holds it up: the ledger has the request, and settling ends its runs.
            processes.kill(trial.process)
        time.sleep(_POLL_SECONDS)
    return show(rooms, trial_id)


def commit_or_revert(rooms: Rooms, trial_id: int) -> AppliedView:
    """Make branch and working tree follow the server's verdict.

    Raises:
        Refusal: The trial has no verdict yet, or HEAD is elsewhere.
        Fault: Somebody moved the branch.
    """
    with rooms.locked():
        settle(rooms)
        trial = find(rooms, trial_id)
        if trial.undecided:
            raise Refusal("session.busy", f"trial {trial_id} has no verdict yet: call wait_trial")
        notes: tuple[str, ...] = ()
        if trial.phase is Phase.DECIDED:
            notes = applying.finish(rooms, applying.begin(rooms, trial))
        return applied_view(rooms, find(rooms, trial_id), notes)


def metrics(
    rooms: Rooms, *, trial_id: int | None, last: int, best: bool, log: LogRequest
) -> MetricsView:
    """Show results: one trial whole, the best ones, or the last ones. Changes nothing.

    Args:
        rooms: The recipe's rooms.
        trial_id: The trial to show whole.
        last: How many trials to list, newest last.
        best: List the best ones by value instead, best first.
        log: The part of the log to add: the trial's, or the newest trial's.
    """
    state = look(rooms)
    metric = state.recipe.protocol.measurement.primary_metric
    count = min(last, _MOST_BESIDE_A_LOG if log.wanted else _MOST_LISTED)
    ledger, research = rooms.ledger, state.research or ""
    newest = ledger.newest(research, count)
    listed = ledger.best(research, metric.direction, count) if best else newest
    asked = find(rooms, trial_id) if trial_id is not None else None
    shown = asked or (newest[-1] if newest else None)
    return MetricsView(
        metric=f"{metric.name}, {metric.direction}",
        trials=[] if asked else [views.trial_line(t) for t in listed],
        total=ledger.count(research),
        incumbent=views.incumbent_view(state.incumbent),
        trial=peek(rooms, asked) if asked else None,
        log_of=f"trial {shown.id}, run {shown.own_run}" if shown and log.wanted else None,
        log=views.log_text(rooms, shown, log) if shown and log.wanted else None,
        next_step=memory.next_step(state),
    )


def applied_view(rooms: Rooms, trial: TrialRecord, notes: tuple[str, ...]) -> AppliedView:
    """Show what became of a verdict."""
    assert trial.verdict is not None
    moved = trial.applying_to is not None and trial.applying_to != trial.base
    return AppliedView(
        trial_id=trial.id,
        verdict=views.verdict_view(trial.verdict),
        branch=trial.research,
        commit=trial.applying_to[:7] if moved and trial.applying_to else None,
        notes=list(notes),
        next_step=memory.next_step(look(rooms)),
    )
