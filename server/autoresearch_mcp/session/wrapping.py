"""A harness made to hand its models over: which files change, and what it still lacks."""

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.prologue import (
    RUN_FILE_VARIABLE,
    Target,
    handing_over,
    telling_first_batch,
)
from autoresearch_mcp.core.trial import Outcome, TrustLevel
from autoresearch_mcp.effects import prepared
from autoresearch_mcp.effects.prepared import PreparedData
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.recipe import HARNESS_ENTRY
from autoresearch_mcp.session.rooms import Rooms

GUIDE = "docs/evaluation.md, A harness of your own"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A file of the harness with lines in it that its owner is to commit.

    Args:
        path: Relative to the repository.
        committed: As HEAD has it.
        content: With the lines; the same where it has them already.
    """

    path: str
    committed: bytes
    content: bytes

    @property
    def changed(self) -> bool:
        """Tell whether there is anything to write."""
        return self.content != self.committed

    @property
    def diff(self) -> str:
        """Return the lines as a person reads them."""
        before, after = (
            text.decode(errors="replace").splitlines(keepends=True)
            for text in (self.committed, self.content)
        )
        return "".join(unified_diff(before, after, f"a/{self.path}", f"b/{self.path}"))


def wrap(rooms: Rooms, evaluate: Target | None, batches: Target | None) -> tuple[Wrapped, ...]:
    """Put lines into the functions of the harness that are named; write nothing.

    Args:
        rooms: The repository's rooms.
        evaluate: What evaluates a model.
        batches: What gives the batches of training.

    Raises:
        Fault: A file is not committed as it is, or its function takes no lines.
    """
    found: dict[str, Wrapped] = {}
    for target, lines in ((evaluate, handing_over), (batches, telling_first_batch)):
        if target is not None:
            before = found.get(target.path) or _committed(rooms, target.path)
            content = lines(before.content, target)
            found[target.path] = Wrapped(target.path, before.committed, content)
    for file in found.values():
        check(rooms, file)
    return tuple(found.values())


def check(rooms: Rooms, file: Wrapped) -> None:
    """Return if the working tree has the file as it was committed, or with its lines.

    Raises:
        Fault: It is neither.
    """
    present = rooms.workspace.digest(file.path)
    if present in {_sha256(file.committed), _sha256(file.content)}:
        return
    unix = file.committed.replace(b"\r\n", b"\n")
    if present in {_sha256(unix), _sha256(unix.replace(b"\n", b"\r\n"))}:
        # Removed first, because git writes no file anew that it thinks is clean.
        raise Fault(
            f"git converts the line ends of {file.path} here, or somebody did: they are not those "
            f"that HEAD has. Put `{file.path} -text` into .gitattributes, run "
            f"`rm {shlex.quote(file.path)} && git checkout -- {shlex.quote(file.path)}` "
            f"in {rooms.repository.root}, and try again"
        )
    raise Fault(
        f"{file.path} in the working tree is not what HEAD has, and is left as it is: "
        "commit your change or undo it first"
    )


def write(rooms: Rooms, file: Wrapped) -> None:
    """Write a file with its lines into the working tree.

    Raises:
        Fault: Somebody changed it meanwhile.
    """
    rooms.workspace.write(file.path, file.content, expected=_sha256(file.committed))


def data_of_the_committed(rooms: Rooms) -> PreparedData | None:
    """Return the data that HEAD's prepare.py made: lines in it do not change what it makes."""
    entry = rooms.repository.read(rooms.repository.head().commit, HARNESS_ENTRY)
    return prepared.find(_sha256(entry), prepared.cache_folder()) if entry else None


def lacking(guard: Guard, outcome: Outcome) -> Iterator[str]:
    """Yield what a wrapped harness lacks for the server to compute its number."""
    data = guard.bench.data
    if guard.seals and outcome.evaluation is None and not guard.bench.recipe.needs_data:
        yield (
            f"its settings (step 2 of {GUIDE}): a run finds its data where `data` in the file that "
            f"{RUN_FILE_VARIABLE} names says, and nowhere else"
        )
    elif outcome.evaluation is None:
        if data is None:
            yield (
                f"prepared data (step 1 of {GUIDE}): no data set that this {HARNESS_ENTRY} made "
                f"lies under {prepared.cache_folder()}"
            )
        elif data.manifest.evaluation is None:
            yield (
                f"rows to evaluate on (step 1 of {GUIDE}): {data.folder}/manifest.json has no "
                "`evaluation`"
            )
    if outcome.trust.level is TrustLevel.PRINTED:
        yield from map(_with_remedy, outcome.trust.missing)


def _with_remedy(missing: str) -> str:
    clock = missing.startswith("the training clock")
    return f"{missing} (--batches FILE:FUNCTION lets it tell)" if clock else missing


def _committed(rooms: Rooms, path: str) -> Wrapped:
    if path.startswith(("../", "/")) or path == "..":
        raise Fault(f"{path} is outside the repository: name a tracked file by its path in it")
    listed = rooms.repository.tree(rooms.repository.head().commit, path)
    entry = next((entry for entry in listed if entry.path == path), None)
    if entry is None:
        raise Fault(f"{path} is not committed: name a tracked file")
    if entry.is_link:
        raise Fault(f"{path} is a symbolic link: name the file that it leads to")
    content = rooms.repository.content(entry)
    return Wrapped(path, content, content)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
