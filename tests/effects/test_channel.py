"""A model on its way out of a run: whole and hashed, or not at all."""

import hashlib
import sys
from pathlib import Path

import pytest

from autoresearch_mcp.effects import supervisor
from autoresearch_mcp.effects.supervisor import Channel, Execution, HandedOver, RunSpec, Store

CAP = 3 << 20
PRELUDE = """
import os
def line(text): os.write(FD, text.encode() + b"\\n")
def put(data):
    while data: data = data[os.write(FD, data):]
def frame(data): put(len(data).to_bytes(4, "big") + data)
def send(data, end=bytes(4)):
    line("model")
    for at in range(0, len(data), 1 << 20): frame(data[at:at + (1 << 20)])
    put(end)
def answer():
    while not (got := os.read(FD, 4096)).endswith(b"\\n"): pass
    return got.decode()
"""
MODEL = bytes(range(256)) * 5000


class Sent:
    """A run that sends something, and what arrived."""

    def __init__(self, folder: Path, code: str, *, keep: bool = True) -> None:
        self.path = folder / "model"
        store = Store(self.path, CAP) if keep else None
        with Channel(store) as channel:
            code = f"FD = {channel.child_end}\n{PRELUDE}\nMODEL = bytes(range(256)) * 5000\n{code}"
            argv = (sys.executable, "-I", "-u", "-c", code)
            spec = RunSpec(
                argv=argv, cwd=folder, environment={}, log=folder / "log", hard_timeout=60.0
            )
            self.execution: Execution = supervisor.execute(spec, channel, lambda: say(channel))
        self.arrived: HandedOver | None = channel.handed_over
        self.log = spec.log.read_text()


def say(channel: Channel) -> None:
    if channel.handed_over:
        channel.answer({"value": channel.handed_over.size})


def test_a_model_arrives_whole_and_is_answered(tmp_path: Path) -> None:
    sent = Sent(tmp_path, "send(MODEL); print(answer())")

    assert sent.arrived == HandedOver(sha256=hashlib.sha256(MODEL).hexdigest(), size=len(MODEL))
    assert sent.path.read_bytes() == MODEL
    assert sent.log == f'{{"value": {len(MODEL)}}}\n\n'


def test_training_ends_with_the_models_last_byte_whatever_was_told_before(tmp_path: Path) -> None:
    early = "line('batch'); line('handover'); import time; time.sleep(1); send(MODEL); answer()"
    sent = Sent(tmp_path, early)

    assert sent.execution.training is not None
    assert sent.execution.training >= 1


def test_the_first_model_counts(tmp_path: Path) -> None:
    sent = Sent(tmp_path, "send(MODEL); answer(); send(b'better'); line('unfit really')")

    assert sent.arrived is not None
    assert sent.arrived.sha256 == hashlib.sha256(MODEL).hexdigest()
    assert sent.path.read_bytes() == MODEL


def test_a_run_that_cannot_send_its_model_says_why(tmp_path: Path) -> None:
    taken_back = "send(MODEL, end=b'\\xff' * 4); line('unfit it has a lock'); answer()"
    sent = Sent(tmp_path, taken_back)

    assert sent.arrived == HandedOver(problem="it has a lock")


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("line('model'); frame(MODEL[:100])", id="23-truncated"),
        pytest.param(
            "line('model'); put(b'\\x7f\\xff\\xff\\xff' + MODEL); answer()", id="24-length"
        ),
        pytest.param("line('model'); put(b'val_bpb: 0.01\\n' * 9000); answer()", id="22-forged"),
        pytest.param("send(MODEL * 4); answer()", id="larger-than-the-cap"),
    ],
)
def test_anything_else_is_no_model(tmp_path: Path, code: str) -> None:
    sent = Sent(tmp_path, code)

    assert sent.arrived is not None
    assert sent.arrived.sha256 is None
    assert sent.arrived.problem is not None
    assert not sent.arrived.ours
    assert not sent.path.exists() or sent.path.stat().st_size <= CAP
    assert sent.execution.stopped is None


def test_a_run_that_nobody_evaluates_can_hand_nothing_over(tmp_path: Path) -> None:
    sent = Sent(tmp_path, "line('batch'); line('handover'); send(MODEL)", keep=False)

    assert sent.arrived is None
    assert not sent.path.exists()
    assert sent.execution.training is not None


def test_a_full_disk_is_no_fault_of_the_runs(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    sent = Sent(tmp_path, "send(MODEL); answer()")

    assert sent.arrived is not None
    assert sent.arrived.ours
