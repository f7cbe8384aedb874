"""The recipe as committed: its contract, its surface and its harness."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from autoresearch_mcp.core.anchoring import anchored, prefix_of
from autoresearch_mcp.core.command import Command, parse_command
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.paths import matches
from autoresearch_mcp.core.prologue import RUN_FILE_VARIABLE, needs_settings
from autoresearch_mcp.core.protocol import parse_protocol
from autoresearch_mcp.core.protocol_schema import Protocol
from autoresearch_mcp.core.surface import Surface, covering
from autoresearch_mcp.effects.repository import Repository
from autoresearch_mcp.session.rooms import Rooms

PROTOCOL_FILE = "protocol.json"
HARNESS_ENTRY = "prepare.py"
"""The harness file whose hash a prepared data set names."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a commit says about the research: nothing here is read from the working tree.

    Args:
        commit: The commit.
        protocol: Its protocol.json.
        protocol_sha256: Hash of that file.
        surface: Which files may change.
        command: The one command that a run executes.
        files: The tracked files of the surface.
        harness: Path -> sha256 of every harness file.
        reads_run_file: Whether the harness knows the server: prepared data is looked for.
        needs_data: Whether it takes its settings from there, and does not run without that data.
    """

    commit: str
    protocol: Protocol
    protocol_sha256: str
    surface: Surface
    command: Command
    files: tuple[str, ...]
    harness: dict[str, str]
    reads_run_file: bool
    needs_data: bool

    @classmethod
    def at(cls, repository: Repository, commit: str) -> "Recipe":
        """Read the recipe that a commit holds.

        Raises:
            Fault: protocol.json is not committed or not valid, or its surface or harness
                names no tracked file.
        """
        entries = {entry.path: entry for entry in repository.tree(commit)}
        if PROTOCOL_FILE not in entries:
            raise Fault(
                f"{PROTOCOL_FILE} is not committed at the top of {repository.root}: "
                "write one, commit it, and try again"
            )
        text = repository.content(entries[PROTOCOL_FILE])
        protocol = anchored(parse_protocol(text.decode(errors="replace")))
        surface = Surface.of(protocol)
        tracked = [*entries]
        files = surface.files(tracked)
        if not files:
            globs = ", ".join(protocol.mutable_surface.allowed_globs)
            raise Fault(f"no tracked file matches the surface ({globs}): commit the recipe first")
        for path in protocol.immutable_harness.paths:
            if not any(matches(glob, name) for glob in covering([path]) for name in tracked):
                raise Fault(f"immutableHarness.paths names {path!r}, but no tracked file is that")
        contents = {path: repository.content(entries[path]) for path in surface.harness(tracked)}
        folder = protocol.execution.cwd.rstrip("/")
        if folder != "." and not any(path.startswith(f"{folder}/") for path in tracked):
            raise Fault(f"execution.cwd is {folder!r}, but no tracked file is in that folder")
        return cls(
            commit=commit,
            protocol=protocol,
            protocol_sha256=hashlib.sha256(text).hexdigest(),
            surface=surface,
            command=parse_command(protocol.execution.command),
            files=files,
            harness={path: hashlib.sha256(c).hexdigest() for path, c in contents.items()},
            reads_run_file=any(RUN_FILE_VARIABLE.encode() in c for c in contents.values()),
            needs_data=any(map(needs_settings, contents.values())),
        )

    @property
    def folder(self) -> str:
        """Return the recipe's folder with a slash behind it, empty for the repository's top."""
        return prefix_of(self.protocol)

    @property
    def harness_entry(self) -> str:
        """Return the harness file whose hash a prepared data set names."""
        return f"{self.folder}{HARNESS_ENTRY}"

    @property
    def log_path(self) -> str:
        """Return the results log's path."""
        return self.protocol.provenance.results_log.path


def recipe_of(rooms: Rooms, research: str) -> Recipe:
    """Return the recipe under the rules of a research run: as committed when it began."""
    return recipe_at(rooms.repository, rooms.ledger.started(research).base)


@lru_cache(maxsize=8)
def recipe_at(repository: Repository, commit: str) -> Recipe:
    """Return the recipe of a commit; a commit never changes, so it is read once."""
    return Recipe.at(repository, commit)


@lru_cache(maxsize=64)
def committed(repository: Repository, commit: str, path: str) -> bytes | None:
    """Return a small file of a commit, None where it has none; read once, as `recipe_at` does."""
    return repository.read(commit, path)
