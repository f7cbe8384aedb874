"""What the harness inside a run tells its supervisor, timed as it arrives.

One line per event arrives on an inherited socket: `launched` from the launcher, before any
code of the candidate's; from the harness `batch` when the first training batch is drawn and
`handover` when evaluation begins. Code in the run can write these too, early or late; what
that could gain is bounded by the clock that needs no event.

After `handover` the model itself may follow, in frames (the protocol is told in
`effects/sealing/__init__.py`). It is stored and hashed, never loaded; the first one counts.
"""

import contextlib
import hashlib
import io
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_EVENTS = frozenset({"launched", "batch", "handover"})
_LONGEST = 4096
_LARGEST_FRAME = 1 << 20
_TAKEN_BACK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Store:
    """Where a model goes that a run hands over.

    Args:
        path: The file to write.
        cap: Bytes that it may have.
    """

    path: Path
    cap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """What became of a hand-over.

    Args:
        sha256: Hash of the model's bytes; None where there is no whole model.
        size: Bytes that arrived.
        problem: Why there is none, partly in the run's own words.
        ours: Whether that is no fault of the run's.
    """

    sha256: str | None = None
    size: int = 0
    problem: str | None = None
    ours: bool = False


class Channel:
    """A socket pair: the run inherits one end, a thread reads the other.

    Args:
        store: Where a model goes; None where the run is to evaluate it itself.
    """

    def __init__(self, store: Store | None = None) -> None:
        self._mine, self._theirs = socket.socketpair()
        self._reader = threading.Thread(target=self._read, name="run events", daemon=True)
        self._times: dict[str, float] = {}
        self._store = store
        self._handed_over: HandedOver | None = None

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close_child_end()
        with contextlib.suppress(OSError):  # macOS: ENOTCONN once the run has closed its end
            self._mine.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._mine.close()

    @property
    def child_end(self) -> int:
        """Return the descriptor that the run inherits."""
        return self._theirs.fileno()

    @property
    def handed_over(self) -> HandedOver | None:
        """Return the first hand-over, None before it is complete."""
        return self._handed_over

    def close_child_end(self) -> None:
        """Close our copy of the run's end, so that its death shows as the end of the stream."""
        self._theirs.close()

    def at(self, event: str) -> float | None:
        """Return when an event first arrived, on the monotonic clock, in seconds.

        A model's last byte is the hand-over, whatever was told before: nothing that is done
        after it can change what is evaluated.
        """
        return self._times.get(event)

    def answer(self, said: Mapping[str, object]) -> None:
        """Tell the run what came of its model; do nothing where it is gone."""
        with contextlib.suppress(OSError):
            self._mine.sendall(json.dumps(said).encode() + b"\n")

    def _read(self) -> None:
        whole = True
        with self._mine.makefile("rb") as stream:
            while line := self._line(stream):
                begun, whole = whole, line.endswith(b"\n")
                if begun and whole:
                    self._take(line[:-1].decode(errors="replace"), stream)

    def _take(self, said: str, stream: io.BufferedReader) -> None:
        word, _, reason = said.partition(" ")
        if said in _EVENTS:
            self._times.setdefault(said, time.monotonic())
        elif said == "model" and self._store is not None:
            self._receive(stream, self._store)
        elif word == "unfit" and self._handed_over is None:
            self._handed_over = HandedOver(problem=reason)

    def _receive(self, stream: io.BufferedReader, store: Store) -> None:
        """Store the first model and note when it was there; drop any other."""
        if self._handed_over is not None:
            return
        try:
            found = self._stored(stream, store)
        except OSError as error:
            problem = f"{store.path} could not be written: {error.strerror or error}"
            found = HandedOver(problem=problem, ours=True)
        if found is not None:
            self._times["handover"] = time.monotonic()
            self._handed_over = found

    @staticmethod
    def _stored(stream: io.BufferedReader, store: Store) -> HandedOver | None:
        """Store a model; return None where the run took it back and will say why."""
        digest, size = hashlib.sha256(), 0
        with store.path.open("wb") as file:
            while True:
                head = stream.read(4)
                length = int.from_bytes(head, "big")
                if len(head) < 4 or _LARGEST_FRAME < length < _TAKEN_BACK:
                    return HandedOver(size=size, problem="what arrived is no model, or only a part")
                if length == _TAKEN_BACK:
                    return None
                if length == 0:
                    return HandedOver(sha256=digest.hexdigest(), size=size)
                frame = stream.read(length)
                size += len(frame)
                if size > store.cap:
                    most = f"{store.cap / 2**30:g} GiB"
                    return HandedOver(size=size, problem=f"it is larger than {most}")
                digest.update(frame)
                file.write(frame)

    def _line(self, stream: io.BufferedReader) -> bytes:
        try:
            return stream.readline(_LONGEST)
        except OSError:  # the run was killed in the middle of a line
            return b""
