"""Which Python runs a recipe."""

import sys
from pathlib import Path

import pytest

from autoresearch_mcp.effects.interpreter import choose


def environment(folder: Path) -> Path:
    """Lay out what a virtual environment needs to be found, and return its Python."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


def test_the_operators_choice_comes_first_then_the_folders_environment_then_the_repositorys(
    tmp_path: Path,
) -> None:
    assert choose(tmp_path, None, "part") == Path(sys.executable)
    whole = environment(tmp_path / ".venv")
    assert choose(tmp_path, None, "part") == whole
    part = environment(tmp_path / "part/.venv")
    assert choose(tmp_path, None, "part") == part
    assert choose(tmp_path, Path("/usr/bin/python3"), "part") == Path("/usr/bin/python3")


def test_a_server_in_one_of_a_repositorys_environments_uses_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment(tmp_path / ".venv")
    python = environment(tmp_path / ".venv-cuda13")
    part = environment(tmp_path / "part/.venv")

    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv-cuda13"))

    assert choose(tmp_path, None) == python
    assert choose(tmp_path, None, "part") == part

    monkeypatch.setattr(sys, "prefix", str(tmp_path / "tools"))
    environment(tmp_path / "tools")

    assert choose(tmp_path, None) == tmp_path / ".venv/bin/python"
