"""A prover that does not keep to the protocol: nothing of it is believed or waited for."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from array import array
from collections.abc import Callable, Generator

import pytest

from autoresearch_mcp.effects.sealing import Dialogue, NoLogits, ProverEnded

ROWS = [array("H", range(5))]


@contextlib.contextmanager
def facing(
    prover: Callable[[socket.socket], object],
    seconds: float = 60.0,
    give_up: Callable[[], str | None] = lambda: None,
) -> Generator[Dialogue]:
    """Talk to the other end of a socket, which does what it is told to."""
    mine, theirs = socket.socketpair()

    def act() -> None:
        with theirs, contextlib.suppress(OSError):
            prover(theirs)

    acting = threading.Thread(target=act)
    acting.start()
    try:
        with mine:
            yield Dialogue(mine, 8, time.monotonic() + seconds, give_up)
    finally:
        acting.join()


def silent(end: socket.socket) -> None:
    while end.recv(1 << 16):
        pass


def trickling(end: socket.socket) -> None:
    while True:
        end.send(b"o")
        time.sleep(0.05)


@pytest.mark.parametrize("prover", [silent, trickling])
def test_a_prover_that_is_too_slow_is_not_waited_for(
    prover: Callable[[socket.socket], object],
) -> None:
    with facing(prover, seconds=0.5) as dialogue, pytest.raises(ProverEnded, match="too long"):
        dialogue.losses(ROWS)


def test_a_prover_that_ended_is_not_waited_for() -> None:
    with facing(lambda end: end.recv(8)) as dialogue, pytest.raises(ProverEnded, match="ended"):
        dialogue.losses(ROWS)


def test_a_trial_that_is_to_end_waits_for_no_prover() -> None:
    with (
        facing(silent, give_up=lambda: "cancelled") as dialogue,
        pytest.raises(ProverEnded, match="cancelled"),
    ):
        dialogue.losses(ROWS)


@pytest.mark.parametrize("said", [b"fine\n", b"\xff\n", b"x" * 5000, b"\n"])
def test_an_answer_that_is_none_ends_the_talk(said: bytes) -> None:
    with (
        facing(lambda end: (end.sendall(said), silent(end))) as dialogue,
        pytest.raises(ProverEnded, match="broke the protocol"),
    ):
        dialogue.losses(ROWS)


def test_what_is_no_logits_is_known_in_the_provers_words_and_not_told_in_them() -> None:
    with (
        facing(lambda end: (end.sendall(b"unfit a list\n"), silent(end))) as dialogue,
        pytest.raises(NoLogits) as unfit,
    ):
        dialogue.losses(ROWS)
    assert unfit.value.said == "a list"
    assert str(unfit.value) == "it gave no logits"


def test_only_as_many_numbers_are_read_as_were_asked_for() -> None:
    numbers = array("f", [1.0, 2.0, 3.0, 4.0, 99.0])
    with facing(lambda end: (end.sendall(b"ok\n" + numbers.tobytes()), silent(end))) as dialogue:
        assert list(dialogue.losses(ROWS)) == [1.0, 2.0, 3.0, 4.0]
