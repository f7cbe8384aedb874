"""Candidates: the real train.py with a few lines put in or replaced."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

from tests.driving import TOP

TRAIN = (TOP / "train.py").read_text()

_IMPORTS = (
    "from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader\n"
)
_ATTEMPT = '''\
import os, signal, sqlite3, socket, subprocess, sysconfig
from pathlib import Path
import prepare


def attempt(name, act):
    """Do something that is not allowed, and print what came of it."""
    try:
        got = act()
    except (OSError, MemoryError, sqlite3.Error) as error:
        got = f"denied ({type(error).__name__}: {error})"
    print(f"\\nattempt {name}: {got if isinstance(got, str) else 'done'}", flush=True)


'''
_STEPS = "out_of_time = seconds > 0 and seconds + step_seconds > TIME_BUDGET\n"
_SCHEDULE = "factor = lr_factor(min(1.0, seconds / TIME_BUDGET))\n"
FEW, SOME, MANY = 1, 4, 10
"""Steps of training: of candidates that must lie to be kept, of the baseline they are to beat, and
of candidates that are kept unless they are caught. A baseline that trains for the profile's 2 s
takes more than one, and a tie is no gain."""

Replacements = Sequence[tuple[str, str]]


def replaced(replace: Replacements) -> str:
    """Return train.py with passages replaced, each of which it must have exactly once."""
    source = TRAIN
    for old, new in replace:
        assert source.count(old) == 1, f"train.py has {source.count(old)} times {old!r}"
        source = source.replace(old, new)
    return source


def brief(steps: int, replace: Replacements = ()) -> str:
    """Return train.py with a fixed number of steps: the same weights wherever it runs.

    Args:
        steps: Optimizer steps; all fit in the budget.
        replace: Passages to replace besides.
    """
    fixed = [(_STEPS, f"out_of_time = step >= {steps}\n"), (_SCHEDULE, "factor = 1.0\n")]
    return replaced([*fixed, *replace])


def attacking(attack: str, places: dict[str, Path], replace: Replacements = ()) -> str:
    """Return a train.py that attacks after its imports, then trains too little to be kept.

    By steps and not by time: on a busy machine a second may be as much as the incumbent had.

    Args:
        attack: Code that calls attempt(name, act).
        places: Paths by the name that the attack has for them.
        replace: Passages to replace besides.
    """
    known = "".join(f"{name} = Path({str(path)!r})\n" for name, path in places.items())
    prelude = _ATTEMPT + known + dedent(attack) + "\n"
    return brief(FEW, [(_IMPORTS, _IMPORTS + prelude), *replace])


def answers(log: str) -> dict[str, str]:
    """Return what came of each attempt, by its name."""
    lines = (line.removeprefix("attempt ") for line in log.splitlines() if "attempt " in line)
    return {name: got for name, _, got in (line.partition(": ") for line in lines)}
