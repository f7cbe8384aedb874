"""The user's working tree: single files read and replaced, nothing else looked at.

The tree is shared with an agent's own editor, so no name in it is trusted. Every folder on the way
is opened by itself, without following links, and what was opened is what is checked and read.
"""

import errno
import hashlib
import os
import re
import secrets
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from autoresearch_mcp.core.errors import Fault, Refusal

if sys.platform == "darwin":
    import fcntl

FILE_LIMIT = 1 << 20
"""Bytes; the largest file that is read whole unless the caller says otherwise."""

_CHUNK = 1 << 16
_TEMPORARY = re.compile(r"\.autoresearch-[0-9a-f]{32}\.tmp")
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Non-blocking, because a FIFO would otherwise wait for a writer that never comes.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Conflict(Fault):
    """Raised when a file holds content that nobody here wrote, and a person must say what counts.

    Args:
        path: The file, relative to the repository. Nothing was written to it.
    """

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} was changed by someone else in the meantime and was left as it is; "
            "keep a copy of the change, or undo it, and try again"
        )
        self.path = path


class Workspace:
    """Read and replace single files below one folder, which must not be a link itself."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str, *, limit: int = FILE_LIMIT) -> bytes:
        """Read a file whole.

        Args:
            path: Relative to the root, parts separated by `/`.
            limit: The largest size in bytes that is accepted.

        Raises:
            Refusal: `surface.path` for a name that leaves the folder, `surface.missing` for no
                such file, `surface.file` for anything but one plain file below the limit.
            Fault: The disk or the file's permissions do not let it be read.
        """
        with self._parent(path) as (folder, name), _opened(folder, name, path) as file:
            content = bytearray()
            while chunk := os.read(file, _CHUNK):
                content += chunk
                if len(content) > limit:
                    raise Refusal(
                        "surface.file", f"{path} is larger than {limit} bytes; shorten it"
                    )
            return bytes(content)

    def digest(self, path: str) -> str | None:
        """Compute the sha256 of a file of any size; None where there is no such file.

        Raises:
            Refusal: As `read`, `surface.missing` excepted.
            Fault: As `read`.
        """
        try:
            with self._parent(path) as (folder, name):
                return _digest(folder, name, path)
        except Refusal as refusal:
            if refusal.code == "surface.missing":
                return None
            raise

    def write(
        self, path: str, data: bytes, *, expected: str | None, make_folders: bool = False
    ) -> None:
        """Replace a file at once and durably, if its content is still what it is thought to be.

        A file that holds the new content already is left as it is, so that doing it again after
        a crash is harmless. Its mode is kept.

        Args:
            path: Relative to the root, parts separated by `/`.
            data: The whole new content.
            expected: sha256 of the content it must have now; None where it must not exist.
            make_folders: Make the folders on the way that are missing.

        Raises:
            Conflict: It has other content. Nothing was changed.
            Refusal: As `read`. Nothing was changed.
            Fault: The disk is full, or not writable.
        """
        with self._parent(path, make_folders=make_folders) as (folder, name):
            if _digest_or_none(folder, name, path) == hashlib.sha256(data).hexdigest():
                _flush(folder)
                return
            temporary = f".autoresearch-{secrets.token_hex(16)}.tmp"
            try:
                _write_new(folder, temporary, data, _mode(folder, name))
                # As late as can be: what somebody saves after this line would be lost.
                if _digest_or_none(folder, name, path) != expected:
                    raise Conflict(path)
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
            _flush(folder)

    def sweep(self, path: str) -> int:
        """Remove what a write that was killed left beside a file, and count it.

        Only for a caller that holds the recipe's lock: a write under way looks the same.
        """
        with self._parent(path) as (folder, _):
            with os.scandir(folder) as entries:
                leavings = [e.name for e in entries if _TEMPORARY.fullmatch(e.name)]
            for name in leavings:
                os.unlink(name, dir_fd=folder)
            return len(leavings)

    @contextmanager
    def _parent(self, path: str, *, make_folders: bool = False) -> Generator[tuple[int, str]]:
        """Open the folder a file is in, part by part, and give it with the file's own name."""
        *folders, name = _parts(path)
        opened: list[int] = []
        try:
            opened.append(os.open(self.root, _FOLDER_FLAGS))
            for part in folders:
                if make_folders:
                    _make_folder(opened[-1], part)
                opened.append(_open_folder(opened[-1], part, path))
            yield opened[-1], name
        except OSError as error:
            raise Fault(f"cannot use {path} in {self.root}: {error.strerror}; {_ADVICE}") from error
        finally:
            for descriptor in reversed(opened):
                os.close(descriptor)


_ADVICE = "check its permissions and the free space on the disk, and try again"


def _missing(path: str) -> Refusal:
    return Refusal(
        "surface.missing",
        f"{path} does not exist in the working tree; create it, or have git write it: "
        f"`git restore {path}`, and where the checkout is sparse, `git sparse-checkout disable`",
    )


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    odd = any(part in ("", ".", "..") or part.lower() == ".git" for part in parts)
    if odd or "\0" in path:
        raise Refusal("surface.path", f"{path!r} does not name a file of the recipe; use its name")
    return parts


def _open_folder(parent: int, name: str, path: str) -> int:
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=parent)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        text = f"{name!r} on the way to {path} is not a plain folder; replace it with one"
        raise Refusal("surface.file", text) from error


def _make_folder(parent: int, name: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
        _flush(parent)


@contextmanager
def _opened(folder: int, name: str, path: str) -> Generator[int]:
    """Open a plain file for reading, or say what stands in its place."""
    try:
        # Looked at before it is opened, because opening some devices does something.
        _refuse_special(os.stat(name, dir_fd=folder, follow_symlinks=False), path)
        file = os.open(name, _FILE_FLAGS, dir_fd=folder)
    except FileNotFoundError as error:
        raise _missing(path) from error
    try:
        _refuse_special(os.fstat(file), path)
        yield file
    finally:
        os.close(file)


def _refuse_special(facts: os.stat_result, path: str) -> None:
    for is_kind, kind in _KINDS:
        if is_kind(facts.st_mode):
            raise Refusal("surface.file", f"{path} is {kind}; replace it with a plain file")
    if facts.st_nlink != 1:
        # Its other name may be a file that must not change, and writing here would break them up.
        text = f"{path} is a hard link to another file; replace it with a copy of its own"
        raise Refusal("surface.file", text)


def _digest(folder: int, name: str, path: str) -> str:
    digest = hashlib.sha256()
    with _opened(folder, name, path) as file:
        while chunk := os.read(file, _CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _digest_or_none(folder: int, name: str, path: str) -> str | None:
    try:
        return _digest(folder, name, path)
    except Refusal as refusal:
        if refusal.code == "surface.missing":
            return None
        raise


def _mode(folder: int, name: str) -> int | None:
    try:
        return stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None


def _write_new(folder: int, name: str, data: bytes, mode: int | None) -> None:
    file = os.open(name, _NEW_FLAGS, 0o666, dir_fd=folder)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        if mode is not None:
            os.fchmod(file, mode)
        _flush(file)
    finally:
        os.close(file)


def _flush(file: int) -> None:
    """Wait until the disk has it; on macOS a plain fsync leaves it in the drive's cache."""
    if sys.platform == "darwin":
        with suppress(OSError):  # not every file system knows it
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)
            return
    os.fsync(file)
