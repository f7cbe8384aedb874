"""A measured trial whose process has died: another one goes on with its audit."""

from pathlib import Path

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.events import Audited
from autoresearch_mcp.core.trial import Outcome, TrialRecord
from autoresearch_mcp.effects import processes, rundir
from autoresearch_mcp.session.auditing import faulted, probes_due
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.launching import launch, not_started
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Rooms

_RESUMPTIONS = 2
"""How often an audit is gone on with after a death: what kills it each time will go on to."""


def goes_on(rooms: Rooms, trial: TrialRecord, death: Outcome) -> bool:
    """Let another process audit a measured trial whose own has died, if an audit is due.

    Args:
        rooms: The recipe's rooms; the caller holds the recipe's lock.
        trial: The trial.
        death: Its outcome, should nobody go on.

    Returns:
        False once nothing more is to be audited, and the verdict can be given.
    """
    try:
        guard = Guard(Bench(rooms, recipe_of(rooms, trial.research)))
        if probes_due(rooms, guard, trial) == 0:
            return False
        if trial.cancel_requested or trial.resumptions >= _RESUMPTIONS:
            outcome = death
        elif _launched(rooms, trial):
            return True
        else:
            outcome = faulted(not_started(rooms, trial.id))
    except (Fault, OSError) as fault:
        outcome = faulted(fault)
    rooms.ledger.append(Audited(trial=trial.id, findings=(), outcome=outcome))
    return False


def sweep(trial: TrialRecord) -> None:
    """Remove what the audit of a process that died has left."""
    if trial.audit_directory is not None:
        processes.kill_users_of(Path(trial.audit_directory))
        rundir.remove(Path(trial.audit_directory))


def _launched(rooms: Rooms, trial: TrialRecord) -> bool:
    """Start the process that goes on with a trial; see it, or another one, report."""
    before = trial.resumptions
    reported = launch(rooms, trial.id, lambda record: record.resumptions > before, before + 1)
    return reported is not None
