"""A settings file of another program: replaced whole, with a copy of what it was beside it."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

_BACKUP = ".before-autoresearch"


class UserFile:
    """One file; a link is followed, so that a person's links between such files stay.

    Args:
        path: Where it is, or would be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._real = path.resolve()
        self.backup = self._real.with_name(self._real.name + _BACKUP)

    def read(self) -> bytes | None:
        """Return the content, None where there is no file."""
        return _read(self._real)

    def saved(self) -> bytes | None:
        """Return the copy, None where there is none."""
        return _read(self.backup)

    def save(self, content: bytes) -> None:
        """Keep a copy of what the file was."""
        _write(self.backup, content, _mode(self._real))

    def forget(self) -> None:
        """Remove the copy."""
        self.backup.unlink(missing_ok=True)

    def write(self, content: bytes) -> None:
        """Replace the file, or make it; readers see the old content or the new, never a part."""
        self._real.parent.mkdir(parents=True, exist_ok=True)
        _write(self._real, content, _mode(self._real))

    def remove(self) -> None:
        """Remove the file."""
        self._real.unlink(missing_ok=True)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return 0o600  # settings may hold secrets of other servers


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
