"""The surface: which files an edit may touch.

Allowed globs are matched with case. What is read-only is matched without it, because on a file
system that ignores case `PREPARE.py` and `prepare.py` are one file.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.paths import matches, path_problem
from autoresearch_mcp.core.protocol_schema import Protocol

CONTRACT = "protocol.json"
_SHOWN = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """The files under research, as the protocol draws their border.

    Attributes:
        allowed: Globs of what may change.
        forbidden: Globs of what may not, stronger than `allowed`.
        harness_paths: Globs of what defines data and evaluation; a directory is all below it.
        records: Files that only the server writes: the results log, the baseline's log.
    """

    allowed: tuple[str, ...]
    forbidden: tuple[str, ...] = ()
    harness_paths: tuple[str, ...] = ()
    records: tuple[str, ...] = ()

    @classmethod
    def of(cls, protocol: Protocol) -> Self:
        """Read the surface from a protocol."""
        provenance = protocol.provenance
        records = (provenance.results_log.path, provenance.baseline_artifact_path)
        return cls(
            allowed=protocol.mutable_surface.allowed_globs,
            forbidden=protocol.mutable_surface.forbidden_globs,
            harness_paths=protocol.immutable_harness.paths,
            records=tuple(record for record in records if record),
        )

    def admits(self, path: str) -> None:
        """Return if an edit may touch the path.

        Raises:
            Refusal: `surface.path`, with the reason and the paths that may be edited.

        Example:
            >>> Surface(allowed=("train.py",), harness_paths=("prepare.py",)).admits("prepare.py")
            Traceback (most recent call last):
            autoresearch_mcp.core.errors.Refusal: surface.path: prepare.py is read-only \
(harness); edit train.py
        """
        if reason := self._objection(path):
            shown = path[:_SHOWN] if path and path.isprintable() else ascii(path[:_SHOWN])
            raise Refusal("surface.path", f"{shown} {reason}; edit {self._targets()}")

    def files(self, tracked: Iterable[str]) -> tuple[str, ...]:
        """List the files of the surface among a repository's tracked paths, sorted."""
        return tuple(sorted(path for path in tracked if self._objection(path) is None))

    def harness(self, tracked: Iterable[str]) -> tuple[str, ...]:
        """List the files of the harness among a repository's tracked paths, sorted."""
        globs = covering(self.harness_paths)
        return tuple(sorted(path for path in tracked if any(matches(g, path) for g in globs)))

    def _objection(self, path: str) -> str | None:
        if problem := path_problem(path):
            return problem
        if reserved := self._reserved(path):
            return reserved
        if any(matches(glob, path) for glob in self.allowed):
            return None
        if _matches_folded(self.allowed, path):
            return "differs from a file of the surface only in case, and names are case-sensitive"
        return "is not part of the surface"

    def _reserved(self, path: str) -> str | None:
        if ".git" in path.casefold().split("/"):
            return "belongs to git"
        if _matches_folded(covering(self.harness_paths), path):
            return "is read-only (harness)"
        if _matches_folded((*self.records, CONTRACT), path):
            return "is read-only (kept by the server)"
        if _matches_folded(self.forbidden, path):
            return "is read-only (forbidden by the protocol)"
        return None

    def _targets(self) -> str:
        more = len(self.allowed) - 3
        return ", ".join(self.allowed[:3]) + (f" or {more} more" if more > 0 else "")


def covering(paths: Iterable[str]) -> tuple[str, ...]:
    """Return globs for the paths and, should they be directories, for everything below them."""
    return tuple(glob for path in paths for glob in (path, f"{path}/**"))


def _matches_folded(globs: Iterable[str], path: str) -> bool:
    return any(matches(glob.casefold(), path.casefold()) for glob in globs)
