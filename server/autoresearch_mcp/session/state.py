"""Where the research stands: read anew for every call, never remembered."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from autoresearch_mcp.core import caps
from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.events import ResearchStarted
from autoresearch_mcp.core.protocol import differences
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.effects.repository import Head
from autoresearch_mcp.session.recipe import PROTOCOL_FILE, Recipe, committed, recipe_at
from autoresearch_mcp.session.rooms import Rooms

_SHOWN = 3
"""Changes of the protocol that a message names."""


@dataclass(frozen=True, slots=True)
class State:
    """A look at the repository and the ledger at one moment.

    Args:
        rooms: Where it was read.
        recipe: The recipe under its rules: as committed when the research run began,
            or at HEAD where none has.
        head: The user's HEAD.
        started: How the research run that HEAD is on began; None where there is none.
    """

    rooms: Rooms
    recipe: Recipe
    head: Head
    started: ResearchStarted | None

    @property
    def research(self) -> str | None:
        """Return the branch of the research run that HEAD is on, None where there is none."""
        return self.started.research if self.started else None

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """Return the trials of the research run, oldest first: all of them, read anew."""
        return self.rooms.ledger.trials(self.research) if self.research else ()

    @property
    def incumbent(self) -> TrialRecord | None:
        """Return the trial whose candidate the branch holds, None before the baseline."""
        return self.rooms.ledger.last_kept(self.research) if self.research else None

    @property
    def newest(self) -> TrialRecord | None:
        """Return the last trial of the research run."""
        return next(iter(self.rooms.ledger.newest(self.research or "", 1)), None)

    @property
    def cap_reached(self) -> str | None:
        """Name the protocol's cap that another trial would pass; None while there is room."""
        limits = self.recipe.protocol.mining_loop
        if not any(caps.in_words(limits)):
            return None
        return caps.reached(limits, self.trials, datetime.now(UTC))

    @property
    def under_way(self) -> TrialRecord | None:
        """Return the recipe's trial that has no verdict yet, whichever research run it is of."""
        return next((t for t in self.rooms.ledger.unfinished() if t.undecided), None)

    @property
    def awaiting_application(self) -> TrialRecord | None:
        """Return the decided trial that commit_or_revert has not been called for."""
        unfinished = reversed(self.rooms.ledger.unfinished())
        mine = (t for t in unfinished if t.research == self.research)
        return next((t for t in mine if t.awaits_application), None)

    @property
    def expected_head(self) -> str:
        """Return the commit that the research branch is at unless somebody moved it."""
        left_at = self.rooms.ledger.left_at(self.research) if self.research else None
        return left_at or self.recipe.commit

    def check_turn(self) -> None:
        """Return if the candidate may be edited or tried now.

        Raises:
            Refusal: A trial is going on, or waits for commit_or_revert.
            Fault: Somebody moved the research branch.
        """
        if trial := self.under_way:
            raise Refusal(
                "session.busy",
                f"trial {trial.id} is going on: call wait_trial(trial_id={trial.id}), or "
                "cancel_trial",
            )
        if trial := self.awaiting_application:
            raise Refusal(
                "session.verdict",
                f"trial {trial.id} is decided: call commit_or_revert(trial_id={trial.id}) first",
            )
        if self.started and self.head.commit != self.expected_head:
            raise Fault(
                f"branch {self.research} is at {self.head.commit[:7]}, but the ledger left it at "
                f"{self.expected_head[:7]}: somebody committed or moved it. To go on from here, "
                "switch to a new branch (git switch -c NAME): the next trial starts a new research "
                "run there with its own baseline"
            )
        self._check_rules()

    def _check_rules(self) -> None:
        """Return if protocol.json on disk still says what was committed when the rules were fixed.

        Raises:
            Fault: It does not; the message names the change.
        """
        digest = self.rooms.workspace.digest(PROTOCOL_FILE)
        if digest is None:
            raise Fault(f"{PROTOCOL_FILE} is gone: put it back (git restore {PROTOCOL_FILE})")
        if digest == self.recipe.protocol_sha256:
            return
        committed = self.rooms.repository.read(self.recipe.commit, PROTOCOL_FILE) or b""
        present = self.rooms.workspace.read(PROTOCOL_FILE)
        changes = differences(committed.decode(errors="replace"), present.decode(errors="replace"))
        if not changes:
            return
        rules, way = "the last commit", "commit it to make it the rules"
        if self.started:
            rules = f"the rules that {self.research} began with"
            way = "commit it on a new branch (git switch -c NAME) for a research run of its own"
        more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        raise Fault(
            f"{PROTOCOL_FILE} on disk is not {rules} ({'; '.join(changes[:_SHOWN])}{more}): put it "
            f"back (git restore {PROTOCOL_FILE}), or {way}"
        )

    def incumbent_source(self, path: str) -> bytes:
        """Return a surface file as the branch's head holds it."""
        content = committed(self.rooms.repository, self.head.commit, path)
        if content is None:
            raise Refusal("surface.path", f"{path} is not in the branch's last commit")
        return content

    def candidate(self) -> Mapping[str, bytes]:
        """Return the surface files of the working tree that differ from the branch's head."""
        present = {path: self.rooms.workspace.read(path) for path in self.recipe.files}
        return {p: c for p, c in present.items() if c != self.incumbent_source(p)}

    def is_known(self, content: bytes) -> bool:
        """Tell whether a surface file's content came through this server."""
        digest = hashlib.sha256(content).hexdigest()
        return self.research is not None and self.rooms.ledger.knows(self.research, digest)


def look(rooms: Rooms) -> State:
    """Read where the research stands.

    Raises:
        Fault: The repository or its protocol cannot be used.
    """
    head = rooms.repository.head()
    started = rooms.ledger.research(head.branch) if head.branch else None
    commit = started.base if started else head.commit
    return State(rooms, recipe_at(rooms.repository, commit), head, started)
