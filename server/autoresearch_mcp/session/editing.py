"""Reading the recipe and editing its surface."""

import hashlib
from collections.abc import Sequence

from autoresearch_mcp.core import caps, edits, stopping
from autoresearch_mcp.core.edits import Replacement, WholeFile
from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.events import Edited
from autoresearch_mcp.core.source import decode_source, encode_source
from autoresearch_mcp.session import dependencies, memory, views
from autoresearch_mcp.session.answers import EditAnswer, RecipeView
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.recipe import PROTOCOL_FILE
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.settling import settle
from autoresearch_mcp.session.state import State, look

_PAGE_BYTES = 4500
_DIFF_CHARACTERS = 3000
_NOTE_CHARACTERS = 200
_RULES = (
    "Edit only the surface, with apply_edit; one idea per trial.",
    "The first trial measures the unmodified recipe: the baseline.",
    "The server decides what is kept; what a run prints is only what it prints.",
    "No new dependencies, no other command, no other data.",
    "Work until you are stopped; do not ask whether to go on.",
)
_HANDED_OVER = (
    "Call evaluate_bpb once, after training; where runs are sandboxed it hands the model over, and "
    "the server evaluates it. Logits at a position "
    "may depend on the tokens up to it alone, not on later ones, other rows or earlier calls."
)
_SIMPLICITY = "All else equal, simpler is better: a small gain does not pay for ugly code."

Change = WholeFile | Sequence[Replacement] | bytes
"""Bytes are a whole file that goes in as it is: a candidate's, which was let in before."""


def read_recipe(rooms: Rooms, path: str | None, first_line: int) -> RecipeView:
    """Show the task, its rules and a page of a file: the working tree's for the surface.

    Raises:
        Refusal: The path is neither surface nor harness, or the page does not exist.
    """
    state = look(rooms)
    path = path or state.recipe.files[0]
    editable = path in state.recipe.files
    content = rooms.workspace.read(path) if editable else _harness_file(state, path)
    text, next_line, total = _page(content.decode(errors="replace"), first_line)
    protocol, bench = state.recipe.protocol, Bench(rooms, state.recipe)
    metric = protocol.measurement.primary_metric
    return RecipeView(
        purpose=protocol.meta.purpose_statement or "",
        metric=f"{metric.name}, {metric.direction}",
        rules=rules(state),
        surface=list(state.recipe.files),
        read_only=sorted({*state.recipe.harness, PROTOCOL_FILE}),
        budget=views.budget_view(bench.budget),
        branch=state.research,
        incumbent=views.incumbent_view(state.incumbent),
        path=path,
        editable=editable,
        sha256=hashlib.sha256(content).hexdigest(),
        candidate_differs=editable and content != state.incumbent_source(path),
        total_lines=total,
        lines=text,
        next_line=next_line,
        next_step=_after_reading(state, path, next_line),
    )


def rules(state: State) -> list[str]:
    """Return the rules of this research in plain words."""
    agent = state.recipe.protocol.agent_rules
    found = [r for r in _RULES if agent.autonomy.no_ask_human_to_continue or "ask whether" not in r]
    if agent.simplicity_criterion:
        found.append(_SIMPLICITY)
    bench = Bench(state.rooms, state.recipe)
    limit = bench.budget.hard_timeout_seconds
    found.append(f"A run that takes more than {limit:g} s is stopped and counts as failed.")
    stop = state.recipe.protocol.execution.stop_condition
    if stop.type != "wall_clock":
        found.append(stopping.in_words(stop))
    found += caps.in_words(state.recipe.protocol.mining_loop)
    if bench.data is not None and bench.data.manifest.evaluation is not None:
        found.append(_HANDED_OVER)
    if agent.log_redirect_example:
        found.append("Every run's log is kept: get_metrics(log_lines=50) shows its end.")
    if agent.experiment_timeout_notes:
        found.append(" ".join(agent.experiment_timeout_notes.split())[:_NOTE_CHARACTERS])
    return found


def apply_edit(
    rooms: Rooms,
    path: str | None,
    change: Change | None,
    *,
    expected_sha256: str | None = None,
    dry_run: bool = False,
) -> EditAnswer:
    """Take a change through the gatehouse and write the candidate's file.

    Args:
        rooms: The recipe's rooms.
        path: The file; None for the surface's only one.
        change: What to change; None adopts the content that the file has now.
        expected_sha256: What the file must be before the edit, where the caller knows.
        dry_run: Check and show the diff, but write nothing.

    Raises:
        Refusal: Something about the edit, or the moment, is against the rules.
    """
    if dry_run:  # writes nothing: it need not wait, and mends nothing
        state = look(rooms)
        return stage(state, path or only_file(state), change, expected_sha256, dry_run=True)
    with rooms.locked():
        settle(rooms)
        state = look(rooms)
        return stage(state, path or only_file(state), change, expected_sha256)


def stage(
    state: State,
    path: str,
    change: Change | None,
    expected_sha256: str | None = None,
    *,
    dry_run: bool = False,
) -> EditAnswer:
    """Do what `apply_edit` does, for a caller that has looked and, to write, holds the lock."""
    state.recipe.surface.admits(path)
    if path not in state.recipe.files:
        raise Refusal("surface.path", f"{path} is not tracked; edit {only_file(state)}")
    edits.check_kind(path, state.recipe.protocol.mutable_surface.allowed_kinds)
    before = state.rooms.workspace.read(path)
    _check_expected(path, before, expected_sha256)
    if not dry_run:
        check_writable(state, path, adopted=change is None)
    if change is None and before == state.incumbent_source(path):
        raise Refusal("edit.no_change", f"{path} is the incumbent's: there is nothing to adopt")
    after = _changed(path, before, change)
    dependencies.check(state, path, after.decode())
    if not dry_run:
        _write(state, path, before, after)
    return _answer(state, path, before if change is not None else None, after, dry_run)


def check_writable(state: State, path: str, *, adopted: bool = False) -> None:
    """Return if a file of the surface may be written now, or taken as it is.

    Raises:
        Refusal: The moment is wrong, or the file holds what the ledger does not know.
        Fault: Somebody moved the research branch.
    """
    state.check_turn()
    _check_baseline(state)
    if not adopted:
        _check_known(state, path, state.rooms.workspace.read(path))


def against_incumbent(state: State, path: str, content: bytes) -> EditAnswer:
    """Show a staged file as a change of the incumbent's."""
    return _answer(state, path, None, content, dry_run=False)


def only_file(state: State) -> str:
    """Return the surface's only file.

    Raises:
        Refusal: There are several: the caller must name one.
    """
    files = state.recipe.files
    if len(files) == 1:
        return files[0]
    raise Refusal("surface.path", f"the surface has several files; name one: {', '.join(files)}")


def _changed(path: str, before: bytes, change: Change | None) -> bytes:
    if isinstance(change, WholeFile):
        return _checked(path, before, edits.apply(before.decode(errors="replace"), change))
    if isinstance(change, bytes):
        decode_source(change, path)
        return change
    source = decode_source(before, path)
    return before if change is None else _checked(path, before, edits.apply(source, change))


def _checked(path: str, before: bytes, after: str) -> bytes:
    data = encode_source(after, path)
    if data == before:
        raise Refusal("edit.no_change", f"the edit leaves {path} as it is")
    return data


def _write(state: State, path: str, before: bytes, after: bytes) -> None:
    assert state.research is not None
    old, new = hashlib.sha256(before).hexdigest(), hashlib.sha256(after).hexdigest()
    state.rooms.ledger.append(Edited(research=state.research, path=path, before=old, after=new))
    if old != new:
        state.rooms.workspace.write(path, after, expected=old)


def _answer(
    state: State, path: str, before: bytes | None, after: bytes, dry_run: bool
) -> EditAnswer:
    incumbent = state.incumbent_source(path)
    shown_before = incumbent if before is None else before
    new = after.decode(errors="replace")
    diff = edits.unified_diff(path, shown_before.decode(errors="replace"), new)
    stat = edits.diff_stat(incumbent.decode(errors="replace"), new)
    return EditAnswer(
        path=path,
        staged=not dry_run,
        sha256=hashlib.sha256(after).hexdigest(),
        added=stat.added,
        removed=stat.removed,
        diff=diff if len(diff) <= _DIFF_CHARACTERS else diff[:_DIFF_CHARACTERS] + "\n[diff cut]\n",
        next_step="Nothing was written. Call again without dry_run to stage the edit."
        if dry_run
        else "Call run_trial(hypothesis=...) to measure this candidate.",
    )


def _check_expected(path: str, content: bytes, expected: str | None) -> None:
    present = hashlib.sha256(content).hexdigest()
    if expected is not None and expected.lower() != present:
        raise Refusal(
            "edit.stale",
            f"{path} is {present}, not the expected {expected[:64]}: somebody changed it; "
            "call read_recipe and edit what is there now",
        )


def _check_baseline(state: State) -> None:
    if state.incumbent is None:
        raise Refusal(
            "session.baseline",
            "the unmodified recipe has not been measured yet: call run_trial first",
        )


def _check_known(state: State, path: str, content: bytes) -> None:
    if content != state.incumbent_source(path) and not state.is_known(content):
        raise Refusal(
            "surface.unknown",
            f"{path} was changed outside this server; call apply_edit(adopt=true) to take it as "
            "the candidate as it is, or undo that change",
        )


def _harness_file(state: State, path: str) -> bytes:
    if path not in {*state.recipe.harness, PROTOCOL_FILE}:
        readable = ", ".join([*state.recipe.files, *state.recipe.harness, PROTOCOL_FILE])
        raise Refusal("surface.path", f"{path!r} cannot be read here; readable are: {readable}")
    return state.rooms.repository.read(state.recipe.commit, path) or b""


def _page(source: str, first_line: int) -> tuple[str, int | None, int]:
    """Return numbered lines from `first_line`, the next page's first line, and the total."""
    lines = source.splitlines()
    if not 1 <= first_line <= max(1, len(lines)):
        raise Refusal("recipe.page", f"first_line must be between 1 and {len(lines)}")
    shown: list[str] = []
    room = _PAGE_BYTES
    for number, line in enumerate(lines[first_line - 1 :], first_line):
        text = f"{number:4}|{line}"
        room -= len(text.encode()) + 1
        if room < 0 and shown:
            return "\n".join(shown), number, len(lines)
        shown.append(text if room >= 0 else text.encode()[:_PAGE_BYTES].decode(errors="ignore"))
    return "\n".join(shown), None, len(lines)


def _after_reading(state: State, path: str, next_line: int | None) -> str:
    if next_line is not None:
        return f"Call read_recipe(path={path!r}, first_line={next_line}) for the next page."
    return memory.next_step(state)
