"""Bring every trial to rest: verdicts where a process died, intents that were not carried out.

Everything here may be repeated: a death at any point is mended by the next call. The caller
always holds the recipe's lock.
"""

from contextlib import suppress
from pathlib import Path

from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.events import Done, Measured
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Phase, TrialRecord
from autoresearch_mcp.effects import processes, rundir
from autoresearch_mcp.session import applying, court, exporting, noisebook
from autoresearch_mcp.session.recipe import Recipe, recipe_of
from autoresearch_mcp.session.rooms import Rooms

TRIAL_REFS = "refs/autoresearch/trials"
"""Where every candidate that was ever tried stays reachable, by its trial's number."""


def settle(rooms: Rooms) -> None:
    """Finish what a dead process left unfinished.

    A verdict that nobody asked to apply stays unapplied.
    """
    rooms.vault.sweep()
    here = rooms.repository.head().branch
    if here and rooms.ledger.research(here):
        _sweep(rooms, recipe_of(rooms, here))
    for trial in rooms.ledger.unfinished():
        if trial.undecided and not _has_process(trial):
            _interrupt(rooms, trial)
        elif trial.phase is Phase.DECIDED:
            _show_verdict(rooms, trial)
        elif trial.phase is Phase.APPLYING and trial.research == here:
            applying.finish(rooms, trial)
        elif trial.phase is Phase.CLOSING and trial.research == here:
            applying.close(rooms, trial)


def conclude(rooms: Rooms, trial_id: int) -> None:
    """Record the verdict on a measured trial, and end it where nothing is to be applied.

    Raises:
        Fault: The ledger was changed behind its own back: no verdict is built on it.
    """
    rooms.ledger.checkpoint()
    rooms.files.drop_models(trial_id)
    recipe = recipe_of(rooms, rooms.ledger.get(trial_id).research)
    rooms.ledger.append(court.decide(rooms, trial_id, recipe.protocol))
    trial = rooms.ledger.get(trial_id)
    noisebook.remember(rooms, trial)
    if trial.baseline and trial.outcome and trial.outcome.kind is OutcomeKind.MEASURED:
        _keep_baseline_log(rooms, trial, recipe)
    _show_verdict(rooms, rooms.ledger.get(trial_id))


def _show_verdict(rooms: Rooms, trial: TrialRecord) -> None:
    """Write a decided trial's row into the working tree; end it where that is all there is."""
    exporting.export(rooms, trial.research)
    if not trial.awaits_application:
        rooms.ledger.append(Done(trial=trial.id))


def _sweep(rooms: Rooms, recipe: Recipe) -> None:
    """Remove what writes that were killed left: while the lock is held, nobody else writes."""
    folders = {path.rpartition("/")[0]: path for path in (*recipe.files, recipe.log_path)}
    for path in folders.values():
        with suppress(Refusal):  # no such folder: nothing was left in it
            rooms.workspace.sweep(path)


def _interrupt(rooms: Rooms, trial: TrialRecord) -> None:
    """Record the end of a trial whose process is gone; a measured one still gets its verdict."""
    rooms = rooms.as_for(trial)
    for run in trial.runs:
        processes.kill_users_of(Path(run.directory))
        rundir.remove(Path(run.directory))
    # Its server may have died between the ledger's entry and the ref.
    rooms.vault.move(f"{TRIAL_REFS}/{trial.id}", trial.candidate, None)
    _sweep(rooms, recipe_of(rooms, trial.research))
    # Provers and their sandboxes: a tenth of what a server loads, and seldom needed here.
    from autoresearch_mcp.session import resuming  # noqa: PLC0415

    resuming.sweep(trial)
    if trial.phase is Phase.MEASURED:
        if resuming.goes_on(rooms, trial, _death(rooms, trial)):
            return
    elif trial.phase is not Phase.AUDITED:
        rooms.ledger.append(Measured(trial=trial.id, outcome=_death(rooms, trial)))
    conclude(rooms, trial.id)


def _death(rooms: Rooms, trial: TrialRecord) -> Outcome:
    """Say how a trial ended whose process could not say it."""
    if trial.cancel_requested:
        return Outcome(kind=OutcomeKind.CANCELLED, reason="cancelled on request")
    said = rooms.files.last_line(rooms.files.process_log(trial.id))
    return Outcome(
        kind=OutcomeKind.INTERRUPTED,
        reason=f"the trial's process died before it could record a result{said}",
        hint="Start the trial again: the candidate is still in place.",
    )


def _has_process(trial: TrialRecord) -> bool:
    # A trial without a process was staged by a server that died before its process could
    # report: the lock that the caller holds is held until that report.
    return trial.process is not None and processes.is_alive(trial.process)


def _keep_baseline_log(rooms: Rooms, trial: TrialRecord, recipe: Recipe) -> None:
    """Write the baseline's log where the protocol asks for it, unless something is there."""
    path = recipe.protocol.provenance.baseline_artifact_path
    if path is None or not trial.runs or rooms.repository.head().branch != trial.research:
        return
    log = rooms.files.read(rooms.files.run_log(trial.id, len(trial.runs)))
    with suppress(Refusal, Fault):  # the log stays in the trial's own files
        rooms.workspace.write(path, log, expected=None, make_folders=True)
