"""Honest work is not called a cheat, whatever it does to the metric."""

import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.driving import TOP, clean_environment

from .arena import Arena
from .honest import EDITS, Edit
from .variants import TRAIN, replaced

pytestmark = pytest.mark.anyio

BRIEF = ("out_of_time = seconds > 0 and", "out_of_time = step >= 2 or")
"""Two steps show what there is to show, and a busy machine has the time for them."""

OFTEN_BLAMED = (
    *("precision-bfloat16", "precision-float16", "precision-bfloat16-logits"),
    *("architecture-attention-scaled-by-length", "architecture-dropout-while-training"),
    *("architecture-running-mean", "optimizer-averaged-weights", "schedule-cosine"),
    "batch-two-passes",
)
UNCHANGED = Edit("seed", ())


def test_there_are_edits_of_every_kind_and_no_two_alike() -> None:
    kinds = {edit.id.partition("-")[0] for edit in EDITS}

    assert kinds == {"architecture", "optimizer", "schedule", "batch", "precision"}
    assert len({edit.source for edit in EDITS}) == len(EDITS) >= 20


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.id)
def test_an_edit_applies_trains_and_reports(edit: Edit, prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(replaced([*edit.replace, BRIEF]))
    (tmp_path / "prepare.py").write_bytes((TOP / "prepare.py").read_bytes())
    done = subprocess.run(
        [sys.executable, "-B", str(tmp_path / "train.py")],
        env={**clean_environment(), "AUTORESEARCH_CACHE": str(prepared)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert re.search(r"^num_steps: [12]$", done.stdout, re.MULTILINE)
    (value,) = re.findall(r"^val_bpb: (\S+)$", done.stdout, re.MULTILINE)
    assert 2.0 < float(value) < 8.0


async def test_no_honest_trial_is_called_tampered(lab: Arena, full: bool) -> None:
    """The recipe with other seeds, and edits of every kind; all audited, kept or not."""
    often = [edit for edit in EDITS if edit.id in OFTEN_BLAMED]
    tried = islice(cycle([UNCHANGED, *EDITS]), 200) if full else [UNCHANGED, *often]
    differences: dict[str, float] = {}
    for name, source in named(tried):
        strike = await lab.strike_with(source)
        assert strike.outcome == "measured", (name, strike.trial["outcome"])
        assert strike.trial["outcome"]["trust"] in {"audited", "confirmed"}, strike.trial
        record = lab.repo.ledger.get(strike.trial["trial_id"])
        found = [run.audit.largest or 0.0 for run in record.runs if run.audit]
        differences[name] = max(found)

    worst = max(differences, key=lambda name: differences[name])
    print(f"{len(differences)} trials; {worst}: {differences[worst]:.1e} nats")  # noqa: T201


def named(edits: Iterator[Edit] | list[Edit]) -> Iterator[tuple[str, str]]:
    """Yield sources of which no two are the same code, though the same edit comes again."""
    for number, edit in enumerate(edits):
        source = TRAIN if edit is UNCHANGED else edit.source
        yield f"{edit.id} ({number})", f"{source}TRIAL = {number}\n"
