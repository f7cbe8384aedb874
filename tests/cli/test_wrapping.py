"""`init --evaluate` makes a harness hand its models over, and says what came of it."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.prologue import Target
from autoresearch_mcp.session import initiating
from autoresearch_mcp.session.rooms import Options, Rooms
from autoresearch_mcp.session.wrapping import wrap
from tests.driving import serving

from .conftest import Cli, Recipe

pytestmark = pytest.mark.anyio

SAID = ("--purpose", "Less loss.", "--metric", "val_bpb", "--direction", "minimize")
EVALUATE = ("--evaluate", "prepare.py:evaluate")
WRAP = (*EVALUATE, "--batches", "prepare.py:batches", "--budget", 20)

MLX_PREPARE = '''
import hashlib, json, os
from pathlib import Path
import mlx.core as mx
import numpy as np

V, T = 8, 16
FOLDER = Path(os.environ.get("AUTORESEARCH_CACHE", ".")) / "mine"
if run := os.environ.get("AUTORESEARCH_RUN"):
    FOLDER = Path(json.loads(Path(run).read_text())["data"])


def batches():
    while True:
        yield mx.array(np.load(FOLDER / "train/rows.npy").astype(np.int32))


def evaluate(model, unit=2):
    """Return the loss of the validation rows, bits per token."""
    rows = np.load(FOLDER / "val/rows.npy").astype(np.int32)
    logits = np.array(model(mx.array(rows[:, :-1]))).astype(np.float64)
    chosen = np.take_along_axis(logits, rows[:, 1:, None], -1)[..., 0]
    return float((np.log(np.exp(logits).sum(-1)) - chosen).mean() / np.log(unit))


def write(name, array):
    file = FOLDER / name
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, array)
    raw = file.read_bytes()
    return name, dict(size=len(raw), sha256=hashlib.sha256(raw).hexdigest())


if __name__ == "__main__":
    rows = np.random.default_rng(1).integers(0, V, (64, T + 1)).astype("<u2")
    files = dict([write("train/rows.npy", rows[32:]), write("val/rows.npy", rows[:32]),
        write("tokenizer/sizes.npy", np.ones(V, dtype=np.int32))])
    profile = dict(name="mine", max_seq_len=T, time_budget=20, hard_timeout=60, vocab_size=V,
        eval_tokens=32 * T, eval_micro_batch=8, startup_allowance=0)
    manifest = dict(format=1, data_id="mine", source="mine", created_at="2026-01-01T00:00:00Z",
        profile=profile, harness_sha256=hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
        corpus="mine", tokenizer_sha256="", masked=[], rankable=True, files=files,
        evaluation=dict(rows="val/rows.npy", token_bytes="tokenizer/sizes.npy"))
    (FOLDER / "manifest.json").write_text(json.dumps(manifest))
'''
MLX_TRAIN = """
import mlx.core as mx
from prepare import V, batches, evaluate

loader, table = batches(), mx.sin(mx.arange(V * V, dtype=mx.float32)).reshape(V, V)
for _ in range(3):
    rows = next(loader)
    table = table.at[rows[:, :-1], rows[:, 1:]].add(0.01)
print(f"val_bpb: {evaluate(lambda tokens: table[tokens]):.6f}")
"""
PLAIN_PREPARE = '''
def batches(): return [1.0, 2.0]


def evaluate(model):
    """Score."""
    return model * 2
'''
PLAIN_TRAIN = """
from prepare import batches, evaluate

print(f"val_bpb: {evaluate(sum(batches())):.6f}")
"""


def with_sources(recipe: Recipe, prepare: str, train: str) -> Recipe:
    (recipe.path / "protocol.json").unlink()
    (recipe.path / "prepare.py").write_text(prepare)
    (recipe.path / "train.py").write_text(train)
    recipe.commit()
    return recipe


@pytest.fixture
def mine(foreign: Recipe) -> Recipe:
    """An MLX harness that knows the server's data set and hands nothing over."""
    if find_spec("mlx") is None:
        pytest.skip("no MLX")
    recipe = with_sources(foreign, MLX_PREPARE, MLX_TRAIN)
    by_hand(recipe, "prepare.py")
    return recipe


@pytest.fixture
def plain(foreign: Recipe) -> Recipe:
    """A harness whose models are no MLX and which knows nothing of any server."""
    return with_sources(foreign, PLAIN_PREPARE, PLAIN_TRAIN)


def by_hand(recipe: Recipe, script: str) -> str:
    command = [sys.executable, "-B", script]
    return subprocess.check_output(command, cwd=recipe.path, env=recipe.environment, text=True)


async def baseline(recipe: Recipe, python: object) -> dict[str, Any]:
    arguments = ("--python", str(python))
    async with serving(recipe.path, *arguments, environment=recipe.environment) as agent:
        return (await agent.trial("baseline"))["outcome"]


async def test_an_mlx_harness_becomes_sealed_and_stays_what_it_was_by_hand(
    cli: Cli, mine: Recipe
) -> None:
    before = by_hand(mine, "train.py")
    done = cli("init", "--repo", mine.path, "--python", sys.executable, *SAID, *WRAP)

    assert done.returncode == 0, done.stderr
    assert "trust level: sealed" in done.stdout
    assert "in place: the same" in done.stdout
    assert "for sealed it lacks" not in done.stdout
    assert "git add protocol.json prepare.py && git commit" in done.stdout
    assert "prepare the data again" in done.stdout
    assert mine.git("status", "--porcelain") == "M prepare.py\n?? protocol.json"
    assert mine.git("diff", "--numstat").endswith("\t0\tprepare.py")  # lines added alone
    mine.commit()
    by_hand(mine, "prepare.py")
    assert by_hand(mine, "train.py") == before
    assert not list(mine.path.glob(".git/autoresearch/**/*.model"))
    sealed = await baseline(mine, sys.executable)
    assert sealed["trust"] == "audited", sealed
    assert f"val_bpb: {sealed['value']:.6f}\n" == before


async def test_a_harness_that_cannot_be_sealed_is_written_and_locked(
    cli: Cli, plain: Recipe, bare_python: Path
) -> None:
    done = cli("init", "--repo", plain.path, "--python", bare_python, *SAID, *WRAP)

    assert done.returncode == 0, done.stderr
    assert "trust level: locked" in done.stdout
    assert "for sealed it lacks prepared data (step 1 of docs/evaluation.md" in done.stdout
    assert "prepare the data again" not in done.stdout
    assert plain.git("status", "--porcelain") == "M prepare.py\n?? protocol.json"
    plain.commit()
    assert by_hand(plain, "train.py") == "val_bpb: 6.000000\n"
    locked = await baseline(plain, bare_python)
    assert (locked["trust"], locked["value"]) == ("locked", 6.0), locked
    assert locked["training_seconds"] is not None


def test_without_the_training_clock_a_budget_is_not_held_and_it_says_so(
    cli: Cli, plain: Recipe, bare_python: Path
) -> None:
    where = ("--repo", plain.path, "--python", bare_python)
    held = cli.json("init", *where, *SAID, *EVALUATE, "--budget", 20, "--dry-run")
    suite = cli.json("init", *where, *SAID, *EVALUATE, "--dry-run")

    assert held["outcome"]["trust"]["level"] == "printed"
    assert "--batches FILE:FUNCTION lets it tell" in held["lacking"][-1]
    assert suite["outcome"]["trust"]["level"] == "locked"  # it has no training budget


def test_a_dry_run_shows_the_lines_and_writes_nothing(
    cli: Cli, plain: Recipe, bare_python: Path
) -> None:
    where = ("--repo", plain.path, "--python", bare_python)
    done = cli("init", *where, *SAID, *WRAP, "--dry-run")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{\n")
    assert "+++ b/prepare.py" in done.stderr
    assert "trust level: locked" in done.stderr
    assert plain.git("status", "--porcelain") == ""


def test_a_number_that_means_something_else_is_told(cli: Cli, mine: Recipe) -> None:
    (mine.path / "prepare.py").write_text(MLX_PREPARE.replace("unit=2", "unit=np.e"))
    mine.commit()
    by_hand(mine, "prepare.py")
    where = ("--repo", mine.path, "--python", sys.executable)
    report = cli.json("init", *where, *SAID, *WRAP, "--dry-run")

    assert report["outcome"]["trust"]["level"] == "sealed"
    assert "not the bits per byte of these rows" in report["compared"]


def test_a_data_set_that_names_no_rows_is_told(cli: Cli, mine: Recipe) -> None:
    (mine.path / "prepare.py").write_text(MLX_PREPARE.replace(",\n        evaluation=dict(", ")#("))
    mine.commit()
    by_hand(mine, "prepare.py")
    where = ("--repo", mine.path, "--python", sys.executable)
    report = cli.json("init", *where, *SAID, *WRAP, "--dry-run")

    assert report["outcome"]["trust"]["level"] == "locked"
    assert "mine/manifest.json has no `evaluation`" in report["lacking"][0]
    assert report["compared"] is None


def test_a_harness_that_looks_for_its_data_elsewhere_is_told_where_it_is(
    cli: Cli, mine: Recipe
) -> None:
    (mine.path / "prepare.py").write_text(MLX_PREPARE.replace("AUTORESEARCH_RUN", "MINE"))
    mine.commit()
    by_hand(mine, "prepare.py")
    done = cli("init", "--repo", mine.path, "--python", sys.executable, *SAID, *WRAP)

    assert done.returncode == 1
    assert "it lacks its settings (step 2 of docs/evaluation.md" in done.stderr
    assert mine.git("status", "--porcelain") == ""


def test_work_in_progress_is_never_overwritten(cli: Cli, plain: Recipe, bare_python: Path) -> None:
    draft = PLAIN_PREPARE + "# a thought\n"
    (plain.path / "prepare.py").write_text(draft)
    done = cli("init", "--repo", plain.path, "--python", bare_python, *SAID, *WRAP)

    assert done.returncode == 3
    assert "prepare.py in the working tree is not what HEAD has" in done.stderr
    assert (plain.path / "prepare.py").read_text() == draft
    assert not (plain.path / "protocol.json").exists()


def test_line_ends_that_git_converts_are_told_from_a_change(cli: Cli, plain: Recipe) -> None:
    (plain.path / ".gitattributes").write_text("prepare.py text eol=crlf\n")
    plain.commit()
    (plain.path / "prepare.py").unlink()
    plain.git("checkout", "--", "prepare.py")
    # As in any checkout that is older than a second: git knows without reading that it is clean.
    os.utime(plain.path / "prepare.py", (1_700_000_000, 1_700_000_000))
    assert plain.git("status", "--porcelain") == ""
    done = cli("init", "--repo", plain.path, *SAID, *EVALUATE)

    assert done.returncode == 3
    assert "git converts the line ends of prepare.py here" in done.stderr
    # What it says to do is done here, to the letter.
    attributes, command = done.stderr.split("`")[1], done.stderr.split("`")[3]
    with (plain.path / ".gitattributes").open("a") as file:
        file.write(f"{attributes}\n")
    subprocess.run(command, shell=True, cwd=plain.path, env=plain.environment, check=True)  # noqa: S602
    assert wrap(Rooms.open(plain.path, Options()), Target("prepare.py", "evaluate"), None)


def test_a_large_file_with_work_in_it_is_called_what_it_is(plain: Recipe) -> None:
    file = plain.path / "prepare.py"
    file.write_text(PLAIN_PREPARE + f"TABLE = '{'x' * (1 << 20)}'\n")
    plain.commit()
    file.write_text(file.read_text() + "# a thought\n")

    with pytest.raises(Fault, match="commit your change or undo it first"):
        wrap(Rooms.open(plain.path, Options()), Target("prepare.py", "evaluate"), None)


def test_nothing_is_written_where_one_file_of_several_was_saved_meanwhile(plain: Recipe) -> None:
    clock = plain.path / "clock.py"
    clock.write_text("def batches():\n    return []\n")
    plain.commit()
    rooms = Rooms.open(plain.path, Options())
    targets = Target("prepare.py", "evaluate"), Target("clock.py", "batches")
    wrapped = wrap(rooms, *targets)
    clock.write_text("mine\n")

    with pytest.raises(Fault, match=r"clock\.py in the working tree is not what HEAD has"):
        initiating.write(rooms, "{}", wrapped)
    assert plain.git("status", "--porcelain") == "M clock.py"


def test_a_write_that_fails_late_names_what_was_written(
    plain: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plain.path / "clock.py").write_text("def batches():\n    return []\n")
    plain.commit()
    rooms = Rooms.open(plain.path, Options())
    written = wrap(rooms, None, Target("clock.py", "batches"))
    initiating.write(rooms, "{}", written)
    plain.git("add", "clock.py")
    plain.git("commit", "--quiet", "--message", "its clock has the lines")
    (plain.path / "protocol.json").unlink()
    files = (
        *wrap(rooms, None, Target("clock.py", "batches")),
        *wrap(rooms, Target("prepare.py", "evaluate"), None),
    )

    def too_late(path: str) -> str | None:
        return None if path == "protocol.json" else digest(path)

    digest = rooms.workspace.digest
    (plain.path / "protocol.json").write_text("mine\n")
    monkeypatch.setattr(rooms.workspace, "digest", too_late)
    with pytest.raises(Fault, match=r"protocol\.json was .*; written before that: prepare\.py$"):
        initiating.write(rooms, "{}", files)
    assert (plain.path / "protocol.json").read_text() == "mine\n"


def test_a_harness_with_the_lines_in_it_is_left_as_it_is(
    cli: Cli, plain: Recipe, bare_python: Path
) -> None:
    where = ("--repo", plain.path, "--python", bare_python)
    assert cli("init", *where, *SAID, *WRAP).returncode == 0
    plain.git("add", "prepare.py")
    plain.git("commit", "--quiet", "--message", "wrapped")
    (plain.path / "protocol.json").unlink()
    again = cli("init", *where, *SAID, *WRAP)

    assert again.returncode == 0, again.stderr
    assert plain.git("status", "--porcelain") == "?? protocol.json"


def test_the_file_becomes_part_of_the_harness(cli: Cli, plain: Recipe, bare_python: Path) -> None:
    plain.git("mv", "prepare.py", "score.py")
    (plain.path / "train.py").write_text(PLAIN_TRAIN.replace("from prepare", "from score"))
    plain.commit()
    where = ("--repo", plain.path, "--python", bare_python)
    report = cli.json("init", *where, *SAID, "--evaluate", "score.py:evaluate")

    assert report["protocol"]["immutableHarness"]["paths"] == ["score.py"]
    assert report["wrapped"] == ["score.py"]


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("prepare.py", 2, "'prepare.py' is not FILE:FUNCTION"),
        ("prepare.py:score", 3, "prepare.py has no function score"),
        ("prepare.py:evaluate:rows", 3, "has no parameter rows, but model"),
        ("score.py:evaluate", 3, "score.py is not committed: name a tracked file"),
        ("../prepare.py:evaluate", 3, "../prepare.py is outside the repository"),
        ("link.py:evaluate", 3, "link.py is a symbolic link: name the file that it leads to"),
        ("train.py:evaluate", 3, "train.py has no function evaluate"),
    ],
)
def test_a_function_that_is_not_there_is_a_plain_error(
    cli: Cli, plain: Recipe, target: str, status: int, said: str
) -> None:
    (plain.path / "link.py").symlink_to("prepare.py")
    plain.commit()
    done = cli("init", "--repo", plain.path, *SAID, "--evaluate", target)

    assert done.returncode == status
    assert said in done.stderr
    assert plain.git("status", "--porcelain") == ""
