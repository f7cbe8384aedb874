"""The run that compiles CUDA's kernels for all others: it could leave them more than that."""

import sys
from pathlib import Path

import pytest

from autoresearch_mcp.effects import kernels
from autoresearch_mcp.effects.prepared import evaluation_data
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.recipe import recipe_at
from autoresearch_mcp.session.rooms import Options, Rooms
from autoresearch_mcp.session.warming import warm_up
from tests.driving import TOP, RecipeRepo

from .arena import RECIPE_FILES
from .test_models import wrapped
from .variants import FEW, brief

LEAVES_WHAT_IT_SEES = """
    def __call__(self, tokens):
        import os
        import numpy as np
        with open(os.environ["MLX_PTX_CACHE_DIR"] + "/seen", "ab") as file:
            file.write(np.array(tokens).astype("uint16").tobytes())
        return self.inner(tokens)
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of kernels as on CUDA, which is not needed for this."""
    folder = tmp_path / "store" / "kernels"
    monkeypatch.setattr(Guard, "kernels", folder)
    return folder


@pytest.fixture(autouse=True)
def places(tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(prepared))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def guarding(repo: Path, sandbox: str | None = None) -> tuple[Rooms, Guard]:
    """Return what holds the runs of a recipe's commit."""
    rooms = Rooms.open(repo, Options(python=Path(sys.executable), sandbox=sandbox))
    return rooms, Guard(Bench(rooms, recipe_at(rooms.repository, rooms.repository.head().commit)))


def sealed(folder: Path, source: str) -> tuple[Rooms, Guard]:
    """Commit the recipe with a train.py, and return what holds its sealed runs."""
    files = {name: (TOP / name).read_text() for name in RECIPE_FILES} | {"train.py": source}
    rooms, guard = guarding(RecipeRepo.create(folder, files).path)
    if not guard.seals:
        pytest.skip("not run: no sandbox works here")
    return rooms, guard


def test_a_prover_that_leaves_kernels_for_others_is_shown_no_validation_rows(
    tmp_path: Path, store: Path
) -> None:
    source = brief(FEW, wrapped(LEAVES_WHAT_IT_SEES))
    rooms, guard = sealed(tmp_path / "recipe", source)

    warm_up(rooms, guard, lambda: False)

    kernels.lend(store, "prover", tmp_path / "lent")
    seen = (tmp_path / "lent" / "seen").read_bytes()
    assert guard.bench.data is not None
    data = evaluation_data(guard.bench.data)
    assert data is not None
    assert data.meaningless(1).rows[0][:-1].tobytes() in seen
    assert not any(row[:-1].tobytes() in seen for row in data.rows)


def test_a_run_that_hands_nothing_over_leaves_its_prover_to_be_warmed_up_again(
    tmp_path: Path, store: Path
) -> None:
    rooms, guard = sealed(tmp_path / "recipe", "raise SystemExit('not today')\n")
    warm_up(rooms, guard, lambda: False)
    assert kernels.holds(store, ["run"])
    assert not kernels.holds(store, ["prover"])

    mended, guard = sealed(tmp_path / "mended", brief(FEW))
    warm_up(mended, guard, lambda: False)

    assert kernels.holds(store, ["run", "prover"])


def test_what_runs_leave_that_evaluate_in_place_reaches_no_sealed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, guard = sealed(tmp_path / "recipe", brief(FEW))
    on_cuda = guard.bench.interpreter.model_copy(update={"device_kind": "cuda"})
    monkeypatch.setattr(Bench, "interpreter", on_cuda)
    guards = [guarding(tmp_path / "recipe", sandbox)[1] for sandbox in (None, "none")]

    stores = [guard.kernels for guard in guards]
    assert all(stores)
    assert stores[0] != stores[1]
