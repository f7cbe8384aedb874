"""The metric of a certificate's run on the holdout: rows that no run and no verdict has seen."""

from collections.abc import Callable

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.evaluation import bits_per_byte, objection
from autoresearch_mcp.effects import prepared
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.sealing import ProverEnded
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.proving import Subject, proving
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.sealing import scored


def holdout_value(
    rooms: Rooms,
    guard: Guard,
    subject: Subject,
    directory: RunDirectory,
    give_up: Callable[[], str | None],
) -> float | None:
    """Score the model that a run handed over on the holdout.

    Args:
        rooms: The recipe's rooms.
        guard: What holds the prover.
        subject: The run, whose model is still stored.
        directory: The run's; the prover's folders are made inside.
        give_up: Asked about five times a second: a reason to stop, or None.

    Returns:
        The metric; None where the server evaluates no models here or there are no such rows.

    Raises:
        Fault: The model cannot be scored.
    """
    data = guard.bench.data
    if not guard.seals or data is None:
        return None
    rows = prepared.evaluation_data(data, holdout=True)
    if rows is None:
        return None
    try:
        with proving(rooms, guard, subject, directory.inner("holdout"), give_up) as prover:
            losses = scored(prover, rows, data.manifest.profile.eval_micro_batch)
    except ProverEnded as ended:
        raise Fault(f"the model could not be evaluated on the holdout: {ended}") from ended
    if problem := objection(losses):
        raise Fault(f"the model has no metric on the holdout: {problem}")
    return bits_per_byte(losses, rows)
