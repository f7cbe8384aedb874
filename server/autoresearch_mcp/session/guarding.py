"""What a run may touch, and how much its result can be trusted for it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import psutil

from autoresearch_mcp.core.document import size_bytes
from autoresearch_mcp.core.protocol_schema import SandboxPreferences
from autoresearch_mcp.core.trial import Trust, TrustLevel
from autoresearch_mcp.effects import assets, kernels, launcher, prepared
from autoresearch_mcp.effects.kernels import Whose
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.sandbox import files, probe, scratch
from autoresearch_mcp.effects.sandbox.files import Files
from autoresearch_mcp.effects.sandbox.policy import (
    DEFAULT_SCRATCH_BYTES,
    DEFAULT_TASKS,
    Bare,
    Devices,
    Policy,
    Sandbox,
)
from autoresearch_mcp.effects.supervisor import Execution, descendants
from autoresearch_mcp.session.bench import Bench

_OPEN_TO_ALL = ("manifest.json", "tokenizer")
_OPEN_TO_RUNS = (*_OPEN_TO_ALL, "train")
_VALIDATION = "val"
"""Parts of a prepared data set, by who may read them: the holdout never, validation only a run that
must evaluate its model itself."""

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
        is_bare = isinstance(self.sandbox, Bare)  # then nobody needs to know what may be read
        self._runtime = Files(read=()) if is_bare else files.runtime(bench.interpreter.path)

    @property
    def seals(self) -> bool:
        """Tell whether the server evaluates what runs hand over, and hides validation from them."""
        data = self.bench.data
        named = data is not None and data.manifest.evaluation is not None
        return named and not isinstance(self.sandbox, Bare)

    @cached_property
    def kernels(self) -> Path | None:
        """Return the store of compiled kernels; None where compiling them takes no time."""
        return self.bench.kernels(sealed=self.seals)

    def lend_kernels(self, whose: Whose, directory: RunDirectory) -> dict[str, str]:
        """Give a process its own copy of the compiled kernels; return the variables naming it."""
        if self.kernels is None:
            return {}
        kernels.lend(self.kernels, whose, directory.kernels)
        return kernels.environment(directory.kernels)

    def policy(self, directory: RunDirectory) -> Policy:
        """Return what one run may do: read its recipe and its data, write its own scratch."""
        bench = self.bench
        open_data = (*_OPEN_TO_RUNS, *(() if self.seals else (_VALIDATION,)))
        hidden = tuple(self._hidden_in_assets())
        lent = [asset.resolve() for asset in bench.assets]
        readable = [path for path in lent if not any(path.is_relative_to(one) for one in hidden)]
        run = self._policy(directory, open_data, readable)
        return replace(
            run,
            masked=(*run.masked, *hidden),
            network=bench.has_network,
            subprocesses=bench.recipe.command.kind == "argv",
        )

    def _hidden_in_assets(self) -> Iterator[Path]:
        """Yield what of prepared data sets stays hidden, though an asset may lie around or inside.

        Where the server evaluates, the run gets its own data set from us and all others are made
        of the same text, the validation rows' among it. A recipe with data of its own reads ours
        but for the holdouts.
        """
        if self.seals and self.bench.data is not None:
            yield self.bench.data.folder.parent.resolve()
        for folder in prepared.sets_around(self.bench.assets):
            yield from prepared.never_readable(folder)
            if self.seals:
                yield folder

    def prover_policy(self, directory: RunDirectory, model: Path) -> Policy:
        """Return what a prover may do: read its model and the recipe, and no data at all."""
        return self._policy(directory, _OPEN_TO_ALL, [model])

    def _policy(
        self, directory: RunDirectory, open_data: Iterable[str], more: Iterable[Path]
    ) -> Policy:
        """Return what any process of a trial's may do: one process, no network."""
        bench, data = self.bench, self.bench.data
        read = [*self._runtime.read, directory.recipe, directory.settings, directory.lent, *more]
        read.append(Path(launcher.__file__))
        # Wherever it lies: losses and logs in there are of validation rows.
        masked = [*self._runtime.masked, bench.state]
        if data is not None:
            read += [data.folder / name for name in open_data]
            masked += [Path(name) for name in data.manifest.masked]
        if data is not None and self.seals:
            # Whatever else lies there is made of the same text; the parts named above stay open.
            masked.append(data.folder.parent)
        if bench.blas.library is not None:
            read.append(bench.blas.library)
        return Policy(
            read=tuple(path for path in read if path.exists()),
            write=(directory.home, directory.temporary),
            masked=tuple(masked),
            devices=_DEVICES.get(bench.interpreter.device_kind, "none"),
            memory_bytes=self._memory,
            max_tasks=self._tasks,
        )

    def lend(self, directory: RunDirectory) -> None:
        """Let the recipe's data outside its repository appear in the run's own home."""
        assets.lend(self.bench.assets, directory.home)

    def overflow(self, directory: RunDirectory) -> str | None:
        """Say that a run, its prover included, fills more room than it may; None while it does not.

        Every process below this one is the run's, or ours and writes no file of that size.
        """
        both = (directory, directory.prover)
        folders = [folder for one in both for folder in (one.home, one.temporary)]
        try:
            used = scratch.used_bytes(folders, descendants())
        except PermissionError:
            return "it made a folder that cannot be looked into"
        if used <= DEFAULT_SCRATCH_BYTES:
            return None
        return (
            f"it wrote {used / 2**30:.1f} GiB; {DEFAULT_SCRATCH_BYTES / 2**30:.0f} GiB is the cap"
        )

    def trust(self, execution: Execution, *, evaluated: bool) -> Trust:
        """Return how much of a run's result the server saw to itself.

        Args:
            execution: The run, as the supervisor saw it.
            evaluated: Whether the server computed the metric.
        """
        missing: list[str] = []
        if isinstance(self.sandbox, Bare):
            missing.append("a sandbox: none is used on this machine")
        if execution.training is None and self.bench.has_training_budget:
            missing.append("the training clock: the harness did not tell first batch and hand-over")
        if missing:
            return Trust(level=TrustLevel.PRINTED, missing=tuple(missing))
        if not evaluated:
            return Trust(level=TrustLevel.LOCKED, missing=(self._unsealed(),))
        return Trust(
            level=TrustLevel.SEALED,
            missing=("an audit: no second process has looked for look-ahead",),
        )

    def _unsealed(self) -> str:
        if self.seals:
            return "the server's own evaluation: it came to no number"
        return (
            "the server's own evaluation: this recipe's harness does not hand its model over, so "
            "the number is read from the run's log"
        )
