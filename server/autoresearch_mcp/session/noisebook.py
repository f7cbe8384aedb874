"""The noise of this machine, data and harness, from one session to the next."""

import hashlib
import platform
from pathlib import Path

from autoresearch_mcp.core.noise import Noise
from autoresearch_mcp.core.setting import Setting
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.effects import savednoise
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.court import Docket
from autoresearch_mcp.session.recipe import Recipe, recipe_of
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.statefolder import state_folder


def recall(bench: Bench) -> Noise:
    """Return what earlier sessions left, with the weight that it may have."""
    return savednoise.load(_folder(), _key(bench.recipe, bench.setting)).for_reuse()


def remember(rooms: Rooms, trial: TrialRecord) -> None:
    """Leave to later sessions all that is known of the noise after a trial."""
    noise = Docket.read(rooms.ledger, trial.id).noise
    if noise.df:
        setting = rooms.ledger.started(trial.research).setting
        savednoise.save(_folder(), _key(recipe_of(rooms, trial.research), setting), noise)


def _folder() -> Path:
    return state_folder() / "noise"


def _key(recipe: Recipe, setting: Setting) -> str:
    """Name what must be the same for the noise to be the same."""
    stop, metric = recipe.protocol.execution.stop_condition, recipe.protocol.measurement
    parts = [
        platform.node(),
        setting.model_dump_json(),
        *(f"{path} {digest}" for path, digest in sorted(recipe.harness.items())),
        f"{metric.primary_metric.name} {stop.training_seconds_budget}",
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
