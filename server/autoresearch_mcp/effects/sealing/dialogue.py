"""The server's end of the talk with a prover: bounded, patient, and never taken in."""

from __future__ import annotations  # array[int] is a type from Python 3.12 on

import json
import socket
import time
from array import array
from collections.abc import Callable, Sequence

_POLL_SECONDS = 0.2
_LONGEST_LINE = 1024
_CHUNK = 1 << 20
_BROKEN = "its prover broke the protocol"


class ProverEnded(Exception):
    """Raised when a prover gives no answer: it ended, was ended, or is too slow."""


class NoLogits(ProverEnded):
    """Raised when a model gave something else than logits.

    Args:
        said: What it gave, in its prover's words: not for an agent's eyes where the prover was
            shown rows that are kept from it, for the words can be those rows.
    """

    def __init__(self, said: str) -> None:
        super().__init__("it gave no logits")
        self.said = said


class Dialogue:
    """Asks a prover and waits for its answers.

    Args:
        stream: The server's end of the socket.
        vocabulary: Tokens that a distribution is over.
        deadline: When the last answer must be there, on the monotonic clock, in seconds.
        give_up: Asked about five times a second: a reason to wait no longer, or None.
    """

    def __init__(
        self,
        stream: socket.socket,
        vocabulary: int,
        deadline: float,
        give_up: Callable[[], str | None],
    ) -> None:
        self._socket, self._vocabulary = stream, vocabulary
        self._deadline, self._give_up = deadline, give_up
        self._buffered = bytearray()
        stream.settimeout(_POLL_SECONDS)

    def expect(self, word: str) -> None:
        """Wait for a line that says one word.

        Raises:
            ProverEnded: Another one came, or none.
        """
        line = self._line()
        if line != word:
            said, _, reason = line.partition(" ")
            raise NoLogits(reason) if said == "unfit" else ProverEnded(_BROKEN)

    def losses(self, rows: Sequence[array[int]]) -> array[float]:
        """Return the nats of every target, row by row; they are claims.

        Args:
            rows: Tokens, uint16: T inputs and the target of the last one, all of one length.

        Raises:
            ProverEnded: There is no answer.
        """
        length = len(rows[0])
        self._ask({"do": "losses", "rows": len(rows), "length": length}, rows)
        return self._floats(len(rows) * (length - 1))

    def logits(self, rows: Sequence[array[int]], positions: Sequence[int]) -> list[array[float]]:
        """Return, of each row, the logits at its position; they are claims.

        Args:
            rows: Input tokens, uint16, all of one length.
            positions: One for each row, from 0.

        Raises:
            ProverEnded: There is no answer.
        """
        asked = {"do": "logits", "rows": len(rows), "length": len(rows[0])}
        self._ask({**asked, "positions": list(positions)}, rows)
        return [self._floats(self._vocabulary, first=at == 0) for at in range(len(rows))]

    def _ask(self, request: dict[str, object], rows: Sequence[array[int]]) -> None:
        payload = b"".join(row.tobytes() for row in rows)
        self._send(json.dumps(request).encode() + b"\n" + payload)

    def _floats(self, count: int, *, first: bool = True) -> array[float]:
        if first:
            self.expect("ok")
        found = array("f")
        found.frombytes(self._exactly(4 * count))
        return found

    def _line(self) -> str:
        while b"\n" not in self._buffered and len(self._buffered) <= _LONGEST_LINE:
            self._receive()
        line, _, rest = self._buffered.partition(b"\n")
        if len(line) > _LONGEST_LINE:
            raise ProverEnded(_BROKEN)
        self._buffered = rest
        return line.decode(errors="replace")

    def _exactly(self, size: int) -> bytes:
        while len(self._buffered) < size:
            self._receive()
        found = bytes(self._buffered[:size])
        del self._buffered[:size]
        return found

    def _receive(self) -> None:
        self._check()  # before each piece: a prover may send one byte at a time
        try:
            got = self._socket.recv(_CHUNK)
        except TimeoutError:
            return
        except OSError:
            got = b""
        if not got:
            raise ProverEnded("its prover ended")
        self._buffered += got

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._check()
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError:
                continue
            except OSError as error:
                raise ProverEnded("its prover ended") from error

    def _check(self) -> None:
        if reason := self._give_up():
            raise ProverEnded(reason)
        if time.monotonic() > self._deadline:
            raise ProverEnded("it took too long")
