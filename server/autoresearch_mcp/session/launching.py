"""Start the process that a trial is seen through by, and see it report."""

import sys
import time
from collections.abc import Callable

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.effects import processes
from autoresearch_mcp.session.rooms import Rooms

_REPORT_SECONDS = 60.0
_POLL_SECONDS = 0.02


def launch(
    rooms: Rooms,
    trial_id: int,
    has_reported: Callable[[TrialRecord], bool],
    resumption: int | None = None,
) -> TrialRecord | None:
    """Start a trial's own process and wait for its first entry in the ledger.

    Args:
        rooms: The recipe's rooms.
        trial_id: The trial.
        has_reported: Whether the ledger has that entry.
        resumption: Which of the trial's resumptions it is, from 1; None for its first process.

    Returns:
        The trial; None where the process ended, or took too long, before it reported.
    """
    command = [
        *(sys.executable, "-m", "autoresearch_mcp", "_trial", str(trial_id)),
        *("--repo", str(rooms.repository.root)),
        *rooms.options.as_arguments(),
        *([] if resumption is None else ["--resumption", str(resumption)]),
    ]
    process = processes.start(command, rooms.files.process_log(trial_id))
    deadline = time.monotonic() + _REPORT_SECONDS
    while True:
        present = rooms.ledger.get(trial_id)
        if has_reported(present):
            return present
        if process.poll() is not None or time.monotonic() > deadline:
            return None
        time.sleep(_POLL_SECONDS)


def not_started(rooms: Rooms, trial_id: int) -> Fault:
    """Return what a person is told of a process that did not report."""
    log = rooms.files.process_log(trial_id)
    said = rooms.files.last_line(log)
    return Fault(f"the process of trial {trial_id} did not start{said}; its log: {log}")
