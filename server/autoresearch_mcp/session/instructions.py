"""What an agent is told when it connects, taken from the protocol."""

from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.editing import rules
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.state import look


def instructions(rooms: Rooms) -> str:
    """Return the loop, the budget and the rules in plain words, under 2,000 characters.

    Raises:
        Fault: The recipe cannot be used.
    """
    state = look(rooms)
    protocol = state.recipe.protocol
    metric = protocol.measurement.primary_metric
    better = "lower" if metric.direction == "minimize" else "higher"
    lines = [
        protocol.meta.purpose_statement or "Improve the recipe.",
        f"Metric: {metric.name}, {better} is better. {_budget(Bench(rooms, state.recipe))}",
        "The loop: read_recipe, then again and again: apply_edit, run_trial (wait_trial until "
        "there is a verdict), commit_or_revert.",
        *(f"- {rule}" for rule in rules(state)),
    ]
    return "\n".join(lines)


def _budget(bench: Bench) -> str:
    budget = bench.budget
    return f"Budget: {budget.training_seconds:g} s of training a run ({budget.set_by})."
