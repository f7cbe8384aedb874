"""Put a trial's candidate back into the working tree."""

from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.session import editing
from autoresearch_mcp.session.answers import EditAnswer
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.settling import settle
from autoresearch_mcp.session.state import State, look
from autoresearch_mcp.session.trials import find


def restore(rooms: Rooms, trial_id: int) -> tuple[EditAnswer, ...]:
    """Make a trial's candidate the candidate again, through the same gatehouse as an edit.

    Returns:
        What the candidate changes in the incumbent, one answer for each file.

    Raises:
        Refusal: There is no such trial, the moment is wrong, it is the incumbent's code, or a
            file holds work that the ledger does not know.
    """
    with rooms.locked():
        settle(rooms)
        trial = find(rooms, trial_id)
        state = look(rooms)
        contents = _contents(state, trial.candidate)
        differing = [p for p, c in contents.items() if c != state.incumbent_source(p)]
        stale = [p for p, c in contents.items() if c != rooms.workspace.read(p)]
        if not differing and not stale:
            raise Refusal(
                "edit.no_change",
                f"the candidate of trial {trial_id} is the incumbent's code, which is in place",
            )
        # All of them are checked before the first is written.
        for path in stale:
            editing.check_writable(state, path)
            editing.stage(state, path, contents[path], dry_run=True)
        for path in stale:
            editing.stage(state, path, contents[path])
        for path in differing:
            if not state.is_known(contents[path]):  # a person has typed the same
                editing.stage(state, path, None)
        shown = differing or stale
        return tuple(editing.against_incumbent(state, path, contents[path]) for path in shown)


def _contents(state: State, candidate: str) -> dict[str, bytes]:
    """Return the surface's files as a candidate has them."""
    found = {path: state.rooms.repository.read(candidate, path) for path in state.recipe.files}
    return {path: content for path, content in found.items() if content is not None}
