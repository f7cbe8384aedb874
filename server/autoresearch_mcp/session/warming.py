"""A short run of the recipe as committed, by which MLX compiles its CUDA kernels once."""

from collections.abc import Callable
from pathlib import Path

from autoresearch_mcp.effects import kernels
from autoresearch_mcp.effects.kernels import Whose
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.proving import NO_TRIAL
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.running import Performance, RunOrder

_TRAINING_SECONDS = 5.0
_LONGEST_SECONDS = 900.0
"""Of the whole run, whatever a run may take: slow machines compile longer than a trial lasts."""
_SEED = 0
_WHOSE: tuple[Whose, ...] = ("run", "prover")


def warm_up(rooms: Rooms, guard: Guard, is_stopped: Callable[[], bool]) -> None:
    """Fill the store of compiled kernels, unless that is done or MLX needs none.

    The run counts for nothing: a recipe that fails here fails in its first trial, which says why.
    What its prover leaves goes to all others, those of audits too: it is shown no validation rows,
    which it could leave for them. Where nothing is sealed there is no prover, and the run evaluates
    itself as all others do; its store is another.

    Args:
        rooms: The recipe's rooms.
        guard: What holds the run.
        is_stopped: Asked about five times a second whether to end.

    Raises:
        Fault: The run could not be started.
    """
    store, needed = guard.kernels, _WHOSE if guard.seals else _WHOSE[:1]
    if store is None or not kernels.are_due(store, needed):
        return
    order = RunOrder(
        trial=NO_TRIAL,
        number=0,
        commit=guard.bench.recipe.commit,
        seed=_SEED,
        baselines=(),
        training_seconds=_TRAINING_SECONDS,
        hard_timeout=_LONGEST_SECONDS,
        counts=False,
    )
    directory = RunDirectory.choose()
    try:
        directory.make()
        run = Performance(rooms, guard, order, directory)
        if run.perform(is_stopped) is None:
            return
        made: dict[Whose, Path] = {"run": directory.kernels}
        if run.evaluated:  # else there was no prover, or it has not come to its end
            made["prover"] = directory.prover.kernels
        kernels.fill(store, made)
    finally:
        directory.remove()
        rooms.files.drop_models(NO_TRIAL)
