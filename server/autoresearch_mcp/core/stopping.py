r"""Stop conditions that count something: what the log says was counted.

The budget in seconds is held by the supervisor's clock (core/budget.py). Steps and epochs only the
recipe can count, so a run is held to what it prints, progress lines with `\r` among them: a
recipe that prints nothing of them is bounded by the clocks alone.
"""

import re

from autoresearch_mcp.core.protocol_schema import StopCondition

_START = rb"(?:\A|[\r\n])[ \t]*"
_STEPS = re.compile(_START + rb"(?:num_|global_)?steps?[ \t]*[:=#]?[ \t]*([0-9]{1,15})\b")
_EPOCHS = re.compile(_START + rb"(?:num_)?epochs?[ \t]*[:=#]?[ \t]*([0-9]{1,15})\b", re.IGNORECASE)


def overstepped(stop: StopCondition, log: bytes) -> str | None:
    r"""Say what the run did more of than the protocol allows; None when it kept to it.

    Example:
        >>> stop = StopCondition.model_validate({"type": "max_steps", "maxSteps": 9})
        >>> overstepped(stop, b"\rstep 00008 (90%)\rstep 00012 (99%)\n")
        'the log tells of step 12; maxSteps is 9'
    """
    steps = stop.max_steps if stop.type == "max_steps" else None
    epochs = stop.epochs if stop.type == "epochs" else None
    for most, pattern, name, field in (
        (steps, _STEPS, "step", "maxSteps"),
        (epochs, _EPOCHS, "epoch", "epochs"),
    ):
        reached = max((int(n) for n in pattern.findall(log)), default=0) if most else 0
        if most is not None and reached > most:
            return f"the log tells of {name} {reached}; {field} is {most}"
    return None


def in_words(stop: StopCondition) -> str:
    """Say when a run ends, for whoever works under it."""
    match stop.type:
        case "max_steps":
            return f"A run trains for at most {stop.max_steps} steps."
        case "epochs":
            return f"A run trains for at most {stop.epochs} epochs."
        case "until_metric":
            return "A run goes on until its metric is reached."
        case "fixed_suite":
            return "A run goes through the whole suite."
        case "wall_clock":
            return f"A run trains for {stop.training_seconds_budget:g} s."
