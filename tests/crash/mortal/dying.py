"""Let this process die just before one of its changes of the world, as Python itself tells them.

Python raises an audit event before it opens a file for writing, renames, removes, starts a process
or sends a signal, and SQLite shows every statement to a trace before it runs. So the list of crash
points is made by the running code: a new step is on it without anybody's doing. Dying before a
change is dying after the one before it.

Nothing of the project knows of this. A process of its own takes part where this folder is on its
PYTHONPATH (see sitecustomize.py) and the variable says which change it dies at.
"""

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIABLE = "MORTAL"
"""`N:FILE`: die at the N-th change, and note every change in the file."""

_SIMPLE = {
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink"),
    *("os.truncate", "os.kill", "os.killpg"),
}
_LOCKS = {"lock", "lease"}
"""Lock files are opened for writing, and never written."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_READING_GIT = {
    *("cat-file", "config", "for-each-ref", "ls-files", "ls-tree", "rev-parse", "version"),
    *("show-ref", "worktree", "--version"),
}
_DIED = ".died"
_PRIVATE = {"", ":memory:"}
"""Databases that no other process sees, and that are gone with their process."""
_READING_SQL = {"SELECT", "PRAGMA", "BEGIN", "--"}


def from_environment() -> None:
    """Take part if the environment says so."""
    number, _, record = os.environ.get(VARIABLE, "").partition(":")
    if number:
        die_at(int(number), Path(record))


def die_at(number: int, record: Path) -> None:
    """Die at the n-th change from here on, unless a process of the same record has died already."""
    seen = 0
    notes = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def pass_by(change: str) -> None:
        nonlocal seen
        seen += 1
        os.write(notes, f"{change}\n".encode(errors="replace"))
        if seen == number and _is_first(record):
            # Not os.kill, which would be told of in its turn.
            signal.pthread_kill(threading.get_ident(), signal.SIGKILL)

    def traced(db: sqlite3.Connection) -> Callable[[str], None]:
        def trace(statement: str) -> None:
            words = statement.upper().split()
            # What a transaction does is no change before its end.
            if words[0] == "COMMIT" or not (db.in_transaction or words[0] in _READING_SQL):
                pass_by(f"sql {words[0]}")

        return trace

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if change := _change(event, arguments):
            pass_by(change)

    open_database = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        db = open_database(*arguments, **options)
        if arguments[0] in _PRIVATE:
            return db
        db.set_trace_callback(traced(db))
        return db

    sqlite3.connect = connect
    sys.addaudithook(audit)


def _is_first(record: Path) -> bool:
    try:
        os.close(os.open(died(record), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def died(record: Path) -> Path:
    """Return the file that is there once a process of this record has died."""
    return record.with_suffix(_DIED)


def _change(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Name the change that an audit event announces; None where it announces none."""
    if event in _SIMPLE:
        if event == "os.mkdir" and arguments[2] == -1 and Path(arguments[0]).is_dir():
            return None
        return f"{event} {_name(arguments[0])}"
    if event == "open":
        path, _, flags = arguments
        writes = isinstance(flags, int) and flags & _WRITES
        name = _name(path)
        is_file = isinstance(path, str | bytes | Path) and path != os.devnull
        ours = name in _LOCKS or name.endswith(_DIED)
        return f"open {name}" if writes and is_file and not ours else None
    if event == "subprocess.Popen":
        return _command(arguments)
    return None


def _command(arguments: tuple[Any, ...]) -> str | None:
    words = [os.fsdecode(word) for word in arguments[1]]
    if "git" not in {Path(word).name for word in words}:
        return f"start {Path(words[0]).name} {' '.join(words[1:4])[:60]}"
    rest = words[next(n for n, word in enumerate(words) if Path(word).name == "git") + 1 :]
    while rest and rest[0] in {"-C", "-c"}:
        rest = rest[2:]
    reads = rest[0] in _READING_GIT or rest[:2] == ["symbolic-ref", "--quiet"]
    return None if reads else f"git {rest[0]}"


def _name(path: object) -> str:
    return Path(os.fsdecode(path) if isinstance(path, bytes) else str(path)).name
