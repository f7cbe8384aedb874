"""The files of a trial beside the ledger: the log of each run, and its process's own output."""

import hashlib
from pathlib import Path

from autoresearch_mcp.core import logtext

_LAST_LINE_BYTES = 400


class TrialFiles:
    """Where a recipe's trials keep their logs.

    Args:
        state: The recipe's state folder, `<git common dir>/autoresearch`.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / "trials"

    def run_log(self, trial: int, run: int) -> Path:
        """Return where the output of one run goes; its folder exists afterwards."""
        return self._in(trial) / f"run-{run}.log"

    def model(self, trial: int, run: int) -> Path:
        """Return where the model goes that a run hands over, kept until the verdict."""
        return self._in(trial) / f"run-{run}.model"

    def prover_log(self, trial: int, run: int) -> Path:
        """Return where the output of a run's prover goes: a person's to read, no agent's."""
        return self._in(trial) / f"run-{run}.prover.log"

    def store_losses(self, trial: int, run: int, data: bytes) -> None:
        """Store the per-token losses of a run: little-endian float32, row by row."""
        self._losses(trial, run).write_bytes(data)

    def losses(self, trial: int, run: int) -> bytes:
        """Return the per-token losses of a run; empty where there are none."""
        return self.read(self._losses(trial, run))

    def drop_models(self, trial: int) -> None:
        """Remove the models that a trial's runs handed over."""
        for model in self._in(trial).glob("run-*.model"):
            model.unlink(missing_ok=True)

    def process_log(self, trial: int) -> Path:
        """Return where the trial's own process writes what goes wrong with it."""
        return self._in(trial) / "process.log"

    def read(self, path: Path, last_bytes: int | None = None) -> bytes:
        """Return a log, or its last bytes; empty where there is none."""
        try:
            with path.open("rb") as file:
                if last_bytes is not None:
                    file.seek(max(0, path.stat().st_size - last_bytes))
                return file.read()
        except FileNotFoundError:
            return b""

    def digest(self, path: Path) -> str | None:
        """Return the sha256 of a file; None where there is none."""
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None

    def last_line(self, path: Path) -> str:
        """Return a log's last line in brackets, ready to end a sentence; empty without one."""
        line = logtext.tail(self.read(path, _LAST_LINE_BYTES), _LAST_LINE_BYTES, 1)
        return f" ({line.splitlines()[-1]})" if line else ""

    def _losses(self, trial: int, run: int) -> Path:
        return self._in(trial) / f"run-{run}.losses"

    def _in(self, trial: int) -> Path:
        folder = self._folder / str(trial)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
