"""A recipe that trains in no time, and an agent that drives the real server over stdio."""

import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.driving import (
    HEADER,
    TRAIN,
    Agent,
    Connect,
    RecipeRepo,
    clean_environment,
    serving,
    until,
)

__all__ = ["HEADER", "TRAIN", "Agent", "Connect", "RecipeRepo", "until"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the person who runs the tests: an empty home, no git variables."""
    for name in os.environ.keys() - clean_environment().keys():
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    # pytest's own folder is long; a run's directory belongs in a place of its own.
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return folder


@pytest.fixture
def recipe(tmp_path: Path, home: Path) -> RecipeRepo:
    """The box's own protocol over a train.py that takes no time and prints its VALUE."""
    assert home.exists()
    return RecipeRepo.fast(tmp_path / "recipe")


@pytest.fixture
def connect(recipe: RecipeRepo, bare_python: Path) -> Connect:
    """Start the real server on the recipe, as a client does, and return its agent."""

    def start(mode: str = "auto", **client: Any) -> AbstractAsyncContextManager[Agent]:
        options = ("--python", str(bare_python))
        return serving(recipe.path, *options, environment=dict(os.environ), mode=mode, **client)

    return start
