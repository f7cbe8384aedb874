"""The first program of a sandboxed run: locks itself in, then becomes the run's command.

Started by path in the server's interpreter, before the recipe's, so that a recipe's environment
needs nothing for it. What the process gives up here no later program gets back.

    python -I -S -B enter.py '{"read": [...], ...}' PROGRAM ARG...
"""

import json
import os
import signal
import sys
from typing import TypedDict

if __name__ == "__main__":  # last: nothing of ours may stand before the standard library
    sys.path.append(__file__.rsplit("/", 4)[0])

from autoresearch_mcp.effects.sandbox import landlock, limits, masks, seccomp, syscalls
from autoresearch_mcp.effects.sandbox.rules import rules

FAILED = 125
"""Exit status when the command was never started: the sandbox could not be put in force."""


class Orders(TypedDict):
    """What to put in force; the paths are absolute."""

    landlock: bool
    seccomp: bool
    read: list[str]
    write: list[str]
    masked: list[str]
    devices: list[str]
    network: bool
    subprocesses: bool
    accelerator: bool
    memory: int | None
    file_size: int
    tasks: int | None
    environment: dict[str, str]
    """All of it; none is inherited."""


def main(arguments: list[str]) -> None:
    """Put the orders in force and become the command."""
    orders: Orders = json.loads(arguments[0])
    command = arguments[1:]
    try:
        lock_in(orders)
        os.execvpe(command[0], command, orders["environment"])
    except OSError as error:
        sys.stderr.write(f"sandbox: {command[0]} was not started: {error}\n")
        sys.exit(FAILED)


def lock_in(orders: Orders) -> None:
    """Give up everything that the orders do not grant.

    Raises:
        OSError: The kernel lacks something that was ordered.
    """
    limits.limit_resources(
        memory=orders["memory"], file_size=orders["file_size"], tasks=orders["tasks"]
    )
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, others must not
        signal.signal(number, signal.SIG_DFL)
    if sys.platform != "linux":
        return
    limits.die_with_parent()
    limits.give_up_privileges()
    if orders["landlock"]:
        landlock.restrict(grants(orders), network=orders["network"])
    if orders["seccomp"]:
        denied = rules(
            os.getpid(),
            network=orders["network"],
            subprocesses=orders["subprocesses"],
            accelerator=orders["accelerator"],
        )
        seccomp.install(seccomp.program(denied, syscalls.machine()))


def grants(orders: Orders) -> list[tuple[str, int]]:
    """Return every path that stays reachable, and for what."""
    masked = masks.hidden(orders["masked"])
    found = [
        (path, landlock.READ if whole else landlock.LIST)
        for path, whole in masks.pieces(masks.resolved(orders["read"]), masked)
    ]
    found += [(path, landlock.DEVICE) for path in orders["devices"]]
    if orders["accelerator"]:  # CUDA's managed memory fails where it cannot name its threads
        found.append(("/proc/self/task", landlock.REWRITE))
    writable = landlock.WRITE_AND_EXECUTE if orders["subprocesses"] else landlock.WRITE
    return found + [(path, writable) for path in orders["write"]]


if __name__ == "__main__":
    main(sys.argv[1:])
