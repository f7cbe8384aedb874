"""Connections to a ledger, and what a person is told when there is none to be had."""

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.ledger import schema
from autoresearch_mcp.effects.ledger.changed import Changed
from autoresearch_mcp.effects.ledger.checking import replay

_PATIENCE_SECONDS = 30
_SECOND_LOOK_SECONDS = 0.05
_CACHE_KIB = 256
_KEEP = "nothing that was recorded is lost"
_DAMAGED = (
    "keep the file; `autoresearch-mcp ledger rebuild` mends it where its events can still be read, "
    "else put a copy from before back"
)
_REMEDIES = (
    ("SQLITE_FULL", f"free some disk space and try again; {_KEEP}"),
    ("SQLITE_READONLY", f"make its folder writable for this user and try again; {_KEEP}"),
    ("SQLITE_PERM", f"make its folder writable for this user and try again; {_KEEP}"),
    ("SQLITE_CANTOPEN", "make its folder readable and writable for this user, and try again"),
    ("SQLITE_BUSY", f"another process holds it: `fuser FILE` names it; {_KEEP}"),
    ("SQLITE_IOERR", "free some disk space, or look at the disk's health, and try again"),
    ("SQLITE_NOTADB", "it is no ledger: put a copy from before back, or move it away"),
    ("SQLITE_CORRUPT", _DAMAGED),
)
"""Start of SQLite's name for an error, and what a person can do about it."""


@contextmanager
def connected(path: Path, *, anew: bool = False) -> Generator[sqlite3.Connection]:
    """Open a ledger of any version up to this one, creating it where there is none.

    Args:
        path: Its file.
        anew: Whether an older version's projections may differ from what its events add up to.

    Raises:
        Fault: It cannot be used, with the way out.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_files(path)
        db = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)
        try:
            _prepare(db, path, anew)
            yield db
        finally:
            db.close()
    except Changed as changed:
        raise changed.of(path) from changed
    except sqlite3.Error as error:
        raise _fault(path, error) from error
    except OSError as error:
        raise Fault(f"the ledger {path} cannot be used: {error.strerror or error}") from error


def check_pages(db: sqlite3.Connection, path: Path) -> None:
    """Let SQLite read every page of a ledger's file, and its indexes against its tables.

    Raises:
        Fault: Something in it is damaged.
    """
    (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise Fault(f"the ledger {path} is damaged: {found.splitlines()[-1]}; {_DAMAGED}")


def _check_files(path: Path) -> None:
    """Return if the files are what SQLite leaves, whatever it was doing when it was killed."""
    if path.is_dir():
        raise Fault(f"the ledger {path} is a folder: move it away, or put the ledger's file back")
    if _lost_its_log(path):
        # Never a race: a second look sees whether somebody was closing or opening it just then.
        time.sleep(_SECOND_LOOK_SECONDS)
        if _lost_its_log(path):
            raise Fault(
                f"{path}-wal is gone while {path}-shm is there: SQLite never leaves that, so "
                "somebody removed the newest events. Put the -wal file back; if it is lost for "
                f"good, remove {path}-shm to go on with the events that are left"
            )


def _lost_its_log(path: Path) -> bool:
    """Tell whether the write-ahead log was missing while its index was there.

    SQLite makes the log before its index and removes it after.
    """
    log, index = Path(f"{path}-wal"), Path(f"{path}-shm")
    with suppress(FileNotFoundError):
        before = index.stat()
        missing = not log.exists()
        after = index.stat()
        return missing and (before.st_ino, before.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)
    return False


def _prepare(db: sqlite3.Connection, path: Path, anew: bool) -> None:
    # FULL, and fullfsync for macOS, where a plain fsync leaves data in the drive's cache:
    # an acknowledged trial survives a power cut.
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA fullfsync = 1")
    db.execute("PRAGMA checkpoint_fullfsync = 1")
    # Every call has a connection of its own, which seldom reads a page twice, and an allocator
    # keeps for each thread the most that it ever took.
    db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    version = schema.version_of(db)
    if version == schema.VERSION:
        return
    if version > schema.VERSION:
        raise Fault(
            f"the ledger {path} has schema version {version}, this server knows "
            f"{schema.VERSION}: install the version of autoresearch-mcp that wrote it"
        )
    if version == 0:
        db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    version = schema.version_of(db)  # another process may have been quicker
    if version == 0:
        schema.create(db)
    elif version != schema.VERSION:
        schema.migrate(db, lambda db: replay(db, db, 0), anew=anew)
    db.execute("COMMIT")


def _fault(path: Path, error: sqlite3.Error) -> Fault:
    name = getattr(error, "sqlite_errorname", "")
    remedy = next((text for start, text in _REMEDIES if name.startswith(start)), None)
    if remedy is None:
        remedy = "`autoresearch-mcp ledger verify` says more"
    return Fault(f"the ledger {path} cannot be used: {error}; {remedy.replace('FILE', str(path))}")
