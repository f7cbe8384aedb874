"""The operator decides otherwise than the rule: possible, and never unseen."""

from typing import Literal

from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.events import Overruled
from autoresearch_mcp.core.trial import OutcomeKind, Phase, TrialRecord
from autoresearch_mcp.core.verdict import VerdictStatus
from autoresearch_mcp.session import applying
from autoresearch_mcp.session.answers import AppliedView
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.settling import settle
from autoresearch_mcp.session.trials import applied_view, find

Choice = Literal["keep", "discard"]


def overrule(rooms: Rooms, trial_id: int, choice: Choice, why: str) -> AppliedView:
    """Record the operator's decision on a trial in place of the rule's, and carry it out.

    The ledger has both, and so do the results log and the commit message.

    Raises:
        Refusal: The trial is not waiting for commit_or_revert, has no value, or was decided so;
            HEAD is on another branch.
        Fault: Somebody moved the branch, or git is in the middle of something.
    """
    with rooms.locked():
        settle(rooms)
        trial = find(rooms, trial_id)
        _check(trial, choice)
        applying.check_applicable(rooms, trial)  # first: a refusal must leave the verdict as it is
        assert trial.verdict is not None
        reason = f"{choice} by the operator: {why}; the rule said {trial.verdict.status}: "
        verdict = trial.verdict.model_copy(
            update={
                "status": VerdictStatus(choice),
                "reason": reason + trial.verdict.reason,
                "operator": why,
            }
        )
        rooms.ledger.append(Overruled(trial=trial_id, verdict=verdict))
        notes = applying.finish(rooms, applying.begin(rooms, find(rooms, trial_id)))
        return applied_view(rooms, find(rooms, trial_id), notes)


def check(rooms: Rooms, trial_id: int, choice: Choice) -> TrialRecord:
    """Return the trial if the operator may decide it so now.

    Raises:
        Refusal: Not so.
    """
    trial = find(rooms, trial_id)
    _check(trial, choice)
    return trial


def _check(trial: TrialRecord, choice: Choice) -> None:
    if trial.undecided:
        raise Refusal("session.busy", f"trial {trial.id} has no verdict yet: wait for it")
    if trial.phase is not Phase.DECIDED or not trial.awaits_application:
        raise Refusal(
            "trial.applied",
            f"the verdict on trial {trial.id} is carried out already; to decide anew, put its "
            f"candidate back (autoresearch-mcp restore {trial.id}), have the agent run it again "
            "(its runs are kept), and overrule that trial",
        )
    if trial.verdict is not None and trial.verdict.status == choice:
        whose = "rule" if trial.verdict.operator is None else "operator"
        raise Refusal(
            "trial.same",
            f"{choice} is the {whose}'s own verdict on trial {trial.id}: commit_or_revert, or "
            "`autoresearch-mcp finish --apply`, carries it out",
        )
    measured = trial.outcome is not None and trial.outcome.kind is OutcomeKind.MEASURED
    if choice == "keep" and not measured:
        raise Refusal("trial.no_value", f"trial {trial.id} has no value: it cannot be kept")
