"""How an attack is written down: the code, and what comes of it with and without a sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from .arena import Arena, Strike
from .conftest import LEVELS

each_level = pytest.mark.parametrize("arena", [*LEVELS, "none"], indirect=True, scope="session")
best_level = pytest.mark.parametrize("arena", ["best"], indirect=True, scope="session")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What comes of an attack.

    Args:
        outcome: The trial's.
        says: Attempt -> how its answer begins: "done", "denied" or what it found.
        changed: Areas outside the run that the attack did change.
        names: A text that the outcome's reason has.
    """

    outcome: str = "measured"
    says: Mapping[str, str] = field(default_factory=dict[str, str])
    changed: frozenset[str] = frozenset()
    names: str = ""

    def check(self, strike: Strike) -> None:
        answers = strike.answers
        assert strike.outcome == self.outcome, (strike.trial["outcome"], strike.log[-2000:])
        assert self.names in strike.trial["outcome"]["reason"], strike.trial["outcome"]
        for name, begins in self.says.items():
            assert answers[name].startswith(begins), answers
        assert strike.changed == self.changed, sorted(strike.changed)
        assert strike.trial["verdict"]["status"] != "keep", strike.trial["outcome"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One attack.

    Args:
        id: Its number and name.
        attack: Code that runs before the training.
        sandboxed: What comes of it in every sandbox.
        bare: What comes of it in none, where that differs.
        replace: Passages of train.py to replace besides.
    """

    id: str
    attack: str
    sandboxed: Seen
    bare: Seen | None = None
    replace: tuple[tuple[str, str], ...] = ()

    def expected(self, arena: Arena) -> Seen:
        return self.sandboxed if arena.sandboxed or self.bare is None else self.bare


def denied(*attempts: str) -> Seen:
    """The kernel refuses each attempt, and the run is measured as if nothing had been tried."""
    return Seen(says=dict.fromkeys(attempts, "denied"))


def named(cases: tuple[Case, ...]) -> pytest.MarkDecorator:
    """Run a test once for each case."""
    return pytest.mark.parametrize("case", cases, ids=[case.id for case in cases])
