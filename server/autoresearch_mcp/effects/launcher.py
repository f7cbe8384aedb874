"""The first code of every run: seeds the libraries, then becomes the protocol's command.

Started by path in the recipe's own interpreter, which has none of the server's packages:
nothing but the standard library may be imported at the top.

    python -I -B -u launcher.py python SCRIPT ARG...     runs a Python script in place
    python -I -B -u launcher.py exec PROGRAM ARG...      becomes any other program
"""

import ctypes
import hashlib
import json
import os
import random
import runpy
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_SEED_BITS = 32
_LIBRARIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("random", ("seed",)),
    ("numpy.random", ("seed", "default_rng")),
    ("mlx.core.random", ("seed", "key")),
)
"""Module -> the functions that take a seed as their first argument."""

_GENERATORS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("random", ("Random",)),
    (
        "numpy.random",
        ("RandomState", "SeedSequence", "PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"),
    ),
)
"""Module -> the classes that take a seed as their first argument."""

_PLAIN = (int, float, str, bytes, bytearray, list, tuple, type(None))
"""Types of seeds."""

_PHILOX_ARGUMENTS = 3
"""Seed, counter, key; nothing else that is wrapped takes as many."""


def main(arguments: list[str]) -> None:
    """Run the command with the trial's seed in force."""
    die_with_parent()
    given = settings()
    if (channel := given.get("handover_fd")) is not None:
        report(channel)
    kind, command = arguments[0], arguments[1:]
    if kind == "exec":
        os.execvp(command[0], command)
    # The variable may go by another name, or be none: the protocol says.
    own_the_seed(int(given["seed"] if "seed" in given else os.environ["ARAH_TRIAL_SEED"]))
    if lent := given.get("lent"):
        sys.path.append(lent)
        import_module("autoresearch_handover").remember()
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).absolute().parent))
    runpy.run_path(command[0], run_name="__main__")


def settings() -> dict[str, Any]:
    """Return what the server tells the run; empty where there is no server."""
    file = os.environ.get("AUTORESEARCH_RUN")
    return json.loads(Path(file).read_bytes()) if file else {}


def die_with_parent() -> None:
    """Let the kernel end this process should its supervisor die (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def report(channel: int) -> None:
    """Tell the supervisor that the run begins, before any code of the candidate's does.

    By that it tells a sandbox that failed from a candidate that pretends one did. A supervisor
    that died before the kernel tied this process to it shows here: nobody holds the other end.
    """
    try:
        os.write(channel, b"launched\n")
    except OSError:
        sys.exit("the run's supervisor is gone")


def own_the_seed(trial_seed: int) -> None:
    """Seed random, numpy and mlx, and mix the trial's seed into whatever seed is asked for.

    A recipe that says seed(42) gets other numbers in every run of a trial, and the same
    ones when that run is repeated: the noise can be measured and no seed can be hunted.
    """
    for names, wrap in ((_GENERATORS, _reseeded), (_LIBRARIES, _mixing)):
        for name, members in names:
            if find_spec(name.partition(".")[0]) is None:
                continue
            module = import_module(name)
            for member in members:
                if original := getattr(module, member, None):
                    setattr(module, member, wrap(original, trial_seed))
    random.seed(0)
    for name in ("numpy.random", "mlx.core.random"):
        if name in sys.modules:
            sys.modules[name].seed(0)


def mix(trial_seed: int, asked: object) -> int:
    """Return the seed to use where a recipe asks for one.

    Example:
        >>> mix(1, 42) == mix(1, 42), mix(1, 42) == mix(2, 42)
        (True, False)
    """
    digest = hashlib.sha256(f"{trial_seed}/{asked!r}".encode()).digest()
    return int.from_bytes(digest[: _SEED_BITS // 8], "big")


def _mixing(original: Callable[..., Any], trial_seed: int) -> Callable[..., Any]:
    def mixed(asked: Any) -> Any:
        if hasattr(asked, "tolist"):  # numpy's numbers and arrays
            asked = asked.tolist()
        # Anything but plain data is a generator, which has been seeded already.
        plain = any(isinstance(asked, kind) for kind in _PLAIN)
        return mix(trial_seed, asked) if plain else asked

    def seeded(*args: Any, **named: Any) -> Any:
        if len(args) == _PHILOX_ARGUMENTS:
            args, named["key"] = args[:-1], args[-1]
        if named.get("key") is not None:  # Philox's, instead of a seed
            return original(*args, **{**named, "key": mixed(named["key"])})
        name = next((name for name in ("seed", "a", "x", "entropy") if name in named), None)
        # No seed asked for means fresh entropy: a run must not have any.
        asked: Any = named.pop(name) if name else args[0] if args else None
        return original(mixed(asked), *args[1:], **named)

    return seeded


def _reseeded(original: type, trial_seed: int) -> type:
    """Return the class with the trial's seed mixed in, still one that code can derive from."""
    seeded = _mixing(lambda *args, **named: (args, named), trial_seed)

    def start(self: Any, *args: Any, **named: Any) -> None:
        args, named = seeded(*args, **named)
        original.__init__(self, *args, **named)

    return type(original.__name__, (original,), {"__init__": start})


if __name__ == "__main__":
    main(sys.argv[1:])
