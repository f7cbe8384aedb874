"""One run of one commit: fresh directory, proof of the harness, execution, outcome."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.outcomes import RunFacts, outcome_of
from autoresearch_mcp.core.progress import hopeless
from autoresearch_mcp.core.trial import Evaluation, Outcome, Timing
from autoresearch_mcp.effects import prepared, supervisor
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.sandbox.policy import DEFAULT_SCRATCH_BYTES, Bare
from autoresearch_mcp.effects.sealing import lend
from autoresearch_mcp.effects.supervisor import Channel, Execution, RunSpec, Store
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.proving import Subject
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.sealing import Seal

CANCELLED = "cancelled"
_TAIL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What to run.

    Args:
        trial: The trial it belongs to.
        number: Its position within the trial, from 1.
        commit: The commit whose tree is run.
        seed: Its seed.
        baselines: Timings of the baseline's runs; empty for the baseline itself.
        training_seconds: How long it is told to train; None for the budget in force.
        hard_timeout: When it or its prover is killed, seconds from its start; None for the budget
            in force.
        counts: Whether its number does; else the server shows its model no validation rows.
    """

    trial: int
    number: int
    commit: str
    seed: int
    baselines: tuple[Timing, ...]
    training_seconds: float | None = None
    hard_timeout: float | None = None
    counts: bool = True


class Performance:
    """One run of one commit, from its fresh directory to its outcome.

    Args:
        rooms: The recipe's rooms.
        guard: What holds the run.
        order: What to run.
        directory: Where; the caller removes it afterwards.
    """

    def __init__(
        self, rooms: Rooms, guard: Guard, order: RunOrder, directory: RunDirectory
    ) -> None:
        self._rooms, self._guard, self._order, self._directory = rooms, guard, order, directory
        self._bench = guard.bench
        self._log = rooms.files.run_log(order.trial, order.number)
        subject = Subject(
            trial=order.trial,
            number=order.number,
            commit=order.commit,
            seed=order.seed,
            hard_timeout=order.hard_timeout,
        )
        seal = partial(Seal, meaningless=not order.counts)
        self._seal = seal(rooms, guard, subject, directory) if guard.seals else None

    def perform(self, is_stopped: Callable[[], bool]) -> Outcome | None:
        """Execute the run and say what came of it.

        Args:
            is_stopped: Asked about five times a second whether the trial is to end.

        Returns:
            The outcome, or None when the run was ended because the trial is to end.

        Raises:
            Fault: The prepared data is not what it was, the commit cannot be written out, or
                the sandbox did not start.
        """
        if problem := self._damage():
            raise Fault(f"{problem}: run `autoresearch-mcp prepare` again")
        without = {self._bench.recipe.log_path}
        files = self._rooms.repository.materialise(
            self._order.commit, self._directory.recipe, without
        )
        self._guard.lend(self._directory)
        execution = self._execute(lambda: CANCELLED if is_stopped() else self._hopeless())
        if execution.stopped == CANCELLED:
            return None
        if execution.log_problem:  # what is missing may be the metric: nobody else is to blame
            raise Fault(f"cannot write {self._log}: {execution.log_problem}")
        if not execution.launched and execution.stopped is None:
            said = self._rooms.files.last_line(self._log)
            raise Fault(f"the run could not be started in its sandbox{said}")
        damage = self._damage()
        if damage and not isinstance(self._guard.sandbox, Bare):
            # The sandbox gave the run no way to do that.
            raise Fault(f"{damage}, and not by the run: run `autoresearch-mcp prepare` again")
        return self._outcome(execution, self._directory.changed(files) or damage)

    @property
    def evaluated(self) -> bool:
        """Tell whether the server has evaluated the model that the run handed over."""
        return self._seal is not None and isinstance(self._seal.result, Evaluation)

    def _execute(self, watch: Callable[[], str | None]) -> Execution:
        """Start the protocol's command, launcher first, in its sandbox."""
        bench, directory, seed = self._bench, self._directory, self._order.seed
        store = lent = None
        if self._seal:
            lend(lent := directory.lent)
            model = self._rooms.files.model(self._order.trial, self._order.number)
            store = Store(model, DEFAULT_SCRATCH_BYTES)
        with Channel(store) as channel:

            def attend() -> None:
                if self._seal:
                    self._seal.attend(channel, watch)

            settings = bench.settings(seed, channel.child_end, lent)
            if self._order.training_seconds is not None:
                settings["time_budget"] = self._order.training_seconds
            run_file = directory.write_settings(settings)
            kernels = self._guard.lend_kernels("run", directory)
            variables = {**bench.variables(run_file, seed), **kernels}
            environment = directory.environment(bench.interpreter.path, variables)
            argv = bench.argv(bench.recipe.command)
            wrapped = self._guard.sandbox.wrap(argv, environment, self._guard.policy(directory))
            spec = RunSpec(
                argv=wrapped.argv,
                cwd=directory.recipe / bench.recipe.protocol.execution.cwd,
                environment=wrapped.environment,
                log=self._log,
                hard_timeout=self._order.hard_timeout or bench.budget.hard_timeout_seconds,
            )
            execution = supervisor.execute(spec, channel, watch, attend)
        return replace(execution, exit_code=wrapped.exit_code(execution.exit_code))

    def _outcome(self, execution: Execution, tampered: str | None) -> Outcome:
        facts = RunFacts(
            exit_code=execution.exit_code,
            stopped=execution.stopped,
            timing=Timing(
                total=execution.seconds, startup=execution.startup, training=execution.training
            ),
            stop_class="nan" if execution.stopped and hopeless(self._tail()) else "other",
            clock_jump=execution.clock_jump,
            tampered=tampered,
            trust=self._guard.trust(execution, evaluated=self.evaluated),
            evaluation=self._seal.result if self._seal else None,
        )
        log = self._rooms.files.read(self._log)
        bench = self._bench
        measurement = bench.recipe.protocol.measurement
        return outcome_of(facts, log, measurement, bench.run_budget, self._order.baselines)

    def _hopeless(self) -> str | None:
        return self._guard.overflow(self._directory) or hopeless(self._tail())

    def _tail(self) -> bytes:
        return self._rooms.files.read(self._log, _TAIL_BYTES)

    def _damage(self) -> str | None:
        return prepared.damage(self._bench.data) if self._bench.data else None
