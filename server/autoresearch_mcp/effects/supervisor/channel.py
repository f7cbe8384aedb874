"""What the harness inside a run tells its supervisor, timed as it arrives.

One line per event arrives on an inherited socket: `launched` from the launcher, before any
code of the candidate's; from the harness `batch` when the first training batch is drawn and
`handover` when evaluation begins. Code in the run can write these too, early or late; what
that could gain is bounded by the clock that needs no event.
"""

import socket
import threading
import time
from types import TracebackType
from typing import Self

_EVENTS = frozenset({"launched", "batch", "handover"})
_LONGEST = 4096


class Channel:
    """A socket pair: the run inherits one end, a thread reads the other."""

    def __init__(self) -> None:
        self._mine, self._theirs = socket.socketpair()
        self._reader = threading.Thread(target=self._read, name="run events", daemon=True)
        self._times: dict[str, float] = {}

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
        self._mine.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._mine.close()

    @property
    def child_end(self) -> int:
        """Return the descriptor that the run inherits."""
        return self._theirs.fileno()

    def close_child_end(self) -> None:
        """Close our copy of the run's end, so that its death shows as the end of the stream."""
        self._theirs.close()

    def at(self, event: str) -> float | None:
        """Return when an event first arrived, on the monotonic clock, in seconds."""
        return self._times.get(event)

    def _read(self) -> None:
        buffered = b""
        while received := self._receive():
            now = time.monotonic()
            *lines, buffered = (buffered + received).split(b"\n")
            buffered = buffered[:_LONGEST]
            for line in lines:
                name = line.decode(errors="replace")
                if name in _EVENTS:
                    self._times.setdefault(name, now)

    def _receive(self) -> bytes:
        try:
            return self._mine.recv(_LONGEST)
        except OSError:  # the run was killed in the middle of a line
            return b""
