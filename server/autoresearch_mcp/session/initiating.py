"""Write a protocol for a repository that has none, once a dry run has proved it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autoresearch_mcp.core import logtext
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.metrics import extract
from autoresearch_mcp.core.protocol import parse_protocol
from autoresearch_mcp.core.protocol_draft import Wishes, draft
from autoresearch_mcp.core.trial import Outcome, OutcomeKind
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.recipe import PROTOCOL_FILE, Recipe
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.running import Performance, RunOrder

_DRY_RUN = 0
"""Number under which the dry run's log is kept; trials count from 1."""
_EXAMPLE_LINES = 12
_EXAMPLE_CHARACTERS = 1000
_TAIL_BYTES = 1500


@dataclass(frozen=True, slots=True)
class Proof:
    """What a dry run showed.

    Args:
        document: The protocol's text, with the run's own output as its example.
        outcome: How the run ended.
        log_tail: The end of what it printed, as safe text.
    """

    document: str
    outcome: Outcome
    log_tail: str

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


def dry_run(rooms: Rooms, wishes: Wishes) -> Proof:
    """Run what is committed once, under the protocol that these wishes make; write nothing.

    Raises:
        Fault: The protocol contradicts itself or the repository, or the run cannot be made.
    """
    text, head = draft(wishes), rooms.repository.head().commit
    measurement = parse_protocol(text).measurement
    # A commit that no ref names: git's own housekeeping removes it.
    when = datetime.now(UTC).replace(microsecond=0)
    commit = rooms.vault.commit(head, {PROTOCOL_FILE: text.encode()}, "Dry run\n", when=when)
    bench = Bench(rooms, Recipe.at(rooms.repository, commit))
    bench.check_ready()
    order = RunOrder(trial=_DRY_RUN, number=1, commit=commit, seed=1, baselines=())
    directory = RunDirectory.choose()
    try:
        directory.make()
        outcome = Performance(rooms, Guard(bench), order, directory).perform(lambda: False)
    finally:
        directory.remove()
    assert outcome is not None
    log = rooms.files.read(rooms.files.run_log(_DRY_RUN, 1))
    metric = measurement.primary_metric
    example = _example(log)
    if extract(metric.extract, example.encode(), metric.name).value is not None:
        text = draft(wishes, example)
    return Proof(text, outcome, logtext.tail(log, _TAIL_BYTES))


def write(rooms: Rooms, document: str) -> Path:
    """Write the protocol into the working tree; its owner commits it.

    Raises:
        Fault: Somebody wrote another one meanwhile.
    """
    rooms.workspace.write(PROTOCOL_FILE, document.encode(), expected=None)
    return rooms.repository.root / PROTOCOL_FILE


def _example(log: bytes) -> str:
    """Return the end of a log as a protocol's example shows it."""
    lines = logtext.readable(log).rstrip("\n").split("\n")[-_EXAMPLE_LINES:]
    return "\n".join(lines)[-_EXAMPLE_CHARACTERS:]
