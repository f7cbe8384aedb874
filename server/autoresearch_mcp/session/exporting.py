"""The results log: a view of the ledger, in the working tree brought up to date by verdicts."""

import hashlib
import sys

from autoresearch_mcp.core import resultslog
from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.events import Exported
from autoresearch_mcp.effects.workspace import Conflict
from autoresearch_mcp.session.recipe import Recipe, committed, recipe_of
from autoresearch_mcp.session.rooms import Rooms


def export(rooms: Rooms, research: str, *, anew: bool = False) -> tuple[str, ...]:
    """Write the results log into the working tree, unless somebody else changed it there.

    Only for a caller that holds the recipe's lock.

    Args:
        rooms: The recipe's rooms.
        research: The research run.
        anew: Make every row anew, also those that the file has: so it is what gets committed,
            whichever version of the server wrote those rows.

    Returns:
        A note where the file was left alone.
    """
    if rooms.repository.head().branch != research:
        return ()
    recipe = recipe_of(rooms, research)
    path = recipe.log_path
    try:
        present = rooms.workspace.digest(path)
        longer = None if anew or present is None else _continued(rooms, recipe, research, present)
        content = results_log(rooms, recipe, research) if longer is None else longer
        digest = hashlib.sha256(content).hexdigest()
        if present == digest:
            return ()
        if present is not None and not _is_ours(rooms, recipe, research, present):
            return (
                f"{path} was changed by somebody else and is left alone; to have the server's "
                f"again, move it away: the next verdict writes it anew",
            )
        rooms.ledger.append(Exported(research=research, sha256=digest))
        rooms.workspace.write(path, content, expected=present)
    except (Conflict, Refusal) as error:
        return (f"{path} is left alone: {error}",)
    return ()


def results_log(rooms: Rooms, recipe: Recipe, research: str, *, upto: int | None = None) -> bytes:
    """Return the results log's content: the lines from before the run, then one per trial."""
    measurement, log = recipe.protocol.measurement, recipe.protocol.provenance.results_log
    before = committed(rooms.repository, recipe.commit, log.path)
    trials = rooms.ledger.each(research, upto)
    return resultslog.render(before, log, measurement.primary_metric.name, trials)


def _continued(rooms: Rooms, recipe: Recipe, research: str, present: str) -> bytes | None:
    """Return the file in the working tree with the rows that it lacks; None where that can't be.

    What was exported has the rows of all verdicts until then: none of their trials is read again,
    be they ten or ten thousand.
    """
    trials = rooms.ledger.decided_since(research, present)
    if trials is None:
        return None
    content = rooms.workspace.read(recipe.log_path, limit=sys.maxsize)
    if hashlib.sha256(content).hexdigest() != present:
        return None
    log = recipe.protocol.provenance.results_log
    metric = recipe.protocol.measurement.primary_metric.name
    return content + resultslog.rows(log, metric, trials)


def _is_ours(rooms: Rooms, recipe: Recipe, research: str, present: str) -> bool:
    """Tell whether a content of the file is known: from the ledger, or from a commit."""
    if rooms.ledger.knows(research, present):
        return True
    commits = (rooms.repository.head().commit, recipe.commit)
    versions = (rooms.repository.read(commit, recipe.log_path) for commit in commits)
    return any(hashlib.sha256(v).hexdigest() == present for v in versions if v is not None)
