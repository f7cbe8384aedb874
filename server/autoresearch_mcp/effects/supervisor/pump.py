"""Output into a log with a cap, its end kept, without ever blocking whoever writes it."""

import os
import threading
from typing import IO

LOG_CAP_BYTES = 64 * 2**20
_CHUNK = 1 << 16


class Pump(threading.Thread):
    """Copies a pipe into a file up to the cap, and reads on to the pipe's end.

    Args:
        source: The pipe's reading end.
        log: The file.
    """

    def __init__(self, source: IO[bytes], log: IO[bytes]) -> None:
        super().__init__(name="log pump", daemon=True)
        self._source = source
        self._log = log
        self.dropped = 0
        """Bytes read beyond the cap."""
        self.problem: OSError | None = None
        """Why a part of the output is not in the file, where the machine is to blame."""

    def run(self) -> None:
        """Copy until nobody holds the pipe's writing end; of the rest, keep the end."""
        room, end = LOG_CAP_BYTES, b""
        while chunk := os.read(self._source.fileno(), _CHUNK):
            kept = chunk[:room]
            self._write(kept)
            room -= len(kept)
            self.dropped += len(chunk) - len(kept)
            end = (end + chunk[len(kept) :])[-_CHUNK:]
        if self.dropped:
            # From a line's start on: half a line could look like a whole one.
            end = end.partition(b"\n")[2] if self.dropped > len(end) else end
            cut = self.dropped - len(end)
            self._write(b"\n[%d bytes of the log are not kept]\n" % cut + end)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:  # a disk that is nearly full takes a part
                left = left[self._log.write(left) :]
        except OSError as error:  # the pipe is read on: whoever writes it is not to blame
            self.problem = error
