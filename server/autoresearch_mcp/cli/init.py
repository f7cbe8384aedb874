"""`autoresearch-mcp init`: write a protocol.json for a repository that has none."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from autoresearch_mcp.cli.options import Commands, add_json, add_trial_options, positive, rooms_of
from autoresearch_mcp.core.prologue import Target
from autoresearch_mcp.core.protocol_draft import Wishes, covered
from autoresearch_mcp.session import initiating, wrapping
from autoresearch_mcp.session.initiating import Proof
from autoresearch_mcp.session.recipe import HARNESS_ENTRY, PROTOCOL_FILE
from autoresearch_mcp.session.wrapping import GUIDE, Wrapped

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
            "written unless it is. With --evaluate the run is of the harness with its lines, says "
            "how far the server can trust a result and what it lacks to compute it itself "
            "(docs/evaluation.md), and the harness is written as well, for you to commit."
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
    parser.add_argument(
        "--evaluate",
        type=_target,
        metavar="FILE:FUNCTION[:PARAMETER]",
        help="the harness's function that evaluates a model, its first parameter or the named "
        "one, and returns the number: lines are put into it that hand an MLX model over in the "
        "server's runs; in any other process it does what it did",
    )
    parser.add_argument(
        "--batches",
        type=_target,
        metavar="FILE:FUNCTION",
        help="the harness's function that gives the batches of training: lines are put into it "
        "that start the server's training clock at its first call",
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
    wrapped = wrapping.wrap(rooms, options.evaluate, options.batches)
    print("dry run: one run of what is committed, under the new protocol ...", file=sys.stderr)
    proof = initiating.dry_run(rooms, wishes, wrapped)
    file = None
    if proof.proved and not options.dry_run:
        file = str(initiating.write(rooms, proof.document, wrapped))
    if options.json:
        _answer(proof, file, wrapped)
    elif proof.proved:
        _tell(proof, file, wrapped)
    if not proof.proved:
        _tell_failure(proof, wrapped)
    return 0 if proof.proved else _NEGATIVE


def _answer(proof: Proof, file: str | None, wrapped: Sequence[Wrapped]) -> None:
    report = {
        "proved": proof.proved,
        "file": file,
        "outcome": proof.outcome.model_dump(),
        "wrapped": [one.path for one in wrapped],
        "lacking": proof.lacking,
        "compared": proof.compared or None,
    }
    print(json.dumps({**report, "protocol": json.loads(proof.document)}, indent=2))


def _tell(proof: Proof, file: str | None, wrapped: Sequence[Wrapped]) -> None:
    told = sys.stderr if file is None else sys.stdout  # the document alone can be piped on
    if file is None:
        print(proof.document, end="")
        print("".join(one.diff for one in wrapped), end="", file=told)
    print(f"{proof.outcome.reason}: the metric was read", file=told)
    if wrapped:
        print(f"trust level: {proof.outcome.trust.level}", file=told)
        for step in proof.lacking:
            print(f"for sealed it lacks {step}", file=told)
        if proof.compared:
            print(proof.compared, file=told)
    if file is None:
        return
    changed = [one.path for one in wrapped if one.changed]
    names = " ".join([PROTOCOL_FILE, *changed])
    print("\n".join(f"written: {one}" for one in (file, *changed)))
    again = f"prepare the data again (it names its {HARNESS_ENTRY}), then "
    print(
        f"next: read {'them' if changed else 'it'}, then git add {names} && git commit, then "
        f"{again if proof.has_data_set and HARNESS_ENTRY in changed else ''}autoresearch-mcp doctor"
    )


def _tell_failure(proof: Proof, wrapped: Sequence[Wrapped]) -> None:
    print(f"{proof.outcome.kind}: {proof.outcome.reason}\n{proof.log_tail}", file=sys.stderr)
    if wrapped:
        about = f"the run was of the harness with its lines; what it takes is in {GUIDE}"
        for text in (about, *(f"it lacks {step}" for step in proof.lacking)):
            print(f"autoresearch-mcp: {text}", file=sys.stderr)
    print("autoresearch-mcp: the dry run gave no metric, nothing was written", file=sys.stderr)


def _target(text: str) -> Target:
    try:
        return Target.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not FILE:FUNCTION") from error


def _wishes(
    options: argparse.Namespace, guesses: dict[str, str], usage: Callable[[str], None]
) -> Wishes:
    said: dict[str, str | list[str] | None] = {
        name: getattr(options, name) for name in ("purpose", "edit", "harness", "metric")
    }
    said |= {"command": options.run, "direction": options.direction}
    named = [target.path for target in (options.evaluate, options.batches) if target]
    if named:
        guesses = {"harness": named[0], **guesses}
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
        harness=covered(_listed(answers["harness"]), named),
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
