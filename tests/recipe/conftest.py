"""Real prepared data for the tests of the recipe: `tiny`, built once, in a folder of its own."""

from pathlib import Path
from types import ModuleType

import pytest

from .commands import load_harness, prepare, write_settings


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the data set `tiny`, which no test changes."""
    folder = tmp_path_factory.mktemp("cache")
    prepare(folder, "--profile", "tiny")
    return folder


@pytest.fixture(scope="session")
def data(cache: Path) -> Path:
    """The folder of the prepared data set `tiny`."""
    (manifest,) = cache.glob("*/manifest.json")
    return manifest.parent


@pytest.fixture(scope="session")
def harness(data: Path, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """prepare.py, imported with the constants of `tiny`."""
    return load_harness(write_settings(data, tmp_path_factory.mktemp("run") / "run.json"))
