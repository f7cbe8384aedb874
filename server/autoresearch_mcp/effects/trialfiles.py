"""The files of a trial beside the ledger: the log of each run, and its process's own output."""

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

    def last_line(self, path: Path) -> str:
        """Return a log's last line in brackets, ready to end a sentence; empty without one."""
        line = logtext.tail(self.read(path, _LAST_LINE_BYTES), _LAST_LINE_BYTES, 1)
        return f" ({line.splitlines()[-1]})" if line else ""

    def _in(self, trial: int) -> Path:
        folder = self._folder / str(trial)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
