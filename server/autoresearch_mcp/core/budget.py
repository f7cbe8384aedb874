"""How long a run may take, and who says so."""

from dataclasses import dataclass

from autoresearch_mcp.core.manifest import Profile


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits in force for one run.

    Args:
        training_seconds: The training budget.
        hard_timeout_seconds: When the whole process tree is killed, from process start.
        set_by: Who set them, for the answers that name a budget.
    """

    training_seconds: float
    hard_timeout_seconds: float
    set_by: str


def in_force(training: float, hard_timeout: float, profile: Profile | None) -> Budget:
    """Combine the protocol's budget with the profile's, which can only tighten it.

    Args:
        training: The protocol's trainingSecondsBudget.
        hard_timeout: The protocol's hardTimeoutSeconds.
        profile: The profile of the prepared data, None for a recipe without one.

    Example:
        >>> in_force(300, 900, None)
        Budget(training_seconds=300, hard_timeout_seconds=900, set_by='protocol')
    """
    if profile is None or (
        profile.time_budget >= training and profile.hard_timeout >= hard_timeout
    ):
        return Budget(training, hard_timeout, "protocol")
    return Budget(
        min(training, profile.time_budget),
        min(hard_timeout, profile.hard_timeout),
        f"profile {profile.name}, within the protocol's {training:g} s",
    )
