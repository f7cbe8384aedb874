"""What the scripted model does: a whole loop, and a wait that outlasts the client's patience."""

from collections.abc import Generator
from typing import Any

from .model import Call, Result, Script

BETTER = "UNEMBEDDING_LR = 0.004"
HANDICAPPED = "UNEMBEDDING_LR = 0.0001"
"""The output layer hardly learns: easy to better, however few steps a busy machine makes."""
USUAL, WORSE = "SOFTCAP = 0.0", "SOFTCAP = 0.0001"
"""Logits squashed to nothing: whatever was learned, the prediction is uniform."""


def whole_loop() -> Script:
    """Measure the baseline, try a forbidden edit, lose one idea and keep the next."""
    recipe = (yield Call("read_recipe")).json
    assert recipe["surface"] == ["train.py"]
    baseline = yield from trial("baseline")
    assert baseline["outcome"]["kind"] == "measured", baseline
    refusal = yield edit("prepare.py", "EVAL_TOKENS", "EVAL_TOKENS_")
    assert "surface" in refusal.text, refusal
    assert "train.py" in refusal.text, refusal
    for old, new, status in ((USUAL, WORSE, "discard"), (HANDICAPPED, BETTER, "keep")):
        staged = (yield edit("train.py", old, new)).json
        assert staged["staged"], staged
        tried = yield from trial(new)
        assert tried["verdict"]["status"] == status, tried
        applied = (yield Call("commit_or_revert", {"trial_id": tried["trial_id"]})).json
        assert (applied["commit"] is not None) == (status == "keep"), applied
    state = (yield Call("recall_research")).json
    assert len(state["ideas_tried"]) == 2


def edit(path: str, old: str, new: str) -> Call:
    return Call("apply_edit", {"path": path, "edits": [{"old": old, "new": new}]})


def trial(hypothesis: str, **arguments: Any) -> Generator[Call, Result, dict[str, Any]]:
    """Run a trial, and wait as its answers say until there is a verdict."""
    seen = (yield Call("run_trial", {"hypothesis": hypothesis, **arguments})).json
    while seen["verdict"] is None:
        assert f"wait_trial(trial_id={seen['trial_id']})" in seen["next_step"]
        seen = (yield Call("wait_trial", {"trial_id": seen["trial_id"]})).json
    return seen


def lost_call(wait_s: float) -> Script:
    """Wait longer than the client lets a call take, then ask again for as long as it takes."""
    lost = yield Call("run_trial", {"hypothesis": "baseline", "wait_s": wait_s})
    assert "timed out" in lost.text, lost
    seen = (yield Call("wait_trial", {"trial_id": 1, "wait_s": 1})).json
    while seen["verdict"] is None:
        seen = (yield Call("wait_trial", {"trial_id": 1, "wait_s": 1})).json
    assert seen["outcome"]["value"] == 2.0


def patient() -> Script:
    """Ask for more than the client bears; the server knows better, and no call is lost."""
    measured = yield from trial("baseline", wait_s=3600)
    assert measured["outcome"]["value"] == 2.0
