"""A harness that is not the box's, sealed the way docs/evaluation.md says."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.driving import HEADER, TOP, RecipeRepo, serving

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(find_spec("mlx") is None, reason="no MLX")]

_, _, _REST = (TOP / "docs" / "evaluation.md").read_text().rpartition("```python\n")
SNIPPET = _REST.partition("```")[0].replace(
    "    ...  # in place, as before\n", "    return in_place(model)\n"
)

PREPARE = f"""
import hashlib, json, os, sys
from pathlib import Path
import mlx.core as mx
import numpy as np

V, T = 8, 16


{SNIPPET}

def tell(event):
    if run := os.environ.get("AUTORESEARCH_RUN"):
        os.write(json.loads(Path(run).read_text())["handover_fd"], event.encode() + b"\\n")


def batch():
    tell("batch")
    return mx.arange(T)[None] % V


def in_place(model):
    tell("handover")
    run = os.environ.get("AUTORESEARCH_RUN")
    folder = Path(json.loads(Path(run).read_text())["data"]) if run else FOLDER
    rows = np.load(folder / "val/rows.npy").astype(np.int32)
    logits = np.array(model(mx.array(rows[:, :-1]))).astype(np.float64)
    chosen = np.take_along_axis(logits, rows[:, 1:, None], -1)[..., 0]
    return float((np.log(np.exp(logits).sum(-1)) - chosen).mean() / np.log(2))


FOLDER = Path(os.environ.get("AUTORESEARCH_CACHE", ".")) / "mine"
if __name__ == "__main__":
    for name in ("val", "tokenizer"):
        (FOLDER / name).mkdir(parents=True)
    rows = np.random.default_rng(1).integers(0, V, (32, T + 1))
    np.save(FOLDER / "val/rows.npy", rows.astype("<u2"))
    np.save(FOLDER / "tokenizer/sizes.npy", np.ones(V, dtype=np.int32))
    profile = dict(name="mine", max_seq_len=T, time_budget=20, hard_timeout=60, vocab_size=V,
        eval_tokens=rows[:, 1:].size, eval_micro_batch=8, startup_allowance=0)
    files = {{
        path.relative_to(FOLDER).as_posix(): dict(
            size=len(raw := path.read_bytes()), sha256=hashlib.sha256(raw).hexdigest())
        for path in FOLDER.glob("*/*.npy")
    }}
    manifest = dict(format=1, data_id="mine", source="mine", created_at="2026-01-01T00:00:00Z",
        profile=profile, harness_sha256=hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
        corpus="mine", tokenizer_sha256="", masked=[], rankable=True, files=files,
        evaluation=dict(rows="val/rows.npy", token_bytes="tokenizer/sizes.npy"))
    (FOLDER / "manifest.json").write_text(json.dumps(manifest))
"""
TRAIN = """
import mlx.core as mx
from prepare import V, batch, evaluate

table = mx.sin(mx.arange(V * V, dtype=mx.float32)).reshape(V, V)
batch()
print(f"val_bpb: {evaluate(lambda tokens: table[tokens]):.6f}")
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecipeRepo:
    """A recipe with a harness of its own, its data prepared."""
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    files = {
        "protocol.json": (TOP / "protocol.json").read_text(),
        "prepare.py": PREPARE,
        "train.py": TRAIN,
        "results.tsv": HEADER,
        ".gitignore": ".autoresearch/\n",
    }
    repo = RecipeRepo.create(tmp_path / "recipe", files)
    prepare(repo)
    return repo


def prepare(repo: RecipeRepo) -> None:
    subprocess.run([sys.executable, "-B", repo.path / "prepare.py"], check=True)


async def measured(repo: RecipeRepo, *options: str) -> dict[str, Any]:
    arguments = ("--python", sys.executable, *options)
    async with serving(repo.path, *arguments, environment=dict(os.environ)) as agent:
        return (await agent.trial("baseline"))["outcome"]


def by_hand(repo: RecipeRepo) -> str:
    command = [sys.executable, "-B", "-c", TRAIN]
    return subprocess.check_output(command, cwd=repo.path, text=True)


async def test_a_harness_of_ones_own_is_sealed_by_the_snippet_of_the_docs(mine: RecipeRepo) -> None:
    sealed = await measured(mine)

    assert sealed["trust"] == "audited", sealed
    assert by_hand(mine) == f"val_bpb: {sealed['value']:.6f}\n"


async def test_without_a_sandbox_it_evaluates_in_place_and_says_so(mine: RecipeRepo) -> None:
    printed = await measured(mine, "--sandbox", "none")

    assert (printed["kind"], printed["trust"]) == ("measured", "printed"), printed
    assert "a sandbox" in printed["trust_missing"][0]


async def test_a_harness_that_keeps_its_model_is_locked_at_most(mine: RecipeRepo) -> None:
    mine.write("prepare.py", PREPARE.replace(",\n        evaluation=dict(", ")#("))
    mine.commit_all("Name no rows")
    shutil.rmtree(mine.path.parent / "cache")
    prepare(mine)

    locked = await measured(mine)

    assert (locked["kind"], locked["trust"]) == ("measured", "locked"), locked
    assert "does not hand its model over" in locked["trust_missing"][0]
