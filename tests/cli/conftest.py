"""The real command line in a world of its own, and recipes to use it on."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).parents[2]
RECIPE_FILES = ("protocol.json", "prepare.py", "train.py", "results.tsv")

FOREIGN_TRAIN = """\
print("step 00010 (50.0%) | loss: 3.000000 | remaining: 1s", flush=True)
print("---")
print("val_bpb: 2.500000")
"""


def world(folder: Path) -> dict[str, str]:
    """Make a home, caches and a temporary folder, and return the environment that names them."""
    foreign = ("GIT_", "XDG_", "AUTORESEARCH_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    places = {
        "HOME": folder / "home",
        "XDG_CACHE_HOME": folder / "home" / "cache",
        "XDG_STATE_HOME": folder / "home" / "state",
        "AUTORESEARCH_CACHE": folder / "data",
        "TMPDIR": folder / "tmp",
    }
    for place in ("home", "tmp"):
        (folder / place).mkdir(parents=True)
    # Wide, so that no line that a test looks for is broken; and one set-up for git.
    return {**kept, **{name: str(place) for name, place in places.items()}, "COLUMNS": "300"}


@dataclass
class Cli:
    """Runs commands as a person does: processes of their own, in a given environment."""

    environment: Mapping[str, str]
    folder: Path

    def argv(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "autoresearch_mcp", *map(str, arguments)]

    def __call__(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*arguments),
            cwd=self.folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def on_terminal(self, typed: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a command whose standard input is a terminal at which somebody types."""
        person, terminal = pty.openpty()
        os.write(person, typed.encode())
        done = subprocess.run(
            self.argv(*arguments),
            cwd=self.folder,
            env=dict(self.environment),
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
        )
        os.close(person)
        os.close(terminal)
        return done

    def json(self, *arguments: object, **variables: str) -> dict[str, Any]:
        """Run a command with --json; its standard output must be one JSON object."""
        return json.loads(self(*arguments, "--json", **variables).stdout)


@dataclass
class Recipe:
    """A git repository with a recipe in it."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def git(self, *arguments: str) -> str:
        person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        done = subprocess.run(
            ["git", *person, *arguments],
            cwd=self.path,
            env={**self.environment, "GIT_CONFIG_NOSYSTEM": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "recipe")

    def edit_protocol(self, change: Callable[[dict[str, Any]], object]) -> None:
        file = self.path / "protocol.json"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line in an empty world."""
    (tmp_path / "here").mkdir()
    return Cli(world(tmp_path / "world"), tmp_path / "here")


def make_recipe(folder: Path, environment: Mapping[str, str]) -> Recipe:
    """Commit the recipe in the box to a new repository."""
    folder.mkdir()
    for name in RECIPE_FILES:
        shutil.copyfile(TOP / name, folder / name)
    recipe = Recipe(folder, environment)
    recipe.git("init", "--quiet", "--initial-branch=main")
    recipe.commit()
    return recipe


@pytest.fixture
def recipe(cli: Cli, tmp_path: Path) -> Recipe:
    """The recipe in the box, committed; no data is prepared for it."""
    return make_recipe(tmp_path / "recipe", cli.environment)


@pytest.fixture
def foreign(cli: Cli, tmp_path: Path) -> Recipe:
    """A recipe without MLX and data, whose run takes no time."""
    recipe = make_recipe(tmp_path / "foreign", cli.environment)
    (recipe.path / "prepare.py").write_text("ROWS = 10\n")
    (recipe.path / "train.py").write_text(FOREIGN_TRAIN)
    recipe.commit()
    return recipe


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The data set `tiny`, made by the real command: its cache folder and the command's answer."""
    folder = tmp_path_factory.mktemp("prepared")
    cli = Cli(world(folder / "world"), folder)
    recipe = make_recipe(folder / "recipe", cli.environment)
    answer = cli.json("prepare", "--repo", recipe.path, "--profile", "tiny")
    return Path(cli.environment["AUTORESEARCH_CACHE"]), answer


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has no package at all."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin" / "python"
