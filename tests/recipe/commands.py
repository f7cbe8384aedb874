"""The recipe's own commands, run as a person or the server runs them."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

REPO = Path(__file__).resolve().parents[2]


def python(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run this interpreter on the recipe, outside any folder, with a few more variables."""
    kept = {key: value for key, value in os.environ.items() if key != "AUTORESEARCH_RUN"}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**kept, "PYTHONPATH": str(REPO), "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def prepare(cache: Path, *arguments: str) -> dict[str, Any]:
    """Prepare data with the real command and return its summary."""
    done = python(REPO / "prepare.py", "--cache", cache, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write_settings(data: Path, file: Path, **profile: object) -> Path:
    """Write the settings of a run on prepared data, some constants of its profile changed."""
    changed = json.loads((data / "manifest.json").read_text())["profile"] | profile
    values = {
        "data": str(data),
        "profile": changed,
        "time_budget": changed["time_budget"],
        "seed": 1,
        "handover_fd": None,
    }
    file.write_text(json.dumps(values))
    return file


def load_harness(run_file: Path) -> ModuleType:
    """Import prepare.py as a run with these settings does."""
    spec = importlib.util.spec_from_file_location("prepare", REPO / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = dict(os.environ)
    os.environ["AUTORESEARCH_RUN"] = str(run_file)
    sys.modules["prepare"] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["prepare"]
        os.environ.clear()
        os.environ.update(before)
    return module
