"""The README tells what the code does."""

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[1]


def test_the_table_of_tools_is_the_one_that_the_code_makes(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    for name in ("protocol.json", "prepare.py", "train.py", "results.tsv"):
        (recipe / name).write_bytes((TOP / name).read_bytes())
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "recipe")):
        subprocess.run(["git", *arguments], cwd=recipe, check=True)
    command = [sys.executable, "-m", "autoresearch_mcp", "tools", "--markdown"]
    table = subprocess.check_output([*command, "--repo", str(recipe)], text=True)

    assert table in (TOP / "README.md").read_text()
