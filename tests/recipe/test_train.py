"""train.py end to end, as its own process, on tiny data."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from .commands import REPO, python, write_settings

PROTOCOL = json.loads((REPO / "protocol.json").read_text())
MEASUREMENT = PROTOCOL["measurement"]
KEYS = re.compile(r"^(\w+): ", flags=re.MULTILINE)

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def run_file(data: Path, tmp_path: Path) -> Path:
    return write_settings(data, tmp_path / "run.json")


def train(run_file: Path, train_py: Path) -> Done:
    """Run a recipe in a folder of its own, beside our prepare.py."""
    folder = run_file.parent / "recipe"
    folder.mkdir()
    shutil.copy(REPO / "prepare.py", folder)
    shutil.copy(train_py, folder / "train.py")
    return python(folder / "train.py", AUTORESEARCH_RUN=str(run_file), PYTHONPATH=str(folder))


def extracted(metric: dict[str, Any], text: str) -> float:
    found = re.search(metric["extract"]["pattern"], text, flags=re.MULTILINE)
    assert found
    return float(found.group(1))


def edited(folder: Path, constants: Mapping[str, object], source: Path) -> Path:
    """Write a recipe with some of its constants changed and nothing else."""
    text = source.read_text()
    for name, value in constants.items():
        pattern = rf"^{name} = .*$"
        text, count = re.subn(pattern, f"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1, name
    path = folder / "edited.py"
    path.write_text(text)
    return path


def unhurried(folder: Path) -> Path:
    """Write our recipe with eight steps and no budget: a busy machine fills that with one."""
    text, by_clock = (REPO / "train.py").read_text(), "seconds > 0 and seconds + step_seconds > "
    assert text.count(f"{by_clock}TIME_BUDGET\n") == 1
    path = folder / "unhurried.py"
    path.write_text(text.replace(f"{by_clock}TIME_BUDGET\n", "step >= 8\n"))
    return path


def test_a_run_prints_the_summary_of_the_protocol_within_its_budget(run_file: Path) -> None:
    done = train(run_file, REPO / "train.py")

    assert done.returncode == 0, done.stderr
    _, _, summary = done.stdout.rpartition("---\n")
    example = MEASUREMENT["primaryMetric"]["extract"]["exampleStdout"]
    assert KEYS.findall(summary) == KEYS.findall(example)
    values = {key: float(value) for key, value in re.findall(r"(\w+): (\S+)", summary)}
    assert 0 < values["training_seconds"] <= 2
    assert 0 < extracted(MEASUREMENT["primaryMetric"], done.stdout) < 8
    for metric in MEASUREMENT["secondaryMetrics"]:
        assert extracted(metric, done.stdout) > 0


def test_a_run_shows_its_progress_on_one_line(run_file: Path) -> None:
    done = train(run_file, REPO / "train.py")

    shown = [line for line in done.stdout.splitlines() if line.startswith("step ")]
    assert shown
    form = r"step \d{5} \(\d+\.\d%\) \| loss: \d+\.\d+ \| .* \| remaining: \d+s\s+"
    assert all(re.fullmatch(form, line) for line in shown)


def test_the_loss_falls(run_file: Path, tmp_path: Path) -> None:
    done = train(run_file, unhurried(tmp_path))

    losses = [float(loss) for loss in re.findall(r"loss: (\S+)", done.stdout)]
    assert losses[-1] < losses[0]


def test_a_loss_that_diverges_ends_the_run(run_file: Path, tmp_path: Path) -> None:
    hot = edited(tmp_path, {"MATRIX_LR": 1e30}, unhurried(tmp_path))

    done = train(run_file, hot)

    assert done.returncode == 1
    assert "FAIL: the loss is" in done.stdout
    assert done.stderr == ""


def test_a_run_without_data_says_what_to_do(tmp_path: Path) -> None:
    done = python(REPO / "train.py", AUTORESEARCH_CACHE=str(tmp_path))

    assert done.returncode == 1
    assert done.stderr == "no prepared data: run `python prepare.py`\n"


def test_a_run_never_opens_a_module_that_is_masked(run_file: Path, data: Path) -> None:
    masked = json.loads((data / "manifest.json").read_text())["masked"]
    code = (
        f"import json, runpy, sys; runpy.run_path({str(REPO / 'train.py')!r}, run_name='__main__');"
        "files = [getattr(m, '__file__', None) for m in list(sys.modules.values())];"
        "print('\\n' + json.dumps([f for f in files if f]))"
    )

    done = python("-c", code, AUTORESEARCH_RUN=str(run_file))

    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert str(Path(re.__file__).resolve()) in {str(Path(name).resolve()) for name in loaded}
    assert not {str(Path(name).resolve()) for name in loaded} & set(masked)


@pytest.mark.skipif(
    "SEED_RECIPE" not in os.environ,
    reason="SEED_RECIPE does not name a train.py of autoresearch-mlx, which is not ours to ship",
)
def test_the_train_py_of_autoresearch_mlx_runs_unchanged_but_for_its_size(
    run_file: Path, tmp_path: Path
) -> None:
    size = {"DEPTH": 2, "HEAD_DIM": 64, "TOTAL_BATCH_SIZE": 1024, "DEVICE_BATCH_SIZE": 16}
    seed = edited(tmp_path, size, Path(os.environ["SEED_RECIPE"]))

    done = train(run_file, seed)

    assert done.returncode == 0, done.stderr
    assert 0 < extracted(MEASUREMENT["primaryMetric"], done.stdout) < 8
