"""`autoresearch-mcp show`: one trial whole."""

import argparse

from autoresearch_mcp.cli.options import Commands, add_json, add_trial, rooms_of
from autoresearch_mcp.session.dossier import Dossier, dossier


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "show",
        parents=[common],
        help="show a trial: its diff, outcome, verdict and evidence",
        description="Show a trial: its diff, outcome, verdict and evidence. Changes nothing.",
    )
    add_trial(parser)
    add_json(parser)
    parser.set_defaults(command=_show)


def _show(options: argparse.Namespace) -> int:
    found = dossier(rooms_of(options), options.trial)
    if options.json:
        print(found.model_dump_json(indent=2))
    else:
        _print(found)
    return 0


def _print(found: Dossier) -> None:
    # rich takes 0.1 s to load, which a program that asks for JSON need not pay.
    from autoresearch_mcp.cli.paper import Paper, number  # noqa: PLC0415

    paper = Paper()
    paper.fact("trial", f"{found.trial_id} of {found.research}")
    paper.fact("what", "baseline" if found.baseline else found.hypothesis)
    paper.fact("status", found.status)
    if found.protocol_bundle:
        paper.fact("protocol", found.protocol_bundle)
    if found.verdict:
        paper.fact("verdict", f"{found.verdict.status}: {found.verdict.reason}")
    if outcome := found.outcome:
        paper.fact("outcome", f"{outcome.kind}: {outcome.reason} (trust: {outcome.trust})")
        for missing in outcome.trust_missing:
            paper.fact("trust lacks", missing)
    if found.evidence:
        rows = [("run", "code", "seed", "value", "seconds", "ended")]
        rows += [
            (
                str(run.number),
                run.role,
                str(run.seed),
                number(run.value, ".6f"),
                number(run.seconds, ".1f"),
                run.kind or "",
            )
            for run in found.evidence
        ]
        paper.columns(rows)
    for run in found.evidence:
        if run.audit:
            paper.fact("audit", f"run {run.number} {run.audit}")
    paper.fact("candidate", f"{found.candidate[:7]} ({found.ref})")
    if found.commit:
        paper.fact("kept as", found.commit[:7])
    if found.diff:
        paper.say()
        paper.diff(found.diff)
