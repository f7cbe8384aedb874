"""The house's walls: the contracts in pyproject.toml hold, and a breach would be noticed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = 300


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts on the package under a root, whatever is installed."""
    code = "from importlinter.cli import lint_imports_command as main; main()"
    environment = os.environ | {"PYTHONPATH": str(root / "server"), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_keeps_to_the_layers() -> None:
    answer = lint(ROOT)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("core/errors.py", "import autoresearch_mcp.effects.blas", "cli > tools > session"),
        ("effects/blas.py", "from autoresearch_mcp.effects import ledger", "Effects never import"),
        ("core/errors.py", "import subprocess", "core does no I/O"),
        ("effects/blas.py", "import mcp", "Only cli and tools know MCP"),
        ("effects/blas.py", "import mlx.core", "neither the recipe"),
    ],
)
def test_a_breach_is_noticed(tmp_path: Path, module: str, line: str, contract: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    package = tmp_path / "server/autoresearch_mcp"
    shutil.copytree(ROOT / "server/autoresearch_mcp", package)
    with (package / module).open("a") as file:
        file.write(f"\n{line}\n")

    answer = lint(tmp_path)

    assert answer.returncode == 1, answer.stderr
    broken = [row for row in answer.stdout.splitlines() if row.endswith("BROKEN")]
    assert any(contract in row for row in broken), broken


def test_no_module_of_the_server_is_too_long_to_read_in_one_sitting() -> None:
    modules = (ROOT / "server/autoresearch_mcp").rglob("*.py")
    ours = (module for module in modules if not module.is_symlink())
    too_long = {
        str(module.relative_to(ROOT)): count
        for module in ours
        if (count := len(module.read_text().splitlines())) > LINES
    }
    assert not too_long
