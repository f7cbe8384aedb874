"""The recipe of this repository trains in every sandbox."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.effects import blas, launcher
from autoresearch_mcp.effects.sandbox import files
from autoresearch_mcp.effects.sandbox.policy import Policy, Sandbox

REPO = Path(__file__).parents[3]
PYTHON = Path(sys.executable)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of the smallest profile, prepared by the recipe itself."""
    command = [sys.executable, str(REPO / "prepare.py"), "--profile", "tiny", "--json"]
    cache = str(tmp_path_factory.mktemp("cache"))
    environment = {**os.environ, "AUTORESEARCH_CACHE": cache}
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return Path(json.loads(done.stdout)["folder"])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> blas.Blas:
    return blas.ensure(PYTHON, tmp_path_factory.mktemp("made"))


def test_the_recipe_trains_and_cannot_read_the_holdout(
    sandbox: Sandbox, data: Path, library: blas.Blas, tmp_path: Path
) -> None:
    manifest: dict[str, Any] = json.loads((data / "manifest.json").read_bytes())
    recipe, scratch, run_file = tmp_path / "recipe", tmp_path / "scratch", tmp_path / "run.json"
    recipe.mkdir()
    scratch.mkdir()
    profile = manifest["profile"]
    settings = {"data": str(data), "profile": profile, "time_budget": profile["time_budget"]}
    run_file.write_text(json.dumps({**settings, "seed": 1, "handover_fd": None}))
    (recipe / "prepare.py").write_bytes((REPO / "prepare.py").read_bytes())
    hidden = [*manifest["masked"], str(data / "holdout/tokens.npy"), str(data / "holdout")]
    (recipe / "train.py").write_text(
        f"""
import os
for path in {hidden!r}:
    try:
        if os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1):
            print("READ", path)
    except OSError:
        pass
"""
        + (REPO / "train.py").read_text()
    )
    own = files.runtime(PYTHON)
    given = [data / name for name in ("manifest.json", "tokenizer", "train", "val")]
    preloaded = [] if library.library is None else [library.library]
    started = Path(launcher.__file__)
    policy = Policy(
        read=(*own.read, *given, *preloaded, recipe, run_file, started),
        write=(scratch,),
        masked=(*own.masked, *map(Path, manifest["masked"])),
        memory_bytes=4 << 30,
    )
    variables = {
        "PATH": os.defpath,
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "ARAH_TRIAL_SEED": "1",
        "AUTORESEARCH_RUN": str(run_file),
        "MLX_DISABLE_COMPILE": "1",
        **library.environment,
    }
    argv = (sys.executable, "-I", "-B", "-u", str(started), "python", "train.py")
    wrapped = sandbox.wrap(argv, variables, policy)
    done = subprocess.run(
        wrapped.argv,
        cwd=recipe,
        env=dict(wrapped.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "READ" not in done.stdout
    (value,) = re.findall(r"^val_bpb:\s+([\d.]+)$", done.stdout, re.MULTILINE)
    assert 1 < float(value) < 4
