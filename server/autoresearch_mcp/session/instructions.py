"""What an agent is told when it connects, taken from the protocol."""

from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.editing import rules
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.state import look

_PURPOSE_CHARACTERS = 400


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
        _purpose(protocol.meta.purpose_statement),
        f"Metric: {metric.name}, {better} is better. {_budget(Bench(rooms, state.recipe))}",
        "The loop: read_recipe, then again and again: apply_edit, run_trial (wait_trial until "
        "there is a verdict), commit_or_revert.",
        *(f"- {rule}" for rule in rules(state)),
    ]
    return "\n".join(lines)


def research(rooms: Rooms) -> str:
    """Return the whole task for an agent: the instructions, and how to work through the night.

    Raises:
        Fault: The recipe cannot be used.
    """
    autonomy = look(rooms).recipe.protocol.agent_rules.autonomy
    going_on = (
        "Go on until you are stopped: nobody is there to answer a question."
        if autonomy.no_ask_human_to_continue
        else "Stop and report when you run out of good ideas."
    )
    return "\n".join(
        [
            "Improve this recipe with the autoresearch tools.",
            "",
            instructions(rooms),
            "",
            "How to work:",
            "- Call recall_research first: it tells what was tried. Do not try an idea twice.",
            "- Write down one hypothesis a trial, and why it should help, before you edit.",
            "- Follow next_step in every answer. A crash is data: read its hint.",
            "- Believe the verdict, not the number: a gain below the noise is none.",
            "- Call recall_research again whenever you have lost the thread.",
            f"- {going_on}",
        ]
    )


def review(rooms: Rooms) -> str:
    """Return what to ask an agent on the morning after.

    Raises:
        Fault: The recipe cannot be used.
    """
    state = look(rooms)
    metric = state.recipe.protocol.measurement.primary_metric
    branch = state.research or "no research run yet"
    return "\n".join(
        [
            f"Review what was found overnight ({branch}; {metric.name}, {metric.direction}).",
            "Start with recall_research, then get_metrics(best=true, last=20), and get_metrics of "
            "each kept trial. Change nothing and start no trial.",
            "Then tell, for a person with five minutes:",
            "- the gain from the baseline to the incumbent, beside the noise;",
            "- each kept change: what it does in one sentence, its gain, the lines it adds, "
            "how far its result is trusted;",
            "- what was tried and did not help, in groups;",
            "- what looks too good, too complicated for its gain, or tuned to this data;",
            "- the three ideas to try next, and why.",
        ]
    )


def _purpose(statement: str) -> str:
    text = " ".join(statement.split()) or "Improve the recipe."
    return text if len(text) <= _PURPOSE_CHARACTERS else text[: _PURPOSE_CHARACTERS - 1] + "…"


def _budget(bench: Bench) -> str:
    budget = bench.budget
    return f"Budget: {budget.training_seconds:g} s of training a run ({budget.set_by})."
