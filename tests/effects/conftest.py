"""A real git repository with a small recipe in it, and nothing of this machine's git set-up."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

TRAIN = b"DEPTH = 4\nprint(DEPTH)\n"
PREPARE = b"TIME_BUDGET = 2\n"
RESULTS = b"commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME, and no git variable of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    return folder


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., str]:
    """Run git as a user would, in the recipe's repository unless told where."""

    def run(*arguments: str | Path, cwd: Path | None = None, stdin: str = "") -> str:
        done = subprocess.run(
            ["git", *map(str, arguments)],
            cwd=cwd or tmp_path / "recipe",
            input=stdin,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout.strip()

    return run


@pytest.fixture
def repo(tmp_path: Path, git: Callable[..., str]) -> Path:
    """A repository with one commit of prepare.py, train.py and results.tsv on main."""
    folder = tmp_path / "recipe"
    folder.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    git("config", "user.name", "Ada Example")
    git("config", "user.email", "ada@example.org")
    (folder / "prepare.py").write_bytes(PREPARE)
    (folder / "train.py").write_bytes(TRAIN)
    (folder / "results.tsv").write_bytes(RESULTS)
    git("add", ".")
    git("commit", "--quiet", "--message=recipe")
    return folder
