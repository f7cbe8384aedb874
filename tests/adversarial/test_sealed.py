"""What the server evaluates by itself: the same number as in place, and nothing but a number."""

import json
import os
import re
import subprocess
from array import array
from pathlib import Path

import pytest

from autoresearch_mcp.core.evaluation import bits_per_byte
from autoresearch_mcp.core.trial import Evaluation
from autoresearch_mcp.effects import interpreter, prepared
from tests.driving import TOP, processes_below, until, words

from .arena import Arena
from .cases import best_level
from .variants import FEW, brief, replaced

pytestmark = [pytest.mark.anyio, best_level]

EVALUATE = "val_bpb = evaluate_bpb(model, tokenizer, rows)\n"
PRINT = 'print(f"val_bpb: {val_bpb:.6f}")\n'
FIXED = """
import numpy as np
next(make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train"))
shapes = by_path(model.parameters())
model.load_weights([
    (path, mx.array(0.4 * np.sin(np.arange(p.size) * (1 + n))).reshape(p.shape).astype(DTYPE))
    for n, (path, p) in enumerate(shapes.items())
])
val_bpb = evaluate_bpb(model, tokenizer, rows)
print(f"exactly {val_bpb!r}")
print(f"val_bpb: {val_bpb:.6f}")
raise SystemExit
"""
"""The weights of a formula, so that every process has the same ones; nothing is trained."""

LOADER = 'loader = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train")\n'
TOLERANCE = {"cpu": 1e-6, "cuda": 1e-4, "metal": 1e-4}


def evaluation(arena: Arena, trial: int) -> Evaluation:
    """Return how the server computed a trial's number."""
    found = arena.repo.ledger.get(trial).runs[-1].outcome
    assert found is not None
    assert found.evaluation is not None, found
    return found.evaluation


def in_place(arena: Arena, source: str, folder: Path) -> float:
    """Run a train.py by hand, without any server; return the number to its last digit."""
    folder.mkdir()
    (folder / "train.py").write_text(source)
    (folder / "prepare.py").write_bytes((TOP / "prepare.py").read_bytes())
    python = arena.folder / "venv" / "bin" / "python"
    variables = {"AUTORESEARCH_CACHE": str(arena.folder / "data"), "PATH": os.defpath}
    done = subprocess.run(
        [python, "train.py"], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(re.findall(r"^exactly (\S+)$", done.stdout, re.MULTILINE)[-1])


async def test_the_value_is_that_of_evaluation_in_place(arena: Arena, tmp_path: Path) -> None:
    source = replaced([(LOADER, FIXED + LOADER)])
    strike = await arena.strike_with(source)

    outcome = strike.trial["outcome"]
    kind = interpreter.probe(arena.folder / "venv" / "bin" / "python").device_kind
    expected = in_place(arena, source, tmp_path / "by-hand")
    assert outcome["trust"] == "sealed"
    assert outcome["notes"] == []
    assert outcome["value"] == pytest.approx(expected, abs=TOLERANCE[kind])
    assert f"exactly {outcome['value']!r}" in strike.log


async def test_the_value_is_the_sum_of_the_losses_that_the_server_keeps(arena: Arena) -> None:
    strike = await arena.strike("")
    number = strike.trial["trial_id"]

    (manifest,) = (arena.folder / "data").glob("*/manifest.json")
    data = prepared.evaluation_data(prepared.load(manifest.parent))
    assert data is not None
    kept = array("f")
    kept.frombytes((arena.repo.state / f"trials/{number}/run-1.losses").read_bytes())
    width = len(data.rows[0]) - 1
    losses = [kept[at : at + width] for at in range(0, len(kept), width)]
    assert bits_per_byte(losses, data) == evaluation(arena, number).value
    assert not list((arena.repo.state / f"trials/{number}").glob("*.model"))


@pytest.mark.parametrize(
    ("printed", "says"),
    [
        ('print("val_bpb: 0.010000")\n', "the log says val_bpb 0.01"),
        (PRINT + 'print("val_bpb: 0.010000")\n', "the log has no val_bpb"),
        ('print("val_bpb: much better")\n', "the log has no val_bpb"),
    ],
    ids=["another", "two", "none"],
)
async def test_a_log_that_says_something_else_is_noted_and_does_not_count(
    arena: Arena, printed: str, says: str
) -> None:
    strike = await arena.strike("", (PRINT, printed))

    outcome = strike.trial["outcome"]
    assert outcome["value"] == evaluation(arena, strike.trial["trial_id"]).value > 2
    (note,) = outcome["notes"]
    assert note.startswith(f"metric_mismatch: {says}")


async def test_a_run_that_evaluates_nothing_has_no_metric(arena: Arena) -> None:
    strike = await arena.strike("", (EVALUATE, "val_bpb = 0.01\n"))

    outcome = strike.trial["outcome"]
    assert (outcome["kind"], outcome["value"]) == ("no_metric", None)
    assert "evaluate_bpb was not called" in outcome["reason"]
    assert "evaluate_bpb" in outcome["hint"]


async def test_the_first_evaluation_counts_and_later_ones_say_the_same(arena: Arena) -> None:
    better = (
        EVALUATE
        + "first = val_bpb\nmodel.update(cast(params))\n"
        + "val_bpb = evaluate_bpb(lambda x: 0 * model(x), tokenizer, rows)\n"
        + "assert val_bpb == first\n"
    )
    strike = await arena.strike("", (EVALUATE, better))

    assert strike.outcome == "measured", strike.log
    assert strike.trial["outcome"]["notes"] == []


LEAK = """
class Leaky:
    def __call__(self, tokens):
        if tokens[0, :3].tolist() != [0, 1, 2]:
            raise MemoryError(f"these are rows: {tokens[0].tolist()}")
        return model(tokens)
"""


async def test_what_a_model_says_of_validation_rows_reaches_no_agent(arena: Arena) -> None:
    leaking = LEAK + "val_bpb = evaluate_bpb(Leaky(), tokenizer, rows)\n"
    strike = await arena.strike("", (EVALUATE, leaking))
    told = await arena.agent("get_metrics", trial_id=strike.trial["trial_id"], log_lines=50)

    assert strike.outcome == "crash"
    assert "could not be evaluated on validation rows" in strike.trial["outcome"]["reason"]
    assert strike.trial["outcome"]["error_class"] == "other"  # nor by the kind of its error
    assert "these are rows" not in json.dumps([told, strike.trial]) + strike.log


async def test_what_a_model_says_before_it_sees_a_row_is_told(arena: Arena) -> None:
    wrong = "val_bpb = evaluate_bpb(lambda x: model(x)[..., :7], tokenizer, rows)\n"
    strike = await arena.strike("", (EVALUATE, wrong))

    assert strike.outcome == "crash"
    assert (
        "must return logits of shape (1, 64, 512), not (1, 64, 7)"
        in (strike.trial["outcome"]["reason"])
    )


NOSY = """
class Nosy:
    def __call__(self, tokens):
        import socket
        def tried(act):
            try:
                act()
            except OSError as error:
                return "denied"
            return "done"
        data = prepare.DATA
        seen = [tried((data / name).read_bytes) for name in
            ("tokenizer/tokenizer.json", "train/tokens.npy", "val/rows.npy", "holdout/tokens.npy")]
        seen += [tried(path.read_bytes) for path in (REPO / "train.py", OUTSIDE / "precious.txt")]
        seen += [tried(lambda: socket.create_connection(("127.0.0.1", 9), 1)), tried(os.fork)]
        seen += [tried(lambda: (OUTSIDE / "left.txt").write_text("left"))]
        raise ValueError(f"seen: {seen}")
"""


async def test_a_model_at_work_for_the_server_reaches_nothing(arena: Arena) -> None:
    nosy = NOSY + "val_bpb = evaluate_bpb(Nosy(), tokenizer, rows)\n"
    strike = await arena.strike("", (EVALUATE, nosy))

    expected = ["done", *["denied"] * 8]
    assert f"seen: {expected}" in strike.trial["outcome"]["reason"]
    assert strike.changed == frozenset()


async def test_a_model_without_finite_logits_has_no_metric(arena: Arena) -> None:
    broken = "val_bpb = evaluate_bpb(lambda x: model(x) * mx.array(math.nan), tokenizer, rows)\n"
    strike = await arena.strike("", (EVALUATE, broken))

    assert strike.trial["outcome"]["value"] is None
    assert strike.trial["outcome"]["error_class"] == "nan"
    assert "not finite" in strike.trial["outcome"]["reason"]


async def test_a_death_while_the_model_is_scored_is_settled_like_any_other(arena: Arena) -> None:
    slow = "import time\nclass Slow:\n    def __call__(self, tokens):\n        time.sleep(3600)\n"
    source = brief(FEW, [(EVALUATE, slow + "val_bpb = evaluate_bpb(Slow(), tokenizer, rows)\n")])
    world, rows = arena.look()
    await arena.agent("apply_edit", content=source)
    trial = await arena.agent("run_trial", hypothesis="it dies", wait_s=0)
    number = trial["trial_id"]
    await until(lambda: bool(provers(arena)))
    process = arena.repo.ledger.get(number).process
    assert process is not None
    os.kill(process.pid, 9)
    ended = await arena.agent("wait_trial", trial_id=number, wait_s=60)
    strike = await arena.rest(ended, world, rows)

    assert strike.outcome == "interrupted"
    assert provers(arena) == []
    assert not list((arena.repo.state / f"trials/{number}").glob("*.model"))


def provers(arena: Arena) -> list[list[str]]:
    """Return the commands of provers that are at work."""
    found = (words(process) for process in processes_below(arena.folder))
    return [command for command in found if any("autoresearch_prover" in word for word in command)]


def seed_recipe() -> str:
    """Return the other train.py, its size alone changed."""
    source = Path(os.environ["SEED_RECIPE"]).read_text()
    size = {"DEPTH": 2, "HEAD_DIM": 64, "TOTAL_BATCH_SIZE": 1024, "DEVICE_BATCH_SIZE": 16}
    for name, value in size.items():
        source, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", source, flags=re.MULTILINE)
        assert count == 1, name
    return source


@pytest.mark.skipif(
    "SEED_RECIPE" not in os.environ,
    reason="SEED_RECIPE does not name a train.py of autoresearch-mlx, which is not ours to ship",
)
async def test_the_train_py_of_autoresearch_mlx_is_sealed_as_it_is(arena: Arena) -> None:
    strike = await arena.strike_with(seed_recipe())

    assert strike.trial["outcome"]["trust"] == "sealed", (strike.trial["outcome"], strike.log)
    assert strike.trial["outcome"]["notes"] == []
