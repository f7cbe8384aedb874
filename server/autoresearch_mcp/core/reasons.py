"""A judgement in plain words, for a person and an agent alike."""

from autoresearch_mcp.core.case import Action, Case, Judgement, Rule

_LARGEST = 1e6


def explain(judgement: Judgement, case: Case, rule: Rule) -> str:
    """Say what was found and what it comes to, in one line.

    Args:
        judgement: The court's order with its figures.
        case: What it was asked.
        rule: The rule in force.
    """
    if judgement.value is None:
        gave_none = judgement.action is Action.DISCARD
        return "the candidate gave no value" if gave_none else "the candidate has no run yet"
    if judgement.gain is None or judgement.incumbent_value is None:
        return _beginning(judgement, case)
    compared = f"{judgement.value:.6f} against {judgement.incumbent_value:.6f}"
    found = f"{compared}: {_change(judgement)}{_weight(judgement)}"
    return found + _consequence(judgement, case, rule)


def next_run(judgement: Judgement, case: Case) -> str:
    """Say why another run is made, and of what.

    Args:
        judgement: The court's order, which is for a run.
        case: What it was asked.
    """
    if case.incumbent is None:
        return f"run {judgement.runs + 1} of {judgement.most_runs} of the baseline"
    most = judgement.most_runs
    who = "the incumbent" if judgement.action is Action.RUN_INCUMBENT else "the candidate"
    if judgement.spread is not None:
        return (
            f"run {judgement.runs} of at most {most}, {_spread(judgement)}, running {who} once more"
        )
    if judgement.odds is None or judgement.runs == 0:
        return f"run {max(1, judgement.runs)} of at most {most}, running {who}"
    evidence = odds_text(judgement.odds)
    return f"run {judgement.runs} of at most {most}, evidence {evidence}, running {who} once more"


def warm_up(number: int, rule: Rule) -> str:
    """Say why a run is made that has no say."""
    return f"warm-up {number} of {rule.warm_ups}, which does not count"


def odds_text(odds: float) -> str:
    """Return odds as people say them.

    Example:
        >>> odds_text(6.2), odds_text(0.25), odds_text(1e6)
        ('6.2:1 for', '4.0:1 against', 'more than 1000000:1 for')
    """
    larger = max(odds, 1 / odds)
    side = "for" if odds >= 1 else "against"
    if larger >= _LARGEST * (1 - 1e-9):
        return f"more than {_LARGEST:.0f}:1 {side}"
    return f"{larger:.{0 if larger >= 10 else 1}f}:1 {side}"


def _beginning(judgement: Judgement, case: Case) -> str:
    if case.incumbent is None and judgement.action is Action.KEEP:
        wide = "" if judgement.spread is None else f"; {_spread(judgement)}"
        return f"baseline: {judgement.value:.6f}{wide}"
    if judgement.action is Action.DISCARD:
        return "the candidate gave no value"
    return "too few runs to compare yet"


def _change(judgement: Judgement) -> str:
    gain = judgement.gain or 0.0
    if not gain:
        return "a tie"
    return f"better by {gain:.6f}" if gain > 0 else f"worse by {-gain:.6f}"


def _weight(judgement: Judgement) -> str:
    """Return the gain in noise units and the evidence, nothing where none was weighed."""
    if not judgement.noise or judgement.odds is None:
        return ""
    units = abs(judgement.gain or 0.0) / judgement.noise
    runs = f"{_runs(judgement.runs)} and {_runs(judgement.incumbent_runs)} of the incumbent"
    return f", {units:.1f} x noise, evidence {odds_text(judgement.odds)} after {runs}"


def _consequence(judgement: Judgement, case: Case, rule: Rule) -> str:
    if judgement.action is Action.INCONCLUSIVE:
        if judgement.spread is not None:
            limit = f"{_percent(rule.most_spread or 0.0)} at most (maxRelativeStdDev)"
            return f"; not kept: {_spread(judgement)}, and the protocol allows {limit}"
        until = ", and the research run's time is up" if case.out_of_budget else ""
        return f"; not enough to keep or to drop it{until}"
    if judgement.simpler:
        return f"; judged as simpler code ({-case.net_lines} lines fewer), which may be no better"
    least = rule.min_gain_bips / 10_000 * abs(judgement.incumbent_value or 0.0)
    if judgement.action is Action.DISCARD and 0 < (judgement.gain or 0.0) < least:
        return f"; the protocol asks for {least:.6f}"
    return ""


def _spread(judgement: Judgement) -> str:
    return f"its runs spread by {_percent(judgement.spread or 0.0)} of their mean"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
