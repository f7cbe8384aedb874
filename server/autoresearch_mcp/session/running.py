"""One run of one commit: fresh directory, proof of the harness, execution, outcome."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.outcomes import RunFacts, outcome_of
from autoresearch_mcp.core.progress import hopeless
from autoresearch_mcp.core.trial import Outcome, Timing
from autoresearch_mcp.effects import prepared, supervisor
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.supervisor import Channel, Execution, RunSpec
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.rooms import Rooms

Watch = Callable[[], str | None]

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
    """

    trial: int
    number: int
    commit: str
    seed: int
    baselines: tuple[Timing, ...]


def perform(
    rooms: Rooms,
    guard: Guard,
    order: RunOrder,
    directory: RunDirectory,
    is_stopped: Callable[[], bool],
) -> Outcome | None:
    """Execute one run in its directory and say what came of it.

    Returns:
        The outcome, or None when the run was ended because the trial is to end.

    Raises:
        Fault: The prepared data is not what it was, or the commit cannot be written out.
    """
    bench = guard.bench
    if bench.data and (problem := prepared.damage(bench.data)):
        raise Fault(f"{problem}: run `autoresearch-mcp prepare` again")
    without = {bench.recipe.log_path}
    files = rooms.repository.materialise(order.commit, directory.recipe, without)
    log = rooms.files.run_log(order.trial, order.number)

    def watch() -> str | None:
        if is_stopped():
            return CANCELLED
        return guard.overflow(directory) or hopeless(tail())

    def tail() -> bytes:
        return rooms.files.read(log, _TAIL_BYTES)

    execution = _execute(guard, order, directory, log, watch)
    if execution.stopped == CANCELLED:
        return None
    if guard.failed(execution, tail()):
        raise Fault(f"the sandbox did not start the run{rooms.files.last_line(log)}")
    tampered = directory.changed(files) or (prepared.damage(bench.data) if bench.data else None)
    facts = RunFacts(
        exit_code=execution.exit_code,
        stopped=execution.stopped,
        timing=_timing(execution),
        stop_class="nan" if execution.stopped and hopeless(tail()) else "other",
        clock_jump=execution.clock_jump,
        tampered=tampered,
        trust=guard.trust(execution),
    )
    measurement = bench.recipe.protocol.measurement
    return outcome_of(facts, rooms.files.read(log), measurement, bench.budget, order.baselines)


def _execute(
    guard: Guard, order: RunOrder, directory: RunDirectory, log: Path, watch: Watch
) -> Execution:
    """Start the protocol's command, launcher first, in its sandbox."""
    bench = guard.bench
    with Channel() as channel:
        run_file = directory.write_settings(bench.settings(order.seed, channel.child_end))
        variables = bench.variables(run_file)
        environment = directory.environment(bench.interpreter.path, order.seed, variables)
        argv = bench.argv(bench.recipe.command)
        wrapped = guard.sandbox.wrap(argv, environment, guard.policy(directory))
        spec = RunSpec(
            argv=wrapped.argv,
            cwd=directory.recipe / bench.recipe.protocol.execution.cwd,
            environment=wrapped.environment,
            log=log,
            hard_timeout=bench.budget.hard_timeout_seconds,
        )
        execution = supervisor.execute(spec, channel, watch)
    return replace(execution, exit_code=wrapped.exit_code(execution.exit_code))


def _timing(execution: Execution) -> Timing:
    return Timing(total=execution.seconds, startup=execution.startup, training=execution.training)
