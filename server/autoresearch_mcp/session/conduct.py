"""A trial's own process: it owns the trial's runs and records what comes of them.

It answers to nobody but the ledger, so that the client and the server may come and go.
"""

import math
import os
import signal
import threading
from functools import cached_property
from pathlib import Path
from types import FrameType

from autoresearch_mcp.core.case import Action
from autoresearch_mcp.core.decision import judge
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.events import (
    Audited,
    Measured,
    Queued,
    RunFinished,
    Running,
    RunStarted,
)
from autoresearch_mcp.core.outcomes import CLOCK
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Phase, Role, TrialRecord
from autoresearch_mcp.effects import locks, processes
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.session import auditing, court
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.running import Performance, RunOrder
from autoresearch_mcp.session.settling import conclude

_REPEATS = 2
"""How often a run is made again that the machine's sleep or a clock change spoilt."""


class _Stopped(Exception):
    """Raised where the trial was asked to end while it waited for the machine."""


def conduct(rooms: Rooms, trial_id: int) -> None:
    """See one staged trial through to its verdict."""
    Conductor(rooms, trial_id).run()


def lease_paths(count: int) -> tuple[Path, ...]:
    """Return the locks that make trials on this machine wait for each other.

    Args:
        count: How many trials may run at once.
    """
    names = ["lease", *(f"lease-{number}" for number in range(2, count + 1))]
    return tuple(state_folder() / name for name in names)


def state_folder() -> Path:
    """Return where this program keeps what belongs to the machine, not to a recipe."""
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    # The standard for these variables has relative paths ignored.
    state = named if named.is_absolute() else Path.home() / ".local" / "state"
    return state / "autoresearch-mcp"


class Conductor:
    """Executes the runs that the court asks for, one after the other."""

    def __init__(self, rooms: Rooms, trial_id: int) -> None:
        self._rooms = rooms
        self._id = trial_id
        self._stop = threading.Event()
        self._recipe = recipe_of(rooms, self._trial.research)

    @cached_property
    def _guard(self) -> Guard:
        return Guard(Bench(self._rooms, self._recipe))

    @property
    def _trial(self) -> TrialRecord:
        return self._rooms.ledger.get(self._id)

    @property
    def _trials(self) -> tuple[TrialRecord, ...]:
        return self._rooms.ledger.trials(self._trial.research)

    def run(self) -> None:
        """Wait for the machine, execute the runs, record outcome and verdict."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        ledger = self._rooms.ledger
        ledger.append(Queued(trial=self._id, process=processes.identify()))
        try:
            leases = lease_paths(self._rooms.options.trials_at_once)
            with locks.hold(*leases, while_waiting=self._give_up_if_stopped):
                ledger.append(Running(trial=self._id))
                self._check_setting()
                ledger.append(Measured(trial=self._id, outcome=self._race()))
                auditing.examine(self._rooms, self._guard, self._id, self._must_stop)
        except (_Stopped, auditing.Stopped):
            self._end_with(self._stopped_outcome())
        except (Fault, OSError) as fault:
            self._end_with(auditing.faulted(fault))
        # For ever: a result is not lost because somebody is slow.
        with self._rooms.locked(math.inf):
            conclude(self._rooms, self._id)

    def _end_with(self, outcome: Outcome) -> None:
        """Record an outcome that the runs, or the audit, did not come to by themselves."""
        if self._trial.phase is Phase.MEASURED:
            self._rooms.ledger.append(Audited(trial=self._id, findings=(), outcome=outcome))
        else:
            self._rooms.ledger.append(Measured(trial=self._id, outcome=outcome))

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _check_setting(self) -> None:
        """Refuse to measure what cannot be compared: the world may change while a trial waits."""
        started = self._rooms.ledger.started(self._trial.research)
        if differences := started.setting.differences(self._guard.bench.setting):
            raise Fault(f"the setting changed since the baseline: {'; '.join(differences)}")

    def _race(self) -> Outcome:
        """Run whom the court asks for until it has enough, or until a run fails."""
        rule = court.rule_of(self._recipe.protocol, self._rooms.options)
        while True:
            trial, trials = self._trial, self._trials
            match judge(court.case_of(trial, trials), rule).action:
                case Action.RUN_CANDIDATE:
                    outcome = self._run(Role.CANDIDATE, trial)
                case Action.RUN_INCUMBENT:
                    incumbent = court.incumbent_of(trials)
                    assert incumbent is not None
                    outcome = self._incumbent_failed(self._run(Role.INCUMBENT, incumbent))
                case _:
                    return court.measured(
                        trial, trials, self._recipe.protocol.measurement.primary_metric.name
                    )
            if outcome.kind is not OutcomeKind.MEASURED:
                return outcome

    def _run(self, role: Role, whose: TrialRecord) -> Outcome:
        """Execute one run of a trial's candidate; again where the machine spoilt it."""
        outcome = self._run_once(role, whose)
        for _ in range(_REPEATS):
            if outcome.error_class == CLOCK:
                outcome = self._run_once(role, whose)
        return outcome

    def _run_once(self, role: Role, whose: TrialRecord) -> Outcome:
        ledger = self._rooms.ledger
        seed = 1 + court.runs_of(whose.arm, self._trials)
        directory = RunDirectory.choose()
        try:
            ledger.append(
                RunStarted(
                    trial=self._id,
                    role=role,
                    arm=whose.arm,
                    seed=seed,
                    directory=str(directory.path),
                )
            )
            directory.make()
            outcome = self._perform(whose, seed, directory)
        finally:
            directory.remove()
        ledger.append(RunFinished(trial=self._id, outcome=outcome))
        return outcome

    def _perform(self, whose: TrialRecord, seed: int, directory: RunDirectory) -> Outcome:
        order = RunOrder(
            trial=self._id,
            number=len(self._trial.runs),
            commit=whose.candidate,
            seed=seed,
            baselines=() if whose.baseline else court.baseline_timings(self._trials),
        )
        run = Performance(self._rooms, self._guard, order, directory)
        return run.perform(self._must_stop) or self._stopped_outcome()

    def _must_stop(self) -> bool:
        return self._stop.is_set() or self._rooms.options.server_is_gone

    def _stopped_outcome(self) -> Outcome:
        """Tell a cancelled trial from one whose process was ended by the system."""
        if self._trial.cancel_requested:
            return Outcome(kind=OutcomeKind.CANCELLED, reason="cancelled on request")
        if self._rooms.options.server_is_gone:
            return Outcome(kind=OutcomeKind.CANCELLED, reason="its server ended (--on-exit kill)")
        return Outcome(
            kind=OutcomeKind.INTERRUPTED,
            reason="the trial's process was asked to end by the system",
            hint="Start the trial again: the candidate is still in place.",
        )

    def _incumbent_failed(self, outcome: Outcome) -> Outcome:
        """Blame no candidate for a run of the incumbent that gave no value."""
        if outcome.kind in {OutcomeKind.MEASURED, OutcomeKind.CANCELLED}:
            return outcome
        reason = f"a run of the incumbent failed ({outcome.kind}: {outcome.reason})"
        return outcome.model_copy(update={"kind": OutcomeKind.INTERRUPTED, "reason": reason})

    def _give_up_if_stopped(self) -> None:
        if self._must_stop():
            raise _Stopped
