"""`autoresearch-mcp init`: write a protocol.json for a repository that has none."""

import argparse
import json
import sys
from collections.abc import Callable

from autoresearch_mcp.cli.options import Commands, add_json, add_trial_options, positive, rooms_of
from autoresearch_mcp.core.protocol_draft import Wishes
from autoresearch_mcp.session import initiating
from autoresearch_mcp.session.initiating import Proof

_NEGATIVE, _USAGE = 1, 2
_QUESTIONS = {
    "purpose": "What is the research for, in one sentence?",
    "edit": "Which file may an agent edit?",
    "harness": "Which file defines data and measurement (never edited)?",
    "command": "Which command is a run?",
    "metric": "What is the metric called, as a run prints it (NAME: NUMBER)?",
    "direction": "Is it better when it is smaller or larger (minimize, maximize)?",
}


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "init",
        parents=[common],
        help="write a protocol.json for a repository that has none, and prove it",
        description=(
            "Write a protocol.json for an existing repository. What is not said is taken from the "
            "tracked files (train.py, prepare.py) where they suggest it, and asked for on a "
            "terminal. A dry run of what is committed proves that the metric is read; nothing is "
            "written unless it is."
        ),
        epilog="Exit status: 0 written, 1 the dry run gave no metric, 2 something is not said.",
    )
    parser.add_argument("--purpose", metavar="TEXT", help="what the research is for")
    parser.add_argument("--edit", action="append", metavar="GLOB", help="what may be edited")
    parser.add_argument(
        "--harness", action="append", metavar="PATH", help="what defines data and measurement"
    )
    parser.add_argument("--command", dest="run", metavar="LINE", help="the command of a run")
    parser.add_argument("--metric", metavar="NAME", help="the metric, as a run prints it")
    parser.add_argument("--direction", choices=["minimize", "maximize"], help="which is better")
    reading = parser.add_mutually_exclusive_group()
    reading.add_argument("--pattern", metavar="REGEX", help="how the metric is printed: one group")
    reading.add_argument("--json-pointer", metavar="POINTER", help="where it is in printed JSON")
    reading.add_argument(
        "--test-report", choices=["pytest_summary", "junit"], help="the run is a test suite"
    )
    parser.add_argument("--budget", type=positive, metavar="SECONDS", help="training time of a run")
    parser.add_argument(
        "--timeout",
        type=positive,
        metavar="SECONDS",
        help="a run is killed after so long (default: three budgets, 900 without one)",
    )
    parser.add_argument(
        "--setup", action="append", metavar="LINE", help="a step that `setup` runs, as 'uv sync'"
    )
    parser.add_argument("--dry-run", action="store_true", help="prove it and print it, write none")
    add_trial_options(parser)
    add_json(parser)
    parser.set_defaults(command=_init, usage=parser.error)


def _init(options: argparse.Namespace) -> int:
    rooms = rooms_of(options)
    initiating.check_free(rooms)
    wishes = _wishes(options, initiating.guesses(rooms), options.usage)
    print("dry run: one run of what is committed, under the new protocol ...", file=sys.stderr)
    proof = initiating.dry_run(rooms, wishes)
    file = None
    if proof.proved and not options.dry_run:
        file = str(initiating.write(rooms, proof.document))
    if options.json:
        report = {"proved": proof.proved, "file": file, "outcome": proof.outcome.model_dump()}
        print(json.dumps({**report, "protocol": json.loads(proof.document)}, indent=2))
    elif proof.proved:
        _tell(proof, file)
    if not proof.proved:
        print(f"{proof.outcome.kind}: {proof.outcome.reason}\n{proof.log_tail}", file=sys.stderr)
        print("autoresearch-mcp: the dry run gave no metric, nothing was written", file=sys.stderr)
    return 0 if proof.proved else _NEGATIVE


def _tell(proof: Proof, file: str | None) -> None:
    if file is None:
        print(proof.document, end="")
        return
    print(f"{proof.outcome.reason}: the metric was read\nwritten: {file}")
    print("next: read it, then git add protocol.json && git commit, then autoresearch-mcp doctor")


def _wishes(
    options: argparse.Namespace, guesses: dict[str, str], usage: Callable[[str], None]
) -> Wishes:
    said: dict[str, str | list[str] | None] = {
        name: getattr(options, name) for name in ("purpose", "edit", "harness", "metric")
    }
    said |= {"command": options.run, "direction": options.direction}
    answers = {name: value or guesses.get(name) for name, value in said.items()}
    missing = [name for name, value in answers.items() if not value]
    if missing and sys.stdin.isatty():
        answers |= {name: input(f"{_QUESTIONS[name]} ").strip() for name in missing}
        missing = [name for name in missing if not answers[name]]
    if missing or answers["direction"] not in {"minimize", "maximize"}:
        names = ", ".join(f"--{name}" for name in missing or ["direction"])
        usage(f"say more, nobody is there to be asked: {names}")
    return Wishes(
        purpose=str(answers["purpose"]),
        edit=_listed(answers["edit"]),
        harness=_listed(answers["harness"]),
        command=str(answers["command"]),
        metric=str(answers["metric"]),
        direction="minimize" if answers["direction"] == "minimize" else "maximize",
        pattern=options.pattern,
        json_pointer=options.json_pointer,
        test_report=options.test_report,
        budget=options.budget,
        timeout=options.timeout,
        setup=options.setup or (),
    )


def _listed(answer: str | list[str] | None) -> list[str]:
    return answer if isinstance(answer, list) else [answer or ""]
