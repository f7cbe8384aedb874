"""What an audit makes of an outcome: more trust, or none at all."""

from collections.abc import Iterable

from autoresearch_mcp.core.audit import Finding
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Trust, TrustLevel

_HINT = (
    "What the model says at a position may depend on nothing but the tokens up to there: not on "
    "later tokens, other rows, earlier calls or chance (call model.eval() where there is dropout)."
)
_ONE_SEED = "a second run with another seed"
_CONFIRMING_SEEDS = 2


def examined(outcome: Outcome, findings: Iterable[Finding]) -> Outcome:
    """Return a measured outcome as an audit leaves it.

    Args:
        outcome: Of a run, or of a trial.
        findings: What was found about it, or about its runs; one that failed is enough.
    """
    failed = next((finding for finding in findings if not finding.passed), None)
    if failed is not None:
        return outcome.model_copy(
            update={
                "kind": OutcomeKind.TAMPERED,
                "value": None,
                "reason": failed.reason,
                "hint": _HINT,
            }
        )
    if outcome.trust.level is not TrustLevel.SEALED:
        return outcome
    audited = Trust(level=TrustLevel.AUDITED, missing=(_ONE_SEED,))
    return outcome.model_copy(update={"trust": audited})


def unaudited(outcome: Outcome, why: str) -> Outcome:
    """Return an outcome that no audit could be made of, for no fault of the candidate's."""
    missing = Trust(level=outcome.trust.level, missing=(f"an audit: {why}",))
    return outcome.model_copy(update={"trust": missing})


def confirmed(outcome: Outcome, seeds: int) -> Outcome:
    """Return an audited outcome with what its runs from the committed candidate add.

    Args:
        outcome: The trial's.
        seeds: Different seeds that its runs had.
    """
    if outcome.trust.level is not TrustLevel.AUDITED or seeds < _CONFIRMING_SEEDS:
        return outcome
    return outcome.model_copy(update={"trust": Trust(level=TrustLevel.CONFIRMED)})
