"""Preparing the embedded corpus: the same everywhere, split cleanly, checked when used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .commands import REPO, load_harness, prepare, python, write_settings


def manifest_of(data: Path) -> dict[str, Any]:
    return json.loads((data / "manifest.json").read_text())


@pytest.fixture
def own_cache(data: Path, tmp_path: Path) -> Path:
    """A cache with a copy of the prepared data that a test may damage."""
    shutil.copytree(data, tmp_path / "cache" / data.name)
    return tmp_path / "cache"


def test_preparing_again_elsewhere_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    again = Path(prepare(tmp_path, "--profile", "tiny")["folder"])

    assert again.name == data.name
    assert manifest_of(again)["files"] == manifest_of(data)["files"]


def test_preparing_again_in_place_changes_no_byte(own_cache: Path, data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (own_cache / data.name).rglob("*.*")}

    prepare(own_cache, "--profile", "tiny")

    after = {path: path.stat().st_mtime_ns for path in (own_cache / data.name).rglob("*.*")}
    assert after == before


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def add_beside(path: Path) -> None:
    (path.parent / "extra.npy").write_bytes(b"")


@pytest.mark.parametrize("damage", [append, flip, Path.unlink, add_beside])
def test_damaged_data_is_built_again(
    own_cache: Path, data: Path, damage: Callable[[Path], None]
) -> None:
    name = "val/tokens.npy"
    damage(own_cache / data.name / name)

    prepare(own_cache, "--profile", "tiny")

    whole = {p.relative_to(data) for p in data.rglob("*")}
    assert {p.relative_to(own_cache / data.name) for p in own_cache.glob("*/**/*")} == whole
    assert (own_cache / data.name / name).read_bytes() == (data / name).read_bytes()


def test_data_without_its_manifest_is_built_again(own_cache: Path, data: Path) -> None:
    (own_cache / data.name / "manifest.json").unlink()

    prepare(own_cache, "--profile", "tiny")

    assert manifest_of(own_cache / data.name)["files"] == manifest_of(data)["files"]


def test_the_manifest_describes_the_profile_the_harness_and_every_file(
    data: Path, harness: ModuleType
) -> None:
    manifest = manifest_of(data)

    assert manifest["profile"]["name"] == "tiny"
    assert manifest["harness_sha256"] == harness.harness_sha256()
    assert manifest["files"] == harness.contents(data)
    assert manifest["rankable"] is True


def test_the_constants_of_a_run_come_from_its_settings(data: Path, tmp_path: Path) -> None:
    run_file = write_settings(data, tmp_path / "run.json", time_budget=1.5, eval_tokens=128)

    harness = load_harness(run_file)

    assert (harness.MAX_SEQ_LEN, harness.TIME_BUDGET, harness.EVAL_TOKENS) == (64, 1.5, 128)


def test_no_document_of_validation_or_holdout_is_trained_on(harness: ModuleType) -> None:
    corpus = harness.embedded_corpus(harness.PROFILE)
    train, val, holdout = (set(corpus.documents(split)) for split in harness.SPLITS)

    assert train
    assert val
    assert holdout
    assert not train & val
    assert not train & holdout
    assert not val & holdout


def test_the_masked_files_hold_all_of_validation_and_holdout_and_nothing_else(
    harness: ModuleType, data: Path
) -> None:
    corpus = harness.embedded_corpus(harness.PROFILE)
    masked = manifest_of(data)["masked"]
    texts = [Path(name).read_text("utf-8", errors="replace") for name in masked]
    size = 4 * harness.MAX_SEQ_LEN
    cut = {document for text in texts for document in harness.cut_documents(text, size)}

    held = set(corpus.documents("val")) | set(corpus.documents("holdout"))

    assert held <= cut
    assert cut - held <= set(corpus.documents("train"))  # text that training has elsewhere too


def test_a_fifth_of_the_corpus_is_held_out_half_of_it_for_validation(harness: ModuleType) -> None:
    corpus = harness.embedded_corpus(harness.PROFILE)
    sizes = [sum(map(len, corpus.documents(split))) for split in harness.SPLITS]
    shares = [size / sum(sizes) for size in sizes]

    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_the_split_works_where_a_distribution_leaves_modules_out(
    harness: ModuleType, tmp_path: Path
) -> None:
    for name in ["os.py", "ast.py", "mailbox.py", "turtle.py", "test/test_os.py"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x" * 100)

    trained, held = harness.library_files(tmp_path)

    assert [path.name for path in trained] == ["ast.py", "os.py", "turtle.py"]
    assert [path.name for path in held] == ["mailbox.py"]


def test_the_harness_is_imported_without_data_and_says_what_to_do_when_data_is_used(
    tmp_path: Path,
) -> None:
    use = "import prepare; print(prepare.MAX_SEQ_LEN); prepare.Tokenizer.from_directory()"

    done = python("-c", use, AUTORESEARCH_CACHE=str(tmp_path))

    assert done.stdout == "256\n"
    assert done.stderr == "no prepared data: run `python prepare.py`\n"
    assert done.returncode == 1


def test_data_of_another_harness_is_not_used(own_cache: Path, data: Path) -> None:
    manifest = manifest_of(data) | {"harness_sha256": "0" * 64}
    (own_cache / data.name / "manifest.json").write_text(json.dumps(manifest))

    done = python(
        "-c", "import prepare; prepare.get_token_bytes()", AUTORESEARCH_CACHE=str(own_cache)
    )

    assert "no prepared data" in done.stderr


def test_a_file_of_the_wrong_size_is_refused_when_it_is_used(own_cache: Path, data: Path) -> None:
    append(own_cache / data.name / "train" / "tokens.npy")
    use = "import prepare; prepare.make_dataloader(None, 1, 64, 'train')"

    done = python("-c", use, AUTORESEARCH_CACHE=str(own_cache))

    assert "train/tokens.npy is missing or damaged: run `python prepare.py` again" in done.stderr


def test_a_run_uses_the_data_that_was_asked_for_last(own_cache: Path, data: Path) -> None:
    newer = own_cache / "another"
    shutil.copytree(data, newer)
    later = manifest_of(data) | {"created_at": "2999-01-01T00:00:00.000000Z"}
    (newer / "manifest.json").write_text(json.dumps(later))
    show = "import prepare; print(prepare.DATA.name)"

    shown = python("-c", show, AUTORESEARCH_CACHE=str(own_cache)).stdout

    assert shown == "another\n"


def test_the_help_offers_the_profiles_of_real_runs_only() -> None:
    shown = python(REPO / "prepare.py", "--help").stdout

    assert "{full,cpu}" in shown
    assert "tiny" not in shown
