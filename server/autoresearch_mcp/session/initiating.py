"""Write a protocol for a repository that has none, once a dry run has proved it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from autoresearch_mcp.core import logtext
from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.metrics import extract
from autoresearch_mcp.core.protocol import parse_protocol
from autoresearch_mcp.core.protocol_draft import Wishes, draft
from autoresearch_mcp.core.trial import Outcome, OutcomeKind
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.session import wrapping
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.recipe import PROTOCOL_FILE, Recipe
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.running import Performance, RunOrder
from autoresearch_mcp.session.wrapping import Wrapped, data_of_the_committed, lacking

_DRY_RUN = 0
"""Number under which the dry run's log is kept; trials count from 1."""
_EXAMPLE_LINES = 12
_EXAMPLE_CHARACTERS = 1000
_TAIL_BYTES = 1500
_CHEAP_SECONDS = 60.0
"""A run that took longer is not made again to compare two numbers."""
_SAME = 1e-4
"""What a GPU's rounding and a printed number's last digits may come to."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a dry run showed.

    Args:
        document: The protocol's text, with the run's own output as its example.
        outcome: How the run ended.
        log_tail: The end of what it printed, as safe text.
        lacking: What a wrapped harness lacks for the server to compute its number.
        compared: The server's number beside the one in place; empty where the server has none.
    """

    document: str
    outcome: Outcome
    log_tail: str
    lacking: tuple[str, ...] = ()
    compared: str = ""
    has_data_set: bool = False

    @property
    def proved(self) -> bool:
        """Tell whether the metric was read."""
        return self.outcome.kind is OutcomeKind.MEASURED


def guesses(rooms: Rooms) -> dict[str, str]:
    """Return what the tracked files suggest: the file to edit, the harness and the command."""
    tracked = {entry.path for entry in rooms.repository.tree(rooms.repository.head().commit)}
    found = {"edit": "train.py"} if "train.py" in tracked else {}
    if "prepare.py" in tracked:
        found["harness"] = "prepare.py"
    if found.get("edit"):
        found["command"] = "uv run train.py" if "pyproject.toml" in tracked else "python train.py"
    return found


def check_free(rooms: Rooms) -> None:
    """Return if there is no protocol yet.

    Raises:
        Fault: There is one, committed or not.
    """
    committed = rooms.repository.read(rooms.repository.head().commit, PROTOCOL_FILE) is not None
    if committed or rooms.workspace.digest(PROTOCOL_FILE) is not None:
        raise Fault(
            f"there is a {PROTOCOL_FILE} already: look at it with `autoresearch-mcp protocol "
            "check`, or move it away first"
        )


def dry_run(rooms: Rooms, wishes: Wishes, wrapped: Sequence[Wrapped] = ()) -> Proof:
    """Run what is committed once, under the protocol that these wishes make; write nothing.

    Args:
        rooms: The repository's rooms.
        wishes: What the protocol says.
        wrapped: Files of the harness with lines in them, which are run in place of HEAD's.

    Raises:
        Fault: The protocol contradicts itself or the repository, or the run cannot be made.
    """
    text, head = draft(wishes), rooms.repository.head().commit
    measurement = parse_protocol(text).measurement
    files = {file.path: file.content for file in wrapped}
    # A commit that no ref names: git's own housekeeping removes it.
    when = datetime.now(UTC).replace(microsecond=0)
    changes = {**files, PROTOCOL_FILE: text.encode()}
    recipe = Recipe.at(rooms.repository, rooms.vault.commit(head, changes, "Dry run\n", when=when))
    bench = Bench(rooms, recipe)
    if wrapped and bench.data is None:
        bench = Bench(rooms, recipe, data_of_the_committed(rooms))
    bench.check_ready()
    guard = Guard(bench)
    outcome = _performed(rooms, guard, 1)
    log = rooms.files.read(rooms.files.run_log(_DRY_RUN, 1))
    metric = measurement.primary_metric
    example = _example(log)
    if extract(metric.extract, example.encode(), metric.name).value is not None:
        text = draft(wishes, example)
    return Proof(
        text,
        outcome,
        logtext.tail(log, _TAIL_BYTES),
        tuple(lacking(guard, outcome)) if wrapped else (),
        _compared(rooms, bench, outcome) if wrapped else "",
        has_data_set=bench.data is not None,
    )


def write(rooms: Rooms, document: str, wrapped: Sequence[Wrapped] = ()) -> Path:
    """Write the protocol, and the harness with its lines, into the working tree.

    Their owner commits them.

    Raises:
        Fault: Somebody wrote another one meanwhile. What was written by then is named.
    """
    check_free(rooms)
    for file in wrapped:
        wrapping.check(rooms, file)
    written: list[str] = []
    try:
        for file in wrapped:
            wrapping.write(rooms, file)
            if file.changed:
                written.append(file.path)
        rooms.workspace.write(PROTOCOL_FILE, document.encode(), expected=None)
    except (Fault, Refusal, OSError) as error:
        if not written:
            raise
        raise Fault(f"{error}; written before that: {', '.join(written)}") from error
    return rooms.repository.root / PROTOCOL_FILE


def _performed(rooms: Rooms, guard: Guard, number: int) -> Outcome:
    """Make one run, which belongs to no trial."""
    commit = guard.bench.recipe.commit
    order = RunOrder(trial=_DRY_RUN, number=number, commit=commit, seed=1, baselines=())
    directory = RunDirectory.choose()
    try:
        directory.make()
        outcome = Performance(rooms, guard, order, directory).perform(lambda: False)
    finally:
        directory.remove()
        rooms.files.drop_models(_DRY_RUN)
    assert outcome is not None
    return outcome


def _compared(rooms: Rooms, bench: Bench, outcome: Outcome) -> str:
    """Say what the harness itself makes of the model that the server has evaluated.

    That takes a run of its own, in which validation can be read: the first one had none.
    """
    if outcome.evaluation is None or bench.data is None:
        return ""
    if outcome.seconds > _CHEAP_SECONDS:
        return f"not compared with the number in place: a run takes {outcome.seconds:.0f} s"
    manifest = bench.data.manifest.model_copy(update={"evaluation": None})
    unsealed = Bench(rooms, bench.recipe, replace(bench.data, manifest=manifest))
    in_place = _performed(rooms, Guard(unsealed), 2)
    if in_place.value is None:
        return f"not compared with the number in place, which failed: {in_place.reason}"
    server = outcome.evaluation.value
    said = f"{server:.6f} by the server, {in_place.value:.6f} in place"
    if abs(server - in_place.value) <= _SAME * max(1.0, abs(server)):
        return f"{said}: the same"
    return (
        f"{said}: not the same. Either training differs from run to run, as it does by the clock, "
        "or the harness's number is not the bits per byte of these rows"
    )


def _example(log: bytes) -> str:
    """Return the end of a log as a protocol's example shows it."""
    lines = logtext.readable(log).rstrip("\n").split("\n")[-_EXAMPLE_LINES:]
    return "\n".join(lines)[-_EXAMPLE_CHARACTERS:]
