"""Bring every trial to rest: verdicts where the process died, branches that were being moved.

Everything here may be repeated: a death at any point is mended by the next call.
"""

import hashlib
from datetime import datetime
from pathlib import Path

from autoresearch_mcp.core import resultslog
from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.events import Done, Exported, Measured
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Phase, TrialRecord
from autoresearch_mcp.effects import processes, rundir
from autoresearch_mcp.effects.workspace import Conflict
from autoresearch_mcp.session import court
from autoresearch_mcp.session.recipe import Recipe, recipe_at
from autoresearch_mcp.session.rooms import Rooms

TRIAL_REFS = "refs/autoresearch/trials"
"""Where every candidate that was ever tried stays reachable, by its trial's number."""


def settle(rooms: Rooms) -> None:
    """Finish what a dead process left unfinished. The caller holds the recipe's lock.

    A verdict that nobody asked to apply stays unapplied.
    """
    for trial in rooms.ledger.unfinished():
        if trial.undecided and not _has_process(trial):
            _interrupt(rooms, trial)
        elif trial.phase is Phase.DECIDED and _needs_no_application(trial):
            rooms.ledger.append(Done(trial=trial.id))
        elif trial.phase is Phase.APPLYING:
            finish_applying(rooms, trial)


def conclude(rooms: Rooms, trial_id: int) -> None:
    """Record the verdict on a measured trial, and end it where nothing is to be applied.

    The caller holds the recipe's lock.

    Raises:
        Fault: The ledger was changed behind its own back: no verdict is built on it.
    """
    rooms.ledger.verify()
    trial = _get(rooms, trial_id)
    trials = rooms.ledger.trials(trial.research)
    recipe, started = _recipe(rooms, trial), rooms.ledger.research(trial.research)
    assert started is not None
    rule = court.rule_of(recipe.protocol, rooms.options)
    rankable = started.setting.rankable
    rooms.ledger.append(court.verdict_on(trial, trials, rule, rankable=rankable))
    if trial.baseline and trial.outcome and trial.outcome.kind is OutcomeKind.MEASURED:
        _keep_baseline_log(rooms, trial, recipe)
    if _needs_no_application(_get(rooms, trial_id)):
        rooms.ledger.append(Done(trial=trial_id))
    export(rooms, trial.research)


def finish_applying(rooms: Rooms, trial: TrialRecord) -> tuple[str, ...]:
    """Make branch, index and working tree follow a recorded intent.

    Returns:
        What was left alone because somebody else had changed it, in plain words.

    Raises:
        Fault: Somebody moved the branch meanwhile.
    """
    repository, new = rooms.repository, trial.applying_to
    assert new is not None
    branch = f"refs/heads/{trial.research}"
    head = repository.ref(branch)
    if head not in {trial.base, new} or (
        head != new and not rooms.vault.move(branch, new, trial.base)
    ):
        raise Fault(
            f"branch {trial.research} was moved to {(head or 'nothing')[:7]} while trial "
            f"{trial.id} was being applied (expected {trial.base[:7]}): move it back with "
            f"`git update-ref {branch} {trial.base}`, then try again; nothing was overwritten"
        )
    left = _follow(rooms, trial, new)
    rooms.ledger.append(Done(trial=trial.id))
    return (*left, *export(rooms, trial.research))


def export(rooms: Rooms, research: str) -> tuple[str, ...]:
    """Write the results log into the working tree, unless somebody else changed it there.

    Returns:
        A note where the file was left alone.
    """
    started = rooms.ledger.research(research)
    assert started is not None
    if rooms.repository.head().branch != research:
        return ()
    recipe = recipe_at(rooms.repository, started.base)
    path = recipe.log_path
    content = results_log(rooms, recipe, research)
    present, digest = rooms.workspace.digest(path), hashlib.sha256(content).hexdigest()
    if present == digest:
        return ()
    committed = rooms.repository.read(rooms.repository.head().commit, path)
    known = committed is not None and hashlib.sha256(committed).hexdigest() == present
    if present is not None and not known and not rooms.ledger.knows(research, present):
        return (f"{path} was changed by somebody else and is left alone; the ledger has it all",)
    rooms.ledger.append(Exported(research=research, sha256=digest))
    try:
        rooms.workspace.write(path, content, expected=present)
    except (Conflict, Refusal) as error:
        return (f"{path} is left alone: {error}",)
    return ()


def results_log(rooms: Rooms, recipe: Recipe, research: str, *, upto: int | None = None) -> bytes:
    """Return the results log's content: the lines from before the run, then one per trial."""
    trials = rooms.ledger.trials(research)
    measurement, log = recipe.protocol.measurement, recipe.protocol.provenance.results_log
    before = rooms.repository.read(recipe.commit, log.path)
    rows = [t for t in trials if upto is None or t.id <= upto]
    return resultslog.render(before, log.columns, measurement.primary_metric.name, rows)


def commit_kept(rooms: Rooms, trial: TrialRecord) -> str:
    """Write the commit that a kept trial becomes, and return it. No branch moves."""
    recipe = _recipe(rooms, trial)
    repository = rooms.repository
    changes = {
        path: content
        for path in recipe.files
        if (content := repository.read(trial.candidate, path)) is not None
    }
    changes[recipe.log_path] = results_log(rooms, recipe, trial.research, upto=trial.id)
    assert trial.ended_at is not None
    when = datetime.fromisoformat(trial.ended_at)
    return rooms.vault.commit(trial.base, changes, _message(trial), when=when)


def _message(trial: TrialRecord) -> str:
    assert trial.verdict is not None
    title = " ".join(trial.hypothesis.split()) or f"Trial {trial.id}"
    return (
        f"{title}\n\nTrial {trial.id}: {trial.verdict.reason}.\n"
        f"Runs: {len(trial.runs)}. Lines: +{trial.added} -{trial.removed}.\n"
        f"Candidate: {trial.candidate}\n"
    )


def _follow(rooms: Rooms, trial: TrialRecord, new: str) -> tuple[str, ...]:
    """Bring index and working tree to the new head, file by file, where that loses nothing."""
    repository = rooms.repository
    if repository.head().branch != trial.research:
        return (f"HEAD is not on {trial.research}: the working tree is left alone",)
    recipe = _recipe(rooms, trial)
    notes: list[str] = []
    for path in recipe.files:
        target = repository.read(new, path)
        if target is None:
            continue
        present = rooms.workspace.digest(path)
        if present == hashlib.sha256(target).hexdigest():
            continue
        if present is None or not rooms.ledger.knows(trial.research, present):
            notes.append(
                f"{path} was changed outside and is left as it is; "
                "take it as the next candidate with apply_edit(adopt=true)"
            )
            continue
        rooms.workspace.write(path, target, expected=present)
    rooms.vault.refresh_index([*recipe.files, recipe.log_path], trial.base, new)
    return tuple(notes)


def _interrupt(rooms: Rooms, trial: TrialRecord) -> None:
    """Record the end of a trial whose process is gone; a measured one still gets its verdict."""
    for run in trial.runs:
        rundir.remove(Path(run.directory))
    # Its server may have died between the ledger's entry and the ref.
    rooms.vault.move(f"{TRIAL_REFS}/{trial.id}", trial.candidate, None)
    if trial.phase not in {Phase.MEASURED, Phase.AUDITED}:
        said = rooms.files.last_line(rooms.files.process_log(trial.id))
        outcome = Outcome(
            kind=OutcomeKind.INTERRUPTED,
            reason=f"the trial's process died before it could record a result{said}",
            hint="Start the trial again: the candidate is still in place.",
        )
        rooms.ledger.append(Measured(trial=trial.id, outcome=outcome))
    conclude(rooms, trial.id)


def _needs_no_application(trial: TrialRecord) -> bool:
    """A baseline changes no file, and an interrupted trial leaves its candidate in place."""
    if trial.outcome is None:
        return False
    return trial.baseline or trial.outcome.kind is OutcomeKind.INTERRUPTED


def _has_process(trial: TrialRecord) -> bool:
    # A trial without a process was staged by a server that died before its process could
    # report: the lock that the caller holds is held until that report.
    return trial.process is not None and processes.is_alive(trial.process)


def _keep_baseline_log(rooms: Rooms, trial: TrialRecord, recipe: Recipe) -> None:
    """Write the baseline's log where the protocol asks for it, unless that would overwrite."""
    path = recipe.protocol.provenance.baseline_artifact_path
    if path is None:
        return
    log = rooms.files.read(rooms.files.run_log(trial.id, len(trial.runs)))
    try:
        rooms.workspace.write(path, log, expected=rooms.workspace.digest(path), make_folders=True)
    except (Conflict, Refusal, Fault):
        return  # the log stays in the trial's own files


def _recipe(rooms: Rooms, trial: TrialRecord) -> Recipe:
    started = rooms.ledger.research(trial.research)
    assert started is not None
    return recipe_at(rooms.repository, started.base)


def _get(rooms: Rooms, trial_id: int) -> TrialRecord:
    trial = rooms.ledger.trial(trial_id)
    assert trial is not None
    return trial
