"""Real coding agents from the npm lock, a scripted model, and the real recipe on its own data."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.driving import TOP, RecipeRepo

from .loop import BETTER, HANDICAPPED
from .model import Model, Script, serving_model

RECIPE_FILES = ("protocol.json", "prepare.py", "train.py", "results.tsv")
_NPM = TOP / "node_modules"
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_AT_MOST_SECONDS = 1500
MODEL = "MODEL-ADDRESS"


def claude_code() -> Path:
    """The native program: npm's own link to it is made by an install script, which never runs."""
    name = f"claude-code-{sys.platform}-{_MACHINES[platform.machine().lower()]}"
    return _program(_NPM / "@anthropic-ai" / name / "claude")


def codex() -> Path:
    return _program(_NPM / ".bin" / "codex")


def _program(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"not run: {path.name} is not installed (./run npm ci)")
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of the profile `cpu`, made once by the recipe's own command."""
    folder = tmp_path_factory.mktemp("prepared")
    command = [sys.executable, str(TOP / "prepare.py"), "--profile", "cpu", "--json"]
    done = subprocess.run([*command, "--cache", str(folder)], capture_output=True, check=True)
    assert Path(json.loads(done.stdout)["folder"]).parent == folder.resolve()
    return folder


@dataclass(frozen=True)
class World:
    """A person's machine: a home, a recipe, and nothing that reaches beyond loopback."""

    folder: Path
    recipe: RecipeRepo
    environment: dict[str, str]

    def play(self, script: Script, command: Sequence[object], **variables: str) -> Model:
        """Run a client against a scripted model until it ends.

        Args:
            script: What the model does.
            command: The client; MODEL in it, and in variables, is the model's address.
            variables: What the client's environment has besides.
        """
        with serving_model(script) as (model, address):
            environment = {**self.environment, **variables}
            done = subprocess.run(
                [str(word).replace(MODEL, address) for word in command],
                cwd=self.recipe.path,
                env={name: text.replace(MODEL, address) for name, text in environment.items()},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_AT_MOST_SECONDS,
            )
        if model.error is not None:
            raise model.error
        assert done.returncode == 0, done.stdout + done.stderr
        return model

    def server(self, *options: str) -> list[str]:
        """Return the command line of this project's server for the recipe."""
        serve = [sys.executable, "-m", "autoresearch_mcp", "serve"]
        return [*serve, "--repo", str(self.recipe.path), "--evidence", "single", *options]


@pytest.fixture
def world(tmp_path: Path, data: Path) -> World:
    """The real recipe, made worse where the scripted model makes it better."""
    files = {name: (TOP / name).read_text() for name in RECIPE_FILES}
    files["train.py"] = files["train.py"].replace(BETTER, HANDICAPPED)
    files[".gitignore"] = ".autoresearch/\n"
    return _world(tmp_path, RecipeRepo.create(tmp_path / "recipe", files), data)


@pytest.fixture
def slow_world(tmp_path: Path, full: bool) -> World:
    """A recipe that trains longer than a client waits: Codex's own limit in the full form."""
    seconds = 330 if full else 6
    repo = RecipeRepo.fast(tmp_path / "recipe")
    repo.write("train.py", f"import time\ntime.sleep({seconds})\n{repo.read('train.py')}")
    repo.commit_all("A slow recipe")
    return _world(tmp_path, repo, tmp_path / "no data")


def _world(folder: Path, repo: RecipeRepo, data: Path) -> World:
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    nowhere = "http://127.0.0.1:9"  # the port of the discard service: nothing listens there
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "AUTORESEARCH_CACHE": str(data),
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
        "NO_PROXY": "127.0.0.1,localhost",
        "TERM": "dumb",
    }
    return World(folder, repo, environment)


@pytest.fixture(scope="session", autouse=True)
def _node() -> None:
    if shutil.which("node") is None:
        pytest.skip("not run: node is not installed (./run npm ci)")
