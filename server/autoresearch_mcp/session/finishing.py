"""Hand a research run over to its owner: a branch of kept changes, and ways to take it in.

A commit of the results log's last rows is the one thing written. Like every step it is an
intent in the ledger first, and may be repeated.
"""

from collections import Counter
from datetime import datetime

from pydantic import Field

from autoresearch_mcp.core import resultslog
from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.events import Closing
from autoresearch_mcp.core.trial import Move
from autoresearch_mcp.session import applying, exporting
from autoresearch_mcp.session.answers import Answer
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.settling import settle
from autoresearch_mcp.session.state import State, look

_TRUNKS = ("main", "master")


class KeptChange(Answer):
    """One commit of the branch."""

    commit: str
    trial_id: int
    subject: str


class Way(Answer):
    """One way to take the branch in."""

    name: str
    command: str


class Finished(Answer):
    """A research run as it is handed over."""

    branch: str
    base: str = Field(description="Commit that the research began at.")
    kept: list[KeptChange] = Field(description="The branch's commits, oldest first.")
    log_commit: str | None = Field(description="Last commit, which holds the log's last rows.")
    notes: list[str] = Field(description="What was left alone, and why.")
    ways: list[Way]


def finish(rooms: Rooms, *, apply: bool = False) -> Finished:
    """Commit the results log's last rows on the research branch, and say how to take it in.

    Args:
        rooms: The recipe's rooms.
        apply: Carry out the verdict that waits for commit_or_revert first.

    Raises:
        Refusal: HEAD is on no research branch, or a trial is not brought to its end.
        Fault: Somebody moved the branch, or git is in the middle of something.
    """
    with rooms.locked():
        settle(rooms)
        state = look(rooms)
        if state.started is None:
            raise Refusal("session.branch", _elsewhere(state))
        notes: tuple[str, ...] = ()
        if apply and (waiting := state.awaiting_application):
            notes = applying.finish(rooms, applying.begin(rooms, waiting))
            state = look(rooms)
        _check_over(state)
        notes = (*notes, *_closed(state))
        return _handed_over(look(rooms), (*notes, *_untried(look(rooms))))


def _check_over(state: State) -> None:
    """Return if every trial is brought to its end.

    Raises:
        Refusal: One is not; the text names the next step.
        Fault: Somebody moved the branch, or git is in the middle of something.
    """
    if trial := state.under_way:
        raise Refusal(
            "session.busy",
            f"trial {trial.id} is going on: wait for its verdict (`autoresearch-mcp status` "
            "shows it), or have the agent cancel it (cancel_trial)",
        )
    if trial := state.awaiting_application:
        assert trial.verdict is not None
        raise Refusal(
            "session.verdict",
            f"trial {trial.id} is decided ({trial.verdict.status}), but that is not carried out "
            f"yet: `autoresearch-mcp finish --apply` does it, or the agent's "
            f"commit_or_revert(trial_id={trial.id})",
        )
    state.check_turn()
    assert state.research is not None
    applying.check_free(state.rooms, state.research)


def _closed(state: State) -> tuple[str, ...]:
    """Commit the rows that no kept trial committed, where there are any."""
    rooms, research, head = state.rooms, state.research, state.head.commit
    assert research is not None
    path, log = state.recipe.log_path, exporting.results_log(rooms, state.recipe, research)
    if not state.trials or rooms.repository.read(head, path) == log:
        return exporting.export(rooms, research, anew=True)
    last = state.trials[-1]
    assert last.ended_at is not None
    when = datetime.fromisoformat(last.ended_at)
    message = f"Results log up to trial {last.id}\n\n{_counts(state)}\n"
    new = rooms.vault.commit(head, {path: log}, message, when=when)
    rooms.ledger.append(Closing(trial=last.id, move=Move(old=head, new=new)))
    return applying.close(rooms, rooms.ledger.get(last.id))


def _counts(state: State) -> str:
    """Say how many trials ended how."""
    counts = Counter(resultslog.status(trial) for trial in state.trials if trial.verdict)
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _untried(state: State) -> tuple[str, ...]:
    return tuple(
        f"{path} holds a change that no trial has measured: it is left as it is"
        for path in state.candidate()
    )


def _handed_over(state: State, notes: tuple[str, ...]) -> Finished:
    assert state.started is not None
    kept = [t for t in state.trials if t.kept and t.applying_to not in {None, t.base}]
    logs = [t.closing.new for t in state.trials if t.closing]
    return Finished(
        branch=state.started.research,
        base=state.started.base,
        kept=[
            KeptChange(
                commit=t.applying_to or "", trial_id=t.id, subject=applying.subject(t.hypothesis)
            )
            for t in kept
        ],
        log_commit=logs[-1] if logs and logs[-1] == state.head.commit else None,
        notes=list(notes),
        ways=_ways(state, state.started.research),
    )


def _ways(state: State, branch: str) -> list[Way]:
    trunk = _trunk(state)
    onto = f"git switch {trunk} && git merge"
    return [
        Way(name="merge", command=f"{onto} {branch}"),
        Way(name="squash", command=f"{onto} --squash {branch} && git commit"),
        Way(name="pull request", command=f"git push --set-upstream origin {branch}"),
    ]


def _trunk(state: State) -> str:
    """Return the branch that the research most likely began on."""
    rooms, base = state.rooms, state.recipe.commit
    found = {
        name: commit
        for name, commit in rooms.repository.branches_with(base).items()
        if not rooms.ledger.research(name)
    }
    ranked = sorted(found, key=lambda name: (found[name] != base, name not in _TRUNKS, name))
    return ranked[0] if ranked else "YOUR-BRANCH"


def _elsewhere(state: State) -> str:
    rooms = state.rooms
    branches = rooms.repository.refs("refs/heads")
    known = [name.removeprefix("refs/heads/") for name in branches]
    runs = [name for name in known if rooms.ledger.research(name)]
    here = state.head.branch or "no branch"
    if not runs:
        return f"HEAD is on {here}, and no research has been started in this repository"
    return f"HEAD is on {here}: switch to the research branch first (git switch {runs[-1]})"
