"""A prover at work: a model's process in a fresh sandbox, ready to answer the server."""

import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autoresearch_mcp.core.command import Command
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects import sealing, supervisor
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.sealing import Dialogue, ProverEnded
from autoresearch_mcp.effects.supervisor import RunSpec
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.rooms import Rooms

NO_TRIAL = 0
"""What the runs for a certificate are filed under: they belong to no trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose model is questioned.

    Args:
        trial: The trial.
        number: The run within it that handed the model over.
        commit: The commit that was run.
        seed: The run's seed.
        hard_timeout: When a prover is killed, seconds from its start; None for a run's limit.
    """

    trial: int
    number: int
    commit: str
    seed: int
    hard_timeout: float | None = None


@contextmanager
def proving(
    rooms: Rooms,
    guard: Guard,
    subject: Subject,
    directory: RunDirectory,
    give_up: Callable[[], str | None],
) -> Generator[Dialogue]:
    """Keep a prover for a stored model; it ends with the block.

    It gets the recipe's tree and its own scratch, and no data.

    Args:
        rooms: The recipe's rooms.
        guard: What holds the prover.
        subject: Whose model it loads.
        directory: Its own fresh folders; the caller removes them.
        give_up: Asked about five times a second: a reason to wait no longer, or None.

    Raises:
        Fault: Its sandbox did not start, or there is no prepared data.
        ProverEnded: The model does not load.
    """
    data = guard.bench.data
    if data is None:
        raise Fault("a model can only be evaluated on prepared data")
    mine, theirs = socket.socketpair()
    with mine, theirs:
        spec = _spec(rooms, guard, subject, directory, theirs.fileno())
        with supervisor.attended(spec, theirs):
            deadline = time.monotonic() + spec.hard_timeout
            prover = Dialogue(mine, data.manifest.profile.vocab_size, deadline, give_up)
            try:
                prover.expect("launched")
            except ProverEnded as ended:
                if give_up():
                    raise
                said = rooms.files.last_line(spec.log)
                raise Fault(f"the prover could not be started in its sandbox{said}") from ended
            prover.expect("ready")
            yield prover


def _spec(
    rooms: Rooms, guard: Guard, subject: Subject, directory: RunDirectory, channel: int
) -> RunSpec:
    """Fill the prover's folders and return what to execute."""
    bench, model = guard.bench, rooms.files.model(subject.trial, subject.number)
    sealing.lend(directory.lent)
    recipe = bench.recipe
    rooms.repository.materialise(subject.commit, directory.recipe, {recipe.log_path})
    settings = bench.settings(subject.seed, channel, directory.lent)
    run_file = directory.write_settings({**settings, "model": str(model)})
    variables = {
        **bench.variables(run_file, subject.seed),
        **guard.lend_kernels("prover", directory),
    }
    environment = directory.environment(bench.interpreter.path, variables)
    script = str(directory.lent / sealing.PROVER)
    argv = bench.argv(Command(kind="recipe_python", script=script, args=()))
    policy = guard.prover_policy(directory, model)
    wrapped = guard.sandbox.wrap(argv, environment, policy)
    folder = directory.recipe / recipe.protocol.execution.cwd
    return RunSpec(
        argv=wrapped.argv,
        cwd=folder / Path(recipe.command.script).parent,
        environment=wrapped.environment,
        log=rooms.files.prover_log(subject.trial, subject.number),
        hard_timeout=subject.hard_timeout or bench.budget.hard_timeout_seconds,
    )
