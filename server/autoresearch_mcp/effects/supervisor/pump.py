"""Output into a log with a cap, without ever blocking whoever writes it."""

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

    def run(self) -> None:
        """Copy until nobody holds the pipe's writing end."""
        room = LOG_CAP_BYTES
        while chunk := os.read(self._source.fileno(), _CHUNK):
            kept = chunk[:room]
            try:
                self._log.write(kept)
            except OSError:  # a full disk must not stop the run: its log ends here
                room, kept = 0, b""
            room -= len(kept)
            self.dropped += len(chunk) - len(kept)
