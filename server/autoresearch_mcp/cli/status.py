"""`autoresearch-mcp status`: where the research stands."""

import argparse

from autoresearch_mcp.cli.options import Commands, add_json, rooms_of
from autoresearch_mcp.session.answers import TrialView
from autoresearch_mcp.session.overview import Overview, overview


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "status",
        parents=[common],
        help="show where the research stands",
        description=(
            "Show the research run that HEAD is on: its branch, baseline and incumbent, the last "
            "20 trials, what is running, and what comes next. Changes nothing."
        ),
    )
    add_json(parser)
    parser.set_defaults(command=_status)


def _status(options: argparse.Namespace) -> int:
    found = overview(rooms_of(options))
    if options.json:
        print(found.model_dump_json(indent=2))
        return 0
    _show(found)
    return 0


def _show(found: Overview) -> None:
    # rich takes 0.1 s to load, which a program that asks for JSON need not pay.
    from autoresearch_mcp.cli.paper import Paper  # noqa: PLC0415

    paper = Paper()
    paper.fact("repository", found.repository)
    paper.fact("branch", found.branch or "none (HEAD is detached)")
    paper.fact("metric", f"{found.metric}, {found.direction}")
    budget = found.budget
    paper.fact("budget", f"{budget.training_seconds:g} s of training a run ({budget.set_by})")
    if found.baseline and found.incumbent:
        paper.fact("baseline", f"{found.baseline.value:.6f}")
        incumbent = found.incumbent
        where = f"trial {incumbent.trial_id}, commit {incumbent.commit}"
        paper.fact("incumbent", f"{incumbent.value:.6f} ({where}), gain {found.gain:+.6f}")
    if found.total:
        counts = ", ".join(f"{count} {status}" for status, count in found.counts.items())
        last = f"; the last {len(found.trials)}:" if found.total > len(found.trials) else ""
        paper.fact("trials", f"{found.total} ({counts}){last}")
        paper.say()
        paper.trials(found.trials, found.metric)
        paper.say()
    if found.under_way:
        paper.fact("running", _progress(found.under_way))
    paper.fact("next", found.next_step)


def _progress(view: TrialView) -> str:
    parts = [f"trial {view.trial_id} ({view.hypothesis}), {view.status} for {view.elapsed_s:.0f} s"]
    if (seen := view.progress) and seen.step is not None:
        parts.append(f"run {seen.run}, step {seen.step}")
        if seen.percent is not None:
            parts.append(f"{seen.percent:.0f} % of the budget")
        if seen.loss is not None:
            parts.append(f"loss {seen.loss:.3f}")
    if view.eta_s is not None:
        parts.append(f"the run ends in about {view.eta_s:.0f} s")
    return ", ".join(parts)
