"""The two ways of Linux: Landlock with a call filter, and the same inside bubblewrap."""

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psutil

from autoresearch_mcp.effects.sandbox import enter, files
from autoresearch_mcp.effects.sandbox.bubblewrap import mounts
from autoresearch_mcp.effects.sandbox.policy import Policy, Wrapped

_ISOLATED = ("-I", "-S", "-B")


class Locked:
    """Landlock and a call filter, taken on by the process itself before it becomes the run.

    There is no other process: the run is the supervisor's own child and keeps its number. Its
    environment is handed over in the orders: LD_PRELOAD is for the run, not for our programs.
    """

    name = "landlock+seccomp"

    def wrap(
        self, argv: tuple[str, ...], environment: Mapping[str, str], policy: Policy
    ) -> Wrapped:
        """Return the command that locks itself in first."""
        orders = orders_for(environment, policy, landlock=True)
        return Wrapped(argv=entering(orders, argv), environment={})


class Bubblewrapped:
    """Namespaces around the same: no other process, network or mounted file is even there.

    The run is a grandchild: bubblewrap stays as its parent, and as the first process of its
    process namespace; when either goes, the kernel ends all in it.

    Args:
        program: The path of `bwrap`.
        landlock: Whether the kernel has it; without it the mounts alone hold the files.
    """

    def __init__(self, program: str, *, landlock: bool) -> None:
        self._program = program
        self._landlock = landlock
        self.name = "bubblewrap+landlock+seccomp" if landlock else "bubblewrap+seccomp"

    def wrap(
        self, argv: tuple[str, ...], environment: Mapping[str, str], policy: Policy
    ) -> Wrapped:
        """Return the command that runs in namespaces of its own, locked in as well."""
        orders = orders_for(environment, policy, landlock=self._landlock)
        seen = [path for path in orders["read"] if not path.startswith("/proc/")]
        orders["read"] = [*seen, "/proc"]  # a fresh one, which shows the run's processes only
        options = ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
        if not policy.network:
            options.append("--unshare-net")
        options += ["--die-with-parent", "--cap-drop", "ALL", "--proc", "/proc"]
        options += mounts(
            read=[*seen, *_own_files()],
            write=orders["write"],
            # Landlock hides files faster: hundreds of mounts take a second.
            masked=[] if self._landlock else orders["masked"],
            devices=orders["devices"],
        )
        return Wrapped(
            argv=(self._program, *options, "--", *entering(orders, argv)),
            environment={},
            signals_as_codes=True,
        )


def orders_for(environment: Mapping[str, str], policy: Policy, *, landlock: bool) -> enter.Orders:
    """Return what a policy means on this machine."""
    system = files.system(policy.devices, network=policy.network, subprocesses=policy.subprocesses)
    computes_here = policy.devices == "none"
    return {
        "landlock": landlock,
        "seccomp": True,
        "read": [str(path) for path in (*policy.read, *system.read)],
        "write": [str(path) for path in policy.write],
        "masked": [str(path) for path in (*policy.masked, *system.masked)],
        "devices": [str(path) for path in files.device_files(policy.devices)],
        "network": policy.network,
        "subprocesses": policy.subprocesses,
        "accelerator": not computes_here,
        "memory": policy.memory_bytes if computes_here else None,
        "file_size": policy.scratch_bytes,
        "tasks": _tasks_of_this_user() + policy.max_tasks if os.getuid() else None,
        "environment": dict(environment),
    }


def entering(orders: enter.Orders, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that puts the orders in force and becomes another."""
    return (sys.executable, *_ISOLATED, enter.__file__, json.dumps(orders), *argv)


@cache
def _own_files() -> tuple[str, ...]:
    """Return what the first program needs; once locked in, the run cannot read it."""
    package = Path(__file__).parents[2]
    own = files.runtime(Path(sys.executable))
    return (str(package), *map(str, own.read))


def _tasks_of_this_user() -> int:
    """Count processes and threads: the kernel's limit counts what already runs."""
    me, count = os.getuid(), 0
    for process in psutil.process_iter():
        try:
            if process.uids().real == me:
                count += process.num_threads()
        except psutil.Error:
            continue
    return count
