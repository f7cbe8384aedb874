"""A trial's own process: it owns the trial's runs and records what comes of them.

It answers to nobody but the ledger, so that the client and the server may come and go.
"""

import math
import signal
import threading
from dataclasses import dataclass
from functools import cached_property
from types import FrameType

from autoresearch_mcp.core import reasons
from autoresearch_mcp.core.case import Action, Rule
from autoresearch_mcp.core.decision import judge
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.events import (
    Audited,
    Measured,
    Queued,
    Resumed,
    RunFinished,
    Running,
    RunStarted,
)
from autoresearch_mcp.core.outcomes import CLOCK, RETRIED, excused
from autoresearch_mcp.core.pace import THROTTLED
from autoresearch_mcp.core.sampling import warmed_up
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Phase, Role, TrialRecord
from autoresearch_mcp.effects import locks, processes
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.session import auditing, court
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.pacing import Pacer
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.running import Performance, RunOrder
from autoresearch_mcp.session.seeding import next_seed
from autoresearch_mcp.session.settling import conclude
from autoresearch_mcp.session.statefolder import lease_paths
from autoresearch_mcp.session.warming import warm_up

_REPEATS = 2
"""How often a run is made again that the machine spoilt: it slept, or was slow."""

_NO_TIME_LEFT = "the research run's time was up before a run that counts"
_WENT_WELL = frozenset({OutcomeKind.MEASURED, OutcomeKind.WARM_UP})


class _Stopped(Exception):
    """Raised where the trial was asked to end while it waited for the machine."""


@dataclass(frozen=True, slots=True)
class _Order:
    """Whose code to run, and why."""

    role: Role
    whose: TrialRecord
    why: str
    is_warm_up: bool


def conduct(rooms: Rooms, trial_id: int, resumption: int | None = None) -> None:
    """See one trial through to its verdict: a staged one, or a measured one from its audit on.

    Args:
        rooms: The recipe's rooms.
        trial_id: The trial.
        resumption: Which process it is that goes on with the audit, from 1; None for the first.
    """
    Conductor(rooms, trial_id).run(resumption)


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

    @cached_property
    def _rule(self) -> Rule:
        started = self._rooms.ledger.started(self._trial.research)
        protocol, options = self._recipe.protocol, self._rooms.options
        return court.rule_of(protocol, options, rankable=started.setting.rankable)

    @cached_property
    def _pacer(self) -> Pacer:
        research = self._trial.research
        return Pacer(self._guard.bench, self._rooms.ledger, research, self._rule)

    def run(self, resumption: int | None) -> None:
        """Wait for the machine, execute the runs, record outcome and verdict."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._report(resumption)
        try:
            leases = lease_paths(self._rooms.options.trials_at_once)
            with locks.hold(*leases, while_waiting=self._give_up_if_stopped):
                if resumption is None:
                    self._rooms.ledger.append(Running(trial=self._id))
                self._check_setting()
                if resumption is None:
                    self._measure()
                auditing.examine(self._rooms, self._guard, self._id, self._must_stop)
        except (_Stopped, auditing.Stopped):
            outcome = self._stopped_outcome()
            if self._trial.phase is Phase.MEASURED and outcome.kind is OutcomeKind.INTERRUPTED:
                return  # what was measured stays: another process goes on with its audit
            self._end_with(outcome)
        except (Fault, OSError) as fault:
            self._end_with(auditing.faulted(fault))
        # For ever: a result is not lost because somebody is slow.
        with self._rooms.locked(math.inf):
            conclude(self._rooms, self._id)

    def _report(self, resumption: int | None) -> None:
        me, ledger = processes.identify(), self._rooms.ledger
        if resumption is None:
            ledger.append(Queued(trial=self._id, process=me))
        else:
            ledger.append(Resumed(trial=self._id, process=me, number=resumption))

    def _measure(self) -> None:
        warm_up(self._rooms, self._guard, self._must_stop)
        self._rooms.ledger.append(Measured(trial=self._id, outcome=self._race()))

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
        while True:
            docket = court.Docket.read(self._rooms.ledger, self._id)
            case = docket.case_under(self._rule)
            judged = judge(case, self._rule)
            why = reasons.next_run(judged, case)
            match judged.action:
                case Action.RUN_CANDIDATE:
                    outcome = self._run(self._order(Role.CANDIDATE, docket, why))
                case Action.RUN_INCUMBENT:
                    order = self._order(Role.INCUMBENT, docket, why)
                    outcome = self._incumbent_failed(self._run(order))
                case _ if not docket.runs_of(docket.trial.arm):
                    return Outcome(kind=OutcomeKind.INTERRUPTED, reason=_NO_TIME_LEFT)
                case _:
                    return self._measured(docket)
            if outcome.kind not in _WENT_WELL:
                return outcome

    def _order(self, role: Role, docket: court.Docket, why: str) -> _Order:
        """Return the order for a run, which is a warm-up where its code has not had them all."""
        whose = docket.trial if role is Role.CANDIDATE else docket.incumbent
        assert whose is not None
        number = docket.warm_up_due(whose.arm, self._rule)
        if number is None:
            return _Order(role, whose, why, is_warm_up=False)
        return _Order(role, whose, reasons.warm_up(number, self._rule), is_warm_up=True)

    def _measured(self, docket: court.Docket) -> Outcome:
        trial = docket.trial
        trials = self._rooms.ledger.trials_of_arm(trial.research, trial.arm)
        return court.measured(docket, trials, self._recipe.protocol.measurement)

    def _run(self, order: _Order) -> Outcome:
        """Execute one run; again, with the same seed, where the machine spoilt it.

        A first crash is made again as well, where the protocol's crashStatus is retry.
        """
        outcome = self._run_once(order, _REPEATS)
        for left in reversed(range(_REPEATS)):
            if outcome.error_class in {CLOCK, RETRIED, THROTTLED}:
                outcome = self._run_once(order, left)
        return outcome

    def _run_once(self, order: _Order, repeats: int) -> Outcome:
        """Execute one run and record it.

        Args:
            order: What to run.
            repeats: How often it may still be made again should the machine be slow.
        """
        ledger, whose = self._rooms.ledger, order.whose
        repeat = court.Docket.read(ledger, self._id).runs_of(whose.arm)
        seed = next_seed(self._rooms.repository, self._recipe, whose.candidate, repeat)
        directory = RunDirectory.choose()
        try:
            ledger.append(
                RunStarted(
                    trial=self._id,
                    role=order.role,
                    arm=whose.arm,
                    seed=seed,
                    directory=str(directory.path),
                    why=order.why,
                )
            )
            directory.make()
            before = self._pacer.now()
            outcome = self._perform(whose, seed, directory)
            outcome = warmed_up(outcome) if order.is_warm_up else outcome
            outcome = self._pacer.marked(outcome, before, repeats=repeats)
            if repeats == _REPEATS and self._recipe.protocol.safety.crash_status == "retry":
                outcome = excused(outcome)
        finally:
            directory.remove()
        ledger.append(RunFinished(trial=self._id, outcome=outcome))
        return outcome

    def _perform(self, whose: TrialRecord, seed: int, directory: RunDirectory) -> Outcome:
        baseline = self._rooms.ledger.first_kept(whose.research)
        order = RunOrder(
            trial=self._id,
            number=len(self._trial.runs),
            commit=whose.candidate,
            seed=seed,
            baselines=court.timings(baseline) if baseline and not whose.baseline else (),
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
        if outcome.kind in {*_WENT_WELL, OutcomeKind.CANCELLED}:
            return outcome
        reason = f"a run of the incumbent failed ({outcome.kind}: {outcome.reason})"
        return outcome.model_copy(update={"kind": OutcomeKind.INTERRUPTED, "reason": reason})

    def _give_up_if_stopped(self) -> None:
        if self._must_stop():
            raise _Stopped
