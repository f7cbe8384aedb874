"""What can be read whole: the recipe, its contract, trials, their logs, the results, a picture."""

from collections.abc import Sequence
from pathlib import Path

from autoresearch_mcp.core import chart, logtext
from autoresearch_mcp.core.chart import Mark
from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.session import exporting, trials
from autoresearch_mcp.session.recipe import PROTOCOL_FILE
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.state import look

_LOG_BYTES = 64 * 1024
_LOG_LINES = 2000


def surface(rooms: Rooms) -> tuple[str, ...]:
    """Return the files that may be edited."""
    return look(rooms).recipe.files


def recipe_file(rooms: Rooms, path: str) -> str:
    """Return a surface file as the working tree has it.

    Raises:
        Refusal: It is not of the surface.
    """
    state = look(rooms)
    if path not in state.recipe.files:
        raise Refusal("surface.path", f"{path} is not of the surface")
    return rooms.workspace.read(path).decode(errors="replace")


def protocol(rooms: Rooms) -> str:
    """Return the contract in force."""
    content = rooms.repository.read(look(rooms).recipe.commit, PROTOCOL_FILE)
    return (content or b"").decode(errors="replace")


def trial(rooms: Rooms, trial_id: int) -> str:
    """Return a trial as get_metrics shows it, as JSON.

    Raises:
        Refusal: There is none.
    """
    return trials.peek(rooms, trials.find(rooms, trial_id)).model_dump_json(indent=2)


def trial_log(rooms: Rooms, trial_id: int) -> str:
    """Return the end of a candidate's latest log as safe text: untrusted output of the recipe.

    Raises:
        Refusal: There is no such trial.
    """
    trial = trials.find(rooms, trial_id)
    data = rooms.files.read(rooms.files.run_log(trial_id, trial.own_run))
    return logtext.tail(data, _LOG_BYTES, _LOG_LINES)


def results(rooms: Rooms) -> str:
    """Return the results log as the ledger has it now."""
    state = look(rooms)
    if state.research is None:
        content = rooms.repository.read(state.head.commit, state.recipe.log_path) or b""
    else:
        content = exporting.results_log(rooms, state.recipe, state.research)
    return content.decode(errors="replace")


def picture(rooms: Rooms) -> bytes:
    """Return every decided trial's value and the incumbent's line, as a PNG."""
    decided = (t for t in look(rooms).trials if t.outcome is not None)
    return chart.draw([Mark(t.outcome.value if t.outcome else None, t.kept) for t in decided])


def stamps(rooms: Rooms, files: Sequence[str]) -> dict[str, object]:
    """Return what changes when a document does, by its address, at the price of a few stats.

    Args:
        rooms: The recipe's rooms.
        files: The surface.
    """
    ledger = [_stamp(Path(f"{rooms.ledger.path}{end}")) for end in ("", "-wal")]
    found: dict[str, object] = {"results://": ledger, "results://chart.png": ledger}
    for path in files:
        found[f"recipe://{path}"] = _stamp(rooms.repository.root / path)
    last = rooms.ledger.last_trial()
    for number in range(max(1, last - 1), last + 1):
        record = trials.find(rooms, number)
        log = _stamp(rooms.files.run_log(number, record.own_run))
        found[f"trial://{number}"] = (record.phase, log)
        found[f"trial://{number}/log"] = log
    return found


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size
