"""One run of one commit: fresh directory, proof of the harness, execution, outcome."""

from collections.abc import Callable
from dataclasses import dataclass

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.outcomes import RunFacts, outcome_of
from autoresearch_mcp.core.progress import hopeless
from autoresearch_mcp.core.trial import Outcome, Timing, Trust
from autoresearch_mcp.effects import prepared, supervisor
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.supervisor import Channel, Execution, RunSpec
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.rooms import Rooms

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
    bench: Bench,
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
    if bench.data and (problem := prepared.damage(bench.data)):
        raise Fault(f"{problem}: run `autoresearch-mcp prepare` again")
    files = rooms.repository.materialise(order.commit, directory.recipe, {bench.recipe.log_path})
    log = rooms.files.run_log(order.trial, order.number)

    def watch() -> str | None:
        return CANCELLED if is_stopped() else hopeless(rooms.files.read(log, _TAIL_BYTES))

    with Channel() as channel:
        settings = bench.settings(order.seed, channel.child_end)
        run_file = directory.write_settings(settings)
        variables = bench.variables(run_file)
        spec = RunSpec(
            argv=bench.argv(bench.recipe.command),
            cwd=directory.recipe / bench.recipe.protocol.execution.cwd,
            environment=directory.environment(bench.interpreter.path, order.seed, variables),
            log=log,
            hard_timeout=bench.budget.hard_timeout_seconds,
        )
        execution = supervisor.execute(spec, channel, watch)
    if execution.stopped == CANCELLED:
        return None
    tampered = directory.changed(files) or (prepared.damage(bench.data) if bench.data else None)
    facts = RunFacts(
        exit_code=execution.exit_code,
        stopped=execution.stopped,
        timing=_timing(execution),
        clock_jump=execution.clock_jump,
        tampered=tampered,
        trust=Trust(),
    )
    measurement = bench.recipe.protocol.measurement
    return outcome_of(facts, rooms.files.read(log), measurement, bench.budget, order.baselines)


def _timing(execution: Execution) -> Timing:
    return Timing(total=execution.seconds, startup=execution.startup, training=execution.training)
