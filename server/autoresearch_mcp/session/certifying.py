"""Certify the gain: fresh interleaved runs of baseline and incumbent, which no verdict uses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from autoresearch_mcp.core.certificate import Pair, certificate, disagreement
from autoresearch_mcp.core.decision import BASELINE_RUNS
from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.events import CertificateRun, Certified
from autoresearch_mcp.core.noise import NO_NOISE, pooled
from autoresearch_mcp.core.outcomes import CLOCK
from autoresearch_mcp.core.pace import THROTTLED
from autoresearch_mcp.core.trial import Outcome, TrialRecord
from autoresearch_mcp.effects import locks
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.session import court
from autoresearch_mcp.session.answers import Answer
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.holdout import holdout_value
from autoresearch_mcp.session.pacing import Pacer
from autoresearch_mcp.session.proving import NO_TRIAL, Subject
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.running import Performance, RunOrder
from autoresearch_mcp.session.state import look
from autoresearch_mcp.session.statefolder import lease_paths

Side = Literal["baseline", "incumbent"]

_FIRST_SEED = 1_000_000
"""Far from the seeds of trials, which count from 1: no run of a certificate was made before."""

_REPEATS = 2


class Stopped(Exception):
    """Raised when a certificate was asked to end before it was done."""


class CertificateView(Answer):
    """The gain over the baseline, measured by runs that took no part in choosing."""

    research: str
    metric: str
    pairs: int
    incumbent: int = Field(description="Trial of the incumbent.")
    gain: float = Field(description="Improvement in metric units; positive is better.")
    margin: float | None = Field(description="The true gain is within this of it 9 times in 10.")
    is_a_gain: bool = Field(description="Whether the whole interval is above nothing.")
    selected_gain: float = Field(
        description="What the trials themselves showed: chosen for looking good, so optimistic."
    )
    holdout_gain: float | None = Field(description="On rows that no trial was judged by.")
    holdout_margin: float | None
    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """How a certificate talks to whoever asked for it.

    Args:
        tell: Told what happens, one line each.
        is_stopped: Asked about five times a second whether to end.
    """

    tell: Callable[[str], None]
    is_stopped: Callable[[], bool]


def certify(rooms: Rooms, pairs: int, calls: Calls) -> CertificateView:
    """Run baseline and incumbent in turns, and record the gain with its interval.

    Raises:
        Refusal: There is nothing to certify.
        Fault: A run failed, or the setting changed since the baseline.
        Stopped: It was asked to end; the runs made so far stay in the ledger.
    """
    return _Certifier(rooms, calls).certify(pairs)


def view(rooms: Rooms, event: Certified) -> CertificateView:
    """Show a certificate."""
    metric = recipe_of(rooms, event.research).protocol.measurement.primary_metric
    holdout = event.holdout
    return CertificateView(
        research=event.research,
        metric=metric.name,
        pairs=event.pairs,
        incumbent=event.incumbent,
        gain=event.validation.gain,
        margin=event.validation.margin,
        is_a_gain=event.validation.is_a_gain,
        selected_gain=_selected(rooms, event),
        holdout_gain=holdout.gain if holdout else None,
        holdout_margin=holdout.margin if holdout else None,
        warning=event.warning,
    )


def _selected(rooms: Rooms, event: Certified) -> float:
    baseline, incumbent = rooms.ledger.first_kept(event.research), rooms.ledger.get(event.incumbent)
    assert baseline is not None
    means = [court.mean_of(rooms.ledger, trial) for trial in (baseline, incumbent)]
    metric = recipe_of(rooms, event.research).protocol.measurement.primary_metric
    return means[0] - means[1] if metric.direction == "minimize" else means[1] - means[0]


@dataclass(frozen=True, slots=True)
class _Figures:
    """One run's metric on validation rows and on the holdout's."""

    value: float
    holdout: float | None


class _Certifier:
    """Makes the runs of one certificate."""

    def __init__(self, rooms: Rooms, calls: Calls) -> None:
        self._rooms, self._calls = rooms, calls
        started = look(rooms).started
        if started is None:
            raise Refusal("session.branch", "HEAD is on no research branch: switch to one first")
        self._started, self._research = started, started.research
        self._recipe = recipe_of(rooms, self._research)
        self._guard = Guard(Bench(rooms, self._recipe))
        options = rooms.options
        rule = court.rule_of(self._recipe.protocol, options, rankable=started.setting.rankable)
        self._maximize = rule.direction == "maximize"
        self._pacer = Pacer(self._guard.bench, rooms.ledger, self._research, rule)

    def certify(self, count: int) -> CertificateView:
        ledger = self._rooms.ledger
        baseline, incumbent = ledger.first_kept(self._research), ledger.last_kept(self._research)
        if baseline is None or incumbent is None or incumbent.id == baseline.id:
            raise Refusal("certify.nothing", "no change was kept yet: there is no gain to certify")
        sides: dict[Side, TrialRecord] = {"baseline": baseline, "incumbent": incumbent}
        with locks.hold(
            *lease_paths(self._rooms.options.trials_at_once), while_waiting=self._give_up_if_stopped
        ):
            self._check_setting()
            made = [self._pair(sides, number, count) for number in range(count)]
        first = [o.value for o in _outcomes(baseline) if o.value is not None][:BASELINE_RUNS]
        pairs, hidden = [pair for pair, _ in made], [h for _, h in made if h is not None]
        event = Certified(
            research=self._research,
            incumbent=incumbent.id,
            pairs=count,
            validation=certificate(pairs, pooled([first]), maximize=self._maximize),
            # The noise of other rows is another: its margin rests on these pairs alone.
            holdout=certificate(hidden, NO_NOISE, maximize=self._maximize) if hidden else None,
            warning=disagreement(pairs, hidden, maximize=self._maximize) if hidden else None,
        )
        ledger.append(event)
        return view(self._rooms, event)

    def _pair(
        self, sides: dict[Side, TrialRecord], number: int, count: int
    ) -> tuple[Pair, Pair | None]:
        """Return both sides' metrics on validation, and on the holdout where there is one."""
        order: list[Side] = ["baseline", "incumbent"]
        if number % 2:  # what drifts with time must favour neither
            order.reverse()
        found: dict[Side, _Figures] = {}
        for side in order:
            found[side] = self._figures(side, sides[side])
            self._calls.tell(f"pair {number + 1} of {count}, {side}: {found[side].value:.6f}")
        baseline, incumbent = found["baseline"], found["incumbent"]
        hidden = None
        if baseline.holdout is not None and incumbent.holdout is not None:
            hidden = Pair(baseline.holdout, incumbent.holdout)
        return Pair(baseline.value, incumbent.value), hidden

    def _figures(self, side: Side, whose: TrialRecord) -> "_Figures":
        """Return the metrics of one fresh run, made again where the machine spoilt it."""
        made, left = self._run(side, whose, _REPEATS), _REPEATS
        while made.outcome.error_class in {CLOCK, THROTTLED} and left:
            left -= 1
            made = self._run(side, whose, left)
        outcome = made.outcome
        if outcome.value is None:
            raise Fault(f"a fresh run of the {side} failed ({outcome.kind}: {outcome.reason})")
        return _Figures(outcome.value, made.holdout)

    def _run(self, side: Side, whose: TrialRecord, repeats: int) -> CertificateRun:
        ledger = self._rooms.ledger
        number = ledger.certificate_runs() + 1
        baseline = ledger.first_kept(self._research)
        order = RunOrder(
            trial=NO_TRIAL,
            number=number,
            commit=whose.candidate,
            seed=_FIRST_SEED + number,
            baselines=court.timings(baseline) if baseline and not whose.baseline else (),
        )
        directory = RunDirectory.choose()
        try:
            directory.make()
            before = self._pacer.now()
            run = Performance(self._rooms, self._guard, order, directory)
            outcome = run.perform(self._calls.is_stopped)
            if outcome is None:
                raise Stopped
            outcome = self._pacer.marked(outcome, before, repeats=repeats)
            holdout = None if outcome.value is None else self._holdout(order, directory)
        finally:
            directory.remove()
            self._rooms.files.drop_models(NO_TRIAL)
        made = CertificateRun(
            research=self._research, side=side, seed=order.seed, outcome=outcome, holdout=holdout
        )
        ledger.append(made)
        return made

    def _holdout(self, order: RunOrder, directory: RunDirectory) -> float | None:
        subject = Subject(
            trial=order.trial, number=order.number, commit=order.commit, seed=order.seed
        )

        def give_up() -> str | None:
            stopped = "stopped" if self._calls.is_stopped() else None
            return stopped or self._guard.overflow(directory.inside("holdout"))

        return holdout_value(self._rooms, self._guard, subject, directory, give_up)

    def _check_setting(self) -> None:
        if differences := self._started.setting.differences(self._guard.bench.setting):
            raise Fault(f"the setting changed since the baseline: {'; '.join(differences)}")

    def _give_up_if_stopped(self) -> None:
        if self._calls.is_stopped():
            raise Stopped


def _outcomes(trial: TrialRecord) -> Iterator[Outcome]:
    return (run.outcome for run in trial.runs if run.outcome is not None)
