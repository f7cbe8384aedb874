"""A commit's tree: listed, and written out as files with nothing run on the way."""

import hashlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from subprocess import Popen

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.repository.plumbing import Plumbing

_LINK = "120000"
_MODES = {"100644": 0o644, "100664": 0o644, "100755": 0o755}
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One tracked path of a commit."""

    mode: str
    """`100644`, `100755` (executable), `120000` (symbolic link) or `160000` (submodule)."""
    oid: str
    path: str

    @property
    def is_link(self) -> bool:
        """Tell whether it is a symbolic link."""
        return self.mode == _LINK


@lru_cache(maxsize=8)
def list_tree(git: Plumbing, commit: str, *paths: str) -> tuple[Entry, ...]:
    """List the files of a commit, all of them or those at some paths.

    What an object's id stands for never changes, so an answer is remembered for the next call.
    """
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
    return tuple(_parse(record) for record in os.fsdecode(listed).split("\0") if record)


def write_tree(git: Plumbing, entries: Collection[Entry], into: Path) -> dict[str, str]:
    """Write blobs as files below a new folder; `Repository.materialise` says how."""
    files = [entry for entry in entries if entry.mode in _MODES]
    links = [entry for entry in entries if entry.mode == _LINK]
    try:
        into.mkdir(mode=0o700, parents=True)
        for path in (entry.path for entry in (*files, *links)):
            _refuse_unsafe(path)
            (into / path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with git.conversation("cat-file", "--batch") as batch:
            digests = {entry.path: _write_file(batch, entry, into) for entry in files}
            # Last, so that no folder on the way to a file can be a link.
            digests |= {entry.path: _write_link(batch, entry, into) for entry in links}
        for path in list(_escaping(into, links)):
            (into / path).unlink()
            del digests[path]
    except OSError as error:
        raise Fault(f"cannot write {error.filename or into}: {error.strerror}") from error
    return digests


def _parse(record: str) -> Entry:
    facts, _, path = record.partition("\t")
    mode, _, oid = facts.split()
    return Entry(mode, oid, path)


def _write_file(batch: "Popen[bytes]", entry: Entry, into: Path) -> str:
    digest = hashlib.sha256()
    # Exclusive, so that two names that this disk takes for one are noticed.
    with (into / entry.path).open("xb") as file:
        for chunk in _blob(batch, entry):
            digest.update(chunk)
            file.write(chunk)
        os.fchmod(file.fileno(), _MODES[entry.mode])
    return digest.hexdigest()


def _write_link(batch: "Popen[bytes]", entry: Entry, into: Path) -> str:
    content = b"".join(_blob(batch, entry))
    (into / entry.path).symlink_to(os.fsdecode(content))
    return hashlib.sha256(content).hexdigest()


def _blob(batch: "Popen[bytes]", entry: Entry) -> Iterator[bytes]:
    """Ask an open `git cat-file --batch` for one object, and yield its bytes."""
    assert batch.stdin is not None
    assert batch.stdout is not None
    batch.stdin.write(entry.oid.encode() + b"\n")
    batch.stdin.flush()
    header = batch.stdout.readline().split()
    if len(header) != 3:
        raise Fault(f"git lacks the content of {entry.path}; run `git fsck` and fetch it again")
    left = int(header[2])
    while left:
        chunk = batch.stdout.read(min(left, _CHUNK))
        if not chunk:
            raise Fault(f"git stopped while reading {entry.path}; run `git fsck`")
        left -= len(chunk)
        yield chunk
    batch.stdout.read(1)  # the line end that closes the object


def _escaping(into: Path, links: Collection[Entry]) -> Iterator[str]:
    """Find the links that lead out, with all of them in place: one may lead through another."""
    top = into.resolve()
    for path in (entry.path for entry in links):
        absolute = (into / path).readlink().is_absolute()
        # Not Path.resolve, which raises at a link that leads to itself.
        if absolute or not Path(os.path.realpath(into / path)).is_relative_to(top):
            yield path


def _refuse_unsafe(path: str) -> None:
    """Refuse names that git itself would never check out; a hand-made tree can hold them."""
    if any(part.lower() in ("", ".", "..", ".git") for part in path.split("/")):
        raise Fault(f"the commit tracks an unsafe name, {path!r}; remove it from the repository")
