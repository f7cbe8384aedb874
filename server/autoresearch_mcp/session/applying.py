"""Carry out a verdict: branch, index, working tree and results log follow the ledger.

Everything here may be repeated: a death at any point is mended by doing it again.
"""

import hashlib
from datetime import datetime
from textwrap import fill, shorten

from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.events import Applying, Done
from autoresearch_mcp.core.trial import Move, TrialRecord
from autoresearch_mcp.core.verdict import VerdictStatus
from autoresearch_mcp.session import exporting
from autoresearch_mcp.session.recipe import recipe_of
from autoresearch_mcp.session.rooms import Rooms

_SUBJECT_CHARACTERS = 72


def begin(rooms: Rooms, trial: TrialRecord) -> TrialRecord:
    """Record the intent to carry out a verdict; nothing is moved yet.

    Raises:
        Refusal: HEAD is on another branch.
        Fault: Somebody moved the branch, or git is in the middle of something.
    """
    check_applicable(rooms, trial)
    assert trial.verdict is not None
    kept = trial.verdict.status is VerdictStatus.KEEP
    new = _commit(rooms, trial) if kept else trial.base
    rooms.ledger.append(Applying(trial=trial.id, old=trial.base, new=new))
    return rooms.ledger.get(trial.id)


def check_applicable(rooms: Rooms, trial: TrialRecord) -> None:
    """Return if a verdict on a trial can be carried out now, whatever it is.

    Raises:
        Refusal: HEAD is on another branch.
        Fault: Somebody moved the branch, or git is in the middle of something.
    """
    head = rooms.repository.head()
    if head.branch != trial.research:
        raise Refusal(
            "session.branch",
            f"trial {trial.id} belongs to branch {trial.research}, but HEAD is on "
            f"{head.branch or 'no branch'}: switch back (git switch {trial.research}) first",
        )
    check_free(rooms, trial.research)
    if head.commit != trial.base:
        raise _moved(trial, head.commit, trial.base)


def finish(rooms: Rooms, trial: TrialRecord) -> tuple[str, ...]:
    """Make branch, index and working tree follow a recorded intent.

    Returns:
        What was left alone because somebody else had changed it, in plain words.

    Raises:
        Fault: Somebody moved the branch meanwhile.
    """
    new = trial.applying_to
    assert new is not None
    _move_branch(rooms, trial, Move(old=trial.base, new=new))
    committed = new != trial.base  # the log, too, made anew
    left = (*_follow(rooms, trial, new), *exporting.export(rooms, trial.research, anew=committed))
    rooms.ledger.append(Done(trial=trial.id))
    return left


def close(rooms: Rooms, trial: TrialRecord) -> tuple[str, ...]:
    """Make branch and index follow a recorded intent to commit the results log alone.

    Returns:
        What was left alone because somebody else had changed it, in plain words.

    Raises:
        Fault: Somebody moved the branch meanwhile.
    """
    move = trial.closing
    assert move is not None
    _move_branch(rooms, trial, move)
    path = recipe_of(rooms, trial.research).log_path
    log = exporting.export(rooms, trial.research, anew=True)
    left = (*_follow_index(rooms, [path], move), *log)
    rooms.ledger.append(Done(trial=trial.id))
    return left


def check_free(rooms: Rooms, research: str) -> None:
    """Return if a research run's branch may be moved under the user's feet.

    Raises:
        Fault: git is in the middle of something, or another worktree is on that branch.
    """
    if operation := rooms.repository.in_progress():
        raise Fault(f"a git {operation} is in progress: finish or abort it, then try again")
    if other := rooms.repository.checked_out_elsewhere(f"refs/heads/{research}"):
        raise Fault(
            f"{research} is checked out in {other} as well, whose files would no longer fit it: "
            f"put that worktree on another branch (git -C {other} switch --detach), then try again"
        )


def _move_branch(rooms: Rooms, trial: TrialRecord, move: Move) -> None:
    branch = f"refs/heads/{trial.research}"
    head = rooms.repository.ref(branch)
    if head not in {move.old, move.new}:
        raise _moved(trial, head, move.old)
    if head != move.new and not rooms.vault.move(branch, move.new, move.old):
        raise _moved(trial, rooms.repository.ref(branch), move.old)


def _commit(rooms: Rooms, trial: TrialRecord) -> str:
    """Write the commit that a kept trial becomes, and return it. No branch moves."""
    recipe = recipe_of(rooms, trial.research)
    changes = {
        path: content
        for path in recipe.files
        if (content := rooms.repository.read(trial.candidate, path)) is not None
    }
    changes[recipe.log_path] = exporting.results_log(rooms, recipe, trial.research, upto=trial.id)
    assert trial.ended_at is not None
    when = datetime.fromisoformat(trial.ended_at)
    return rooms.vault.commit(trial.base, changes, _message(trial), when=when)


def subject(hypothesis: str) -> str:
    """Return a hypothesis as a commit's first line."""
    return shorten(hypothesis, _SUBJECT_CHARACTERS, placeholder=" ...")


def _message(trial: TrialRecord) -> str:
    """Write what a commit says: the hypothesis, and the evidence that it was kept on."""
    assert trial.verdict is not None
    assert trial.outcome is not None
    first = subject(trial.hypothesis)
    whole = [] if first == trial.hypothesis else [fill(trial.hypothesis, _SUBJECT_CHARACTERS), ""]
    runs = [
        f"Run {run.number}: {run.role}, seed {run.seed}, {run.outcome.value}"
        + (f", audit {run.audit.kind}" if run.audit else "")
        for run in trial.runs
        if run.outcome
    ]
    facts = [
        f"Trial {trial.id}: {trial.verdict.reason}.",
        f"Measured: {trial.outcome.reason}; trust: {trial.outcome.trust.level}.",
        *runs,
        f"Lines: +{trial.added} -{trial.removed}.",
        f"Candidate: {trial.candidate}",
    ]
    return "\n".join([first, "", *whole, *facts, ""])


def _moved(trial: TrialRecord, head: str | None, expected: str) -> Fault:
    return Fault(
        f"branch {trial.research} is at {(head or 'nothing')[:7]}, but trial {trial.id} needs it "
        f"at {expected[:7]}: somebody moved it, and nothing was overwritten. To go on from "
        "here, switch to a new branch (git switch -c NAME): the next trial starts a new research "
        f"run there. To carry out the verdict, put {trial.research} back at {expected[:7]} first"
    )


def _follow(rooms: Rooms, trial: TrialRecord, new: str) -> tuple[str, ...]:
    """Bring index and working tree to the new head, file by file, where that loses nothing."""
    if rooms.repository.head().branch != trial.research:
        return (f"HEAD is not on {trial.research}: the working tree is left alone",)
    recipe = recipe_of(rooms, trial.research)
    notes: list[str] = []
    for path in recipe.files:
        target = rooms.repository.read(new, path)
        if target is not None and not _brought(rooms, trial, path, target):
            notes.append(
                f"{path} was changed outside and is left as it is; "
                "take it as the next candidate with apply_edit(adopt=true)"
            )
    if new != trial.base:
        move = Move(old=trial.base, new=new)
        notes += _follow_index(rooms, [*recipe.files, recipe.log_path], move)
    return tuple(notes)


def _follow_index(rooms: Rooms, paths: list[str], move: Move) -> list[str]:
    """Bring the user's index to the new head for some paths, where nothing else is staged."""
    left = rooms.vault.refresh_index(paths, move.old, move.new)
    return [f"what you have staged of {path} is left staged" for path in left]


def _brought(rooms: Rooms, trial: TrialRecord, path: str, target: bytes) -> bool:
    """Write a file of the new head; False where the present one is nobody's but the user's."""
    present = rooms.workspace.digest(path)
    if present == hashlib.sha256(target).hexdigest():
        return True
    if present is None or not rooms.ledger.knows(trial.research, present):
        return False
    rooms.workspace.write(path, target, expected=present)
    return True
