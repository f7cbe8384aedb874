"""What a run may touch, and how much its result can be trusted for it."""

from pathlib import Path

import psutil

from autoresearch_mcp.core.document import size_bytes
from autoresearch_mcp.core.protocol_schema import SandboxPreferences
from autoresearch_mcp.core.trial import Trust, TrustLevel
from autoresearch_mcp.effects import assets, launcher
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.sandbox import files, probe, scratch
from autoresearch_mcp.effects.sandbox.policy import (
    DEFAULT_SCRATCH_BYTES,
    DEFAULT_TASKS,
    Bare,
    Devices,
    Policy,
    Sandbox,
)
from autoresearch_mcp.effects.supervisor import Execution
from autoresearch_mcp.session.bench import Bench

_OPEN_SPLITS = ("manifest.json", "tokenizer", "train", "val")
"""Parts of a prepared data set that a run may read: never the holdout. Validation stays in until
the server evaluates the model itself."""

_MEMORY_SHARE = 0.9
"""Of the machine's memory: what a run may take at most unless the operator says otherwise."""

_CAP_GIB = DEFAULT_SCRATCH_BYTES / 2**30

_DEVICES: dict[str, Devices] = {"cuda": "cuda", "metal": "metal"}


def _memory(chosen_gib: float | None, wishes: SandboxPreferences | None) -> int:
    """Return the most memory of a run, bytes: the operator's word, else the author's wish."""
    if chosen_gib is not None:
        return int(chosen_gib * 2**30)
    most = int(psutil.virtual_memory().total * _MEMORY_SHARE)
    wish = size_bytes(wishes.memory) if wishes and wishes.memory else None
    return min(most, wish) if wish else most


class Guard:
    """Holds the runs of one trial to what they may do.

    Args:
        bench: Where the runs happen.

    Raises:
        Fault: The sandbox that the operator asked for does not work here.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        options = bench.options
        self.sandbox: Sandbox = probe.select(options.sandbox)
        wishes = bench.recipe.protocol.environment.sandbox
        self._memory = _memory(options.memory_gib, wishes)
        self._tasks = min(DEFAULT_TASKS, wishes.pids or DEFAULT_TASKS) if wishes else DEFAULT_TASKS
        self._runtime = files.runtime(bench.interpreter.path)

    def policy(self, directory: RunDirectory) -> Policy:
        """Return what one run may do: read its recipe and its data, write its own scratch."""
        bench, data = self.bench, self.bench.data
        read = [*self._runtime.read, directory.recipe, directory.settings, Path(launcher.__file__)]
        masked = [*self._runtime.masked]
        if data is not None:
            read += [data.folder / name for name in _OPEN_SPLITS]
            masked += [Path(name) for name in data.manifest.masked]
        read += [asset.resolve() for asset in bench.assets]
        masked += assets.holdouts(bench.assets)
        if bench.blas.library is not None:
            read.append(bench.blas.library)
        return Policy(
            read=tuple(path for path in read if path.exists()),
            write=(directory.home, directory.temporary),
            masked=tuple(masked),
            network=bench.has_network,
            subprocesses=bench.recipe.command.kind == "argv",
            devices=_DEVICES.get(bench.interpreter.device_kind, "none"),
            memory_bytes=self._memory,
            max_tasks=self._tasks,
        )

    def lend(self, directory: RunDirectory) -> None:
        """Let the recipe's data outside its repository appear in the run's own home."""
        assets.lend(self.bench.assets, directory.home)

    def overflow(self, directory: RunDirectory) -> str | None:
        """Say that a run fills more room than it may; None while it keeps to it."""
        used = scratch.used_bytes((directory.home, directory.temporary))
        if used <= DEFAULT_SCRATCH_BYTES:
            return None
        return (
            f"it wrote {used / 2**30:.1f} GiB; {DEFAULT_SCRATCH_BYTES / 2**30:.0f} GiB is the cap"
        )

    def trust(self, execution: Execution) -> Trust:
        """Return how much of a run's result the server saw to itself."""
        missing: list[str] = []
        if isinstance(self.sandbox, Bare):
            missing.append("a sandbox: none is used on this machine")
        if execution.training is None:
            missing.append("the training clock: the harness did not tell first batch and hand-over")
        if missing:
            return Trust(level=TrustLevel.PRINTED, missing=tuple(missing))
        return Trust(
            level=TrustLevel.LOCKED,
            missing=("the server's own evaluation: the number is read from the run's log",),
        )
