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


def test_a_prover_that_leaves_kernels_for_others_is_shown_no_validation_rows(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = brief(FEW, wrapped(LEAVES_WHAT_IT_SEES))
    files = {name: (TOP / name).read_text() for name in RECIPE_FILES} | {"train.py": source}
    repo = RecipeRepo.create(tmp_path / "recipe", files)
    store = tmp_path / "store" / "kernels"
    monkeypatch.setattr(Bench, "kernels", store)  # as on CUDA, which is not needed for this
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(prepared))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    rooms = Rooms.open(repo.path, Options(python=Path(sys.executable)))
    guard = Guard(Bench(rooms, recipe_at(rooms.repository, rooms.repository.head().commit)))
    if not guard.seals:
        pytest.skip("not run: no sandbox works here")

    warm_up(rooms, guard, lambda: False)

    kernels.lend(store, "prover", tmp_path / "lent")
    seen = (tmp_path / "lent" / "seen").read_bytes()
    assert guard.bench.data is not None
    data = evaluation_data(guard.bench.data)
    assert data is not None
    assert data.meaningless(1).rows[0][:-1].tobytes() in seen
    assert not any(row[:-1].tobytes() in seen for row in data.rows)
