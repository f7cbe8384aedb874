"""Where runs happen: the recipe's interpreter, the prepared data and the machine's BLAS."""

import hashlib
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from autoresearch_mcp.core import budget
from autoresearch_mcp.core.budget import Budget
from autoresearch_mcp.core.command import Command
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.protocol_schema import SeedDerivation
from autoresearch_mcp.core.setting import Setting
from autoresearch_mcp.effects import (
    assets,
    blas,
    hardware,
    interpreter,
    kernels,
    launcher,
    prepared,
)
from autoresearch_mcp.effects.blas import Blas
from autoresearch_mcp.effects.interpreter import Interpreter
from autoresearch_mcp.effects.prepared import PreparedData
from autoresearch_mcp.session.recipe import HARNESS_ENTRY, Recipe
from autoresearch_mcp.session.rooms import Options, Rooms

_GPU_COMPILE_SECONDS = 60.0
_SEED_AS_USUAL = SeedDerivation(mode="fixed")
"""Its name for the variable is what runs get under a protocol that says nothing of seeds."""


class Bench:
    """The machine as this recipe finds it. Each part is looked up once, when first needed.

    Args:
        rooms: The recipe's rooms.
        recipe: The recipe.
        data: Its prepared data; None for the newest that its harness made, if any.
    """

    def __init__(self, rooms: Rooms, recipe: Recipe, data: PreparedData | None = None) -> None:
        self._rooms, self._given = rooms, data
        self.recipe = recipe

    @property
    def options(self) -> Options:
        """Return the operator's choices."""
        return self._rooms.options

    @property
    def state(self) -> Path:
        """Return the folder of the recipe's ledger and of its trials' files."""
        return self._rooms.repository.state

    @cached_property
    def interpreter(self) -> Interpreter:
        """Return the recipe's interpreter, started once to see what it offers."""
        root, override = self._rooms.repository.root, self._rooms.options.python
        return interpreter.probe(interpreter.choose(root, override, self.recipe.folder))

    @cached_property
    def data(self) -> PreparedData | None:
        """Return the prepared data, None where there is none or the harness needs none."""
        if self._given or not self.recipe.reads_run_file:
            return self._given
        digest = self.recipe.harness.get(self.recipe.harness_entry, "")
        return prepared.find(digest, prepared.cache_folder())

    @cached_property
    def assets(self) -> tuple[Path, ...]:
        """Return the data outside the repository that runs may read."""
        chosen = self.options.assets
        if chosen is not None:
            return chosen
        return () if self.recipe.needs_data or self.data else assets.default()

    @property
    def has_network(self) -> bool:
        """Tell whether runs may use the network: both protocol and operator must want it."""
        policy = self.recipe.protocol.environment.constraints.network_policy
        return self.options.allow_network and policy == "full"

    def check_ready(self) -> None:
        """Return if a run could start now.

        Raises:
            Fault: The harness needs data that nobody has prepared, an asset is missing, MLX does
                not load, or the network would have to be narrower than any sandbox can make it.
        """
        for asset in self.assets:
            assets.check(asset)
        if self.has_network and self.recipe.protocol.environment.constraints.network_allowlist:
            raise Fault(
                "environment.constraints.networkAllowlist names hosts, and no sandbox here can "
                "hold a run to them: leave --allow-network out, or take the list out"
            )
        if self.recipe.needs_data and self.data is None:
            raise Fault(
                f"no prepared data for this {HARNESS_ENTRY} under {prepared.cache_folder()}: "
                "run `autoresearch-mcp prepare` once (seconds, no network needed)"
            )
        if self.data and (problem := prepared.damage(self.data)):
            raise Fault(f"{problem}: run `autoresearch-mcp prepare` again")
        if self.interpreter.problem:
            raise Fault(
                f"MLX does not load in {self.interpreter.path}: {self.interpreter.problem}; "
                "run `autoresearch-mcp doctor`"
            )

    @cached_property
    def blas(self) -> Blas:
        """Return the BLAS that runs on the CPU are given."""
        found = self.interpreter
        kind = found.device_kind if found.mlx else None
        return blas.needless(kind) or blas.ensure(found.path, _own_cache())

    def kernels(self, *, sealed: bool) -> Path | None:
        """Return the store of compiled kernels; None where compiling them takes no time.

        Args:
            sealed: Whether it holds what was left by processes that saw no validation rows.
        """
        found = self.interpreter
        if found.device_kind != "cuda":
            return None
        made_with = [found.mlx or "", *found.backends, found.device, self.recipe.commit]
        may_know = [self.data.manifest.data_id if self.data else "", "sealed" if sealed else ""]
        return kernels.store(_own_cache(), [*made_with, *may_know])

    @property
    def budget(self) -> Budget:
        """Return the limits in force for a run."""
        execution = self.recipe.protocol.execution
        profile = self.data.manifest.profile if self.data else None
        stop, hard_timeout = execution.stop_condition, execution.hard_timeout_seconds
        training = stop.training_seconds_budget or hard_timeout
        return replace(budget.in_force(training, hard_timeout, profile), stop=stop)

    @property
    def has_training_budget(self) -> bool:
        """Tell whether training has a budget, beside the hard timeout of the whole run."""
        stop = self.recipe.protocol.execution.stop_condition
        return self.data is not None or stop.training_seconds_budget is not None

    @property
    def run_budget(self) -> Budget:
        """Return the limits that a run is held to: on a GPU kernels are compiled first."""
        budget = self.budget
        if not self.recipe.protocol.execution.stop_condition.exclude_compilation_from_budget:
            return replace(budget, compile_allowance=0.0)
        on_gpu = self.interpreter.device_kind in {"metal", "cuda"}
        least = _GPU_COMPILE_SECONDS if on_gpu else 0.0
        return replace(budget, compile_allowance=max(budget.compile_allowance, least))

    @property
    def setting(self) -> Setting:
        """Return what must not change between two results that are to be ranked."""
        manifest = self.data.manifest if self.data else None
        return Setting(
            profile=manifest.profile.name if manifest else None,
            data=manifest.data_id if manifest else None,
            device=self.interpreter.device,
            mlx=self.interpreter.mlx,
            python=self.interpreter.python,
            blas=self.blas.route,
            rankable=manifest.rankable if manifest else True,
            machine=hardware.fingerprint(),
            assets=assets.fingerprint(self.assets),
        )

    def arm(self, code: str) -> str:
        """Return the fingerprint under which runs of this code are pooled.

        Args:
            code: Fingerprint of the candidate's surface.
        """
        parts = [code, *sorted(self.recipe.harness.values()), self.setting.model_dump_json()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def argv(self, command: Command) -> tuple[str, ...]:
        """Return the program that executes the protocol's command, launcher first."""
        start = (str(self.interpreter.path), "-I", "-B", "-u", launcher.__file__)
        if command.kind == "recipe_python":
            return (*start, "python", command.script, *command.args)
        return (*start, "exec", *command.args)

    def settings(self, seed: int, channel: int, lent: Path | None) -> dict[str, object]:
        """Return what the run file tells the harness.

        Args:
            seed: The run's seed.
            channel: The descriptor on which the harness tells how far the run is.
            lent: Our modules that send the model away; None where the run evaluates it itself.
        """
        data = self.data
        return {
            "data": str(data.folder) if data else None,
            "profile": data.manifest.profile.model_dump() if data else None,
            "time_budget": self.budget.training_seconds,
            "max_steps": self.recipe.protocol.execution.stop_condition.max_steps,
            "epochs": self.recipe.protocol.execution.stop_condition.epochs,
            "seed": seed,
            "handover_fd": channel,
            "lent": None if lent is None else str(lent),
        }

    def variables(self, run_file: Path, seed: int) -> dict[str, str]:
        """Return the environment variables that this machine and recipe call for.

        Args:
            run_file: The file with the run's settings.
            seed: The run's; the protocol says under which name it is found, if under any.
        """
        found = {"AUTORESEARCH_RUN": str(run_file), **self.blas.environment}
        rule = self.recipe.protocol.execution.determinism.seed_derivation or _SEED_AS_USUAL
        if rule.mode != "none":
            found[rule.env_var] = str(seed)
        if self.interpreter.device_kind == "cpu":
            # MLX compiles CPU kernels with the machine's C++ compiler, half a minute of it
            # in every fresh TMPDIR: no gain within a short budget.
            found["MLX_DISABLE_COMPILE"] = "1"
        return found


def _own_cache() -> Path:
    """Return the folder for what the server can always make again."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The standard for these variables has relative paths ignored.
    return (named if named.is_absolute() else Path.home() / ".cache") / "autoresearch-mcp"
