"""The repository this project learnt from, driven unchanged but for its size.

    SEED_REPOSITORY=PATH SEED_PROTOCOL=PATH pytest tests/recipe/test_seed_repository.py

Neither is ours to ship: a clone of autoresearch-mlx, and the protocol.json written for it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.driving import RecipeRepo, clean_environment, serving

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not {"SEED_REPOSITORY", "SEED_PROTOCOL"} <= os.environ.keys(),
        reason="SEED_REPOSITORY and SEED_PROTOCOL do not name autoresearch-mlx and its protocol",
    ),
]
CAPPED = "logits = 15.0 * mx.tanh(logits / 15.0)"
SHARDS = ("shard_00000.parquet", "shard_06542.parquet")
TRAIN = {
    "HEAD_DIM": 64,
    "TOTAL_BATCH_SIZE": 1024,
    "DEPTH": 2,
    "DEVICE_BATCH_SIZE": 16,
    "FINAL_EVAL_BATCH_SIZE": 16,
}
PREPARE = {"MAX_SEQ_LEN": 64, "TIME_BUDGET": 2, "EVAL_TOKENS": 4096, "VOCAB_SIZE": 512}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def sized(text: str, constants: Mapping[str, int]) -> str:
    for name, value in constants.items():
        text, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1, name
    return text


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A person with an empty home."""
    places = {"HOME": tmp_path / "home", "TMPDIR": tmp_path / "tmp"}
    for place in places.values():
        place.mkdir()
    return {**clean_environment(), **{name: str(place) for name, place in places.items()}}


@pytest.fixture
def seed(tmp_path: Path) -> RecipeRepo:
    """A clone with its sizes made small and its protocol committed as it is."""
    repo = RecipeRepo(tmp_path / "seed")
    origin = os.environ["SEED_REPOSITORY"]
    subprocess.run(["git", "clone", "--quiet", origin, str(repo.path)], check=True)
    repo.git("config", "user.name", "Ada Example")
    repo.git("config", "user.email", "ada@example.org")
    repo.write("train.py", sized(repo.read("train.py"), TRAIN))
    repo.write("prepare.py", sized(repo.read("prepare.py"), PREPARE))
    repo.write("protocol.json", Path(os.environ["SEED_PROTOCOL"]).read_text())
    repo.commit_all("A size for tests")
    return repo


@pytest.fixture
def asset(seed: RecipeRepo, environment: dict[str, str]) -> Path:
    """What the seed's own prepare.py makes of two shards of Python's own sources."""
    folder = Path(environment["HOME"]) / ".cache" / "autoresearch"
    (folder / "data").mkdir(parents=True)
    texts = [
        path.read_text(errors="replace") for path in sorted(Path(os.__file__).parent.glob("*.py"))
    ]
    for number, name in enumerate(SHARDS):
        table = pa.table({"text": texts[number::8] * 8})
        pq.write_table(table, folder / "data" / name)
    command = [sys.executable, "prepare.py", "--num-shards", "1"]
    subprocess.run(command, cwd=seed.path, env=environment, check=True, capture_output=True)
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("is_named", [True, False])
async def test_it_runs_a_baseline_a_refused_edit_and_a_discard(
    seed: RecipeRepo, asset: Path, environment: dict[str, str], is_named: bool
) -> None:
    named = ("--asset", str(asset)) if is_named else ()
    options = ("--python", sys.executable, "--evidence", "single", *named)
    before = names_in(asset)
    async with serving(seed.path, *options, environment=environment) as agent:
        baseline = await agent("run_trial", hypothesis="baseline", wait_s=300)
        refusals = [
            await agent.refused("apply_edit", path=path, content="x = 1\n")
            for path in ("prepare.py", "protocol.json", "pyproject.toml", "results.tsv")
        ]
        await agent.edit(CAPPED, f"{CAPPED} - 30.0 * (mx.arange(logits.shape[-1]) % 2)")
        trial = await agent("run_trial", hypothesis="every second token is unlikely", wait_s=300)
        applied = await agent("commit_or_revert", trial_id=trial["trial_id"])

    assert baseline["outcome"]["kind"] == "measured", baseline
    assert 0 < baseline["outcome"]["value"] < 10
    assert baseline["outcome"]["secondary"]["num_steps"] > 0
    assert baseline["outcome"]["trust"] == "printed"
    assert all("surface.path" in refusal for refusal in refusals), refusals
    assert trial["verdict"]["status"] == "discard", (baseline["outcome"], trial["outcome"])
    assert applied["commit"] is None
    assert f"{CAPPED}\n" in seed.read("train.py")
    assert seed.git("status", "--porcelain", "train.py", "prepare.py") == ""
    assert [row[3] for row in seed.log_rows()][-2:] == ["keep", "discard"]
    assert (seed.path / ".autoresearch/create/baseline_run.log").exists()
    assert names_in(asset) == before
