"""Where the repository is, and what its commits, refs and index hold."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.repository.heads import Head, plain_head
from autoresearch_mcp.effects.repository.plumbing import Plumbing
from autoresearch_mcp.effects.repository.trees import Entry, list_tree, write_tree

_IN_PROGRESS = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "sequencer": "cherry-pick",
    "BISECT_LOG": "bisect",
}
_NO_SUCH_REF = "not a valid ref"
"""In what git says of a ref that is not there; it speaks English here."""


@dataclass(frozen=True, slots=True)
class Repository:
    """Answer questions about one worktree of one repository."""

    root: Path
    """Top of the worktree."""
    git_dir: Path
    """This worktree's own git folder: its HEAD and its index."""
    state: Path
    """`<git common dir>/autoresearch`, shared by all worktrees; made at the first write."""
    git: Plumbing

    @classmethod
    def discover(cls, path: Path) -> Self:
        """Find the repository that holds a folder.

        Raises:
            Fault: There is none, it is bare, it has no commit yet, or git cannot be run.
        """
        if not path.is_dir() or not os.access(path, os.X_OK):
            raise Fault(f"{path} is not a folder that can be entered; give --repo another path")
        # The user's own configuration counts here alone: safe.directory may be all that lets
        # them use a repository that belongs to somebody else.
        reply = Plumbing(path.resolve()).ask(
            *("rev-parse", "--path-format=absolute"),
            *("--show-toplevel", "--git-dir", "--git-common-dir"),
            as_user=True,
        )
        if reply.status != 0:
            raise Fault(_not_usable(path, reply.err))
        lines = os.fsdecode(reply.out).removesuffix("\n").split("\n")
        if len(lines) != 3:
            raise Fault(f"the path of the repository at {path} has a line break in it; move it")
        root, git_dir, common = map(Path, lines)
        found = cls(root, git_dir, common / "autoresearch", Plumbing(root, git_dir))
        found.head()
        return found

    def head(self) -> Head:
        """Read which commit and which branch are checked out.

        Raises:
            Fault: There is no commit yet.
        """
        # Every call of every tool asks this: no process where it is plain, and else one.
        plain = plain_head(self.git, self.git_dir, self.state.parent)
        if plain is not None:
            return plain
        reply = self.git.ask("rev-parse", "HEAD^{commit}", "--symbolic-full-name", "HEAD")
        if reply.status == 0:
            commit, _, name = os.fsdecode(reply.out).rstrip("\n").partition("\n")
            return Head(commit, None if name == "HEAD" else name)
        reply = self.git.ask("symbolic-ref", "--quiet", "HEAD")
        if reply.status == 0:
            ref = os.fsdecode(reply.out).rstrip("\n")
            commit = self.ref(ref)
            if commit is None:
                raise Fault(
                    f"{self.root} has no commit on {ref.removeprefix('refs/heads/')} yet; "
                    "commit the recipe and start again"
                )
            return Head(commit, ref)
        if reply.status != 1:
            raise self.git.fault("symbolic-ref", reply)
        return Head(self.git.run("rev-parse", "--verify", "HEAD^{commit}").decode().strip(), None)

    def ref(self, name: str) -> str | None:
        """Read the object a ref points at; None where there is no such ref.

        Args:
            name: The full name, `refs/heads/main`.
        """
        # A listing reads every ref beside this one: there may be thousands.
        reply = self.git.ask("show-ref", "--verify", "--", name)
        if reply.status == 0:
            return os.fsdecode(reply.out).partition(" ")[0]
        return None if _NO_SUCH_REF in reply.err else self.refs(name).get(name)

    def refs(self, prefix: str) -> dict[str, str]:
        """List the refs at or below a prefix, `refs/autoresearch/trials`, and their objects."""
        listed = self.git.run("for-each-ref", "--format=%(objectname) %(refname)", prefix)
        lines = (line.partition(" ") for line in os.fsdecode(listed).splitlines())
        return {name: oid for oid, _, name in lines}

    def tree(self, commit: str, *paths: str) -> tuple[Entry, ...]:
        """List the tracked files of a commit, links and submodules included.

        Args:
            commit: Which commit.
            paths: Files or folders to list; all of the tree without.
        """
        return list_tree(self.git, commit, *paths)

    def read(self, commit: str, path: str) -> bytes | None:
        """Read a file of a commit, byte for byte; None where it is absent."""
        found = next((entry for entry in self.tree(commit, path) if entry.path == path), None)
        return None if found is None else self.content(found)

    def content(self, entry: Entry) -> bytes:
        """Read a file that `tree` has listed."""
        return self.git.run("cat-file", "blob", entry.oid)

    def staged(self, *paths: str) -> dict[str, str]:
        """Read which blobs the user's own index holds for some paths.

        A path that is not in the index, or is there in several versions because of a merge
        conflict, is not in the answer.
        """
        listed = self.git.run("ls-files", "--stage", "-z", "--", *paths)
        blobs: dict[str, str] = {}
        for record in filter(None, os.fsdecode(listed).split("\0")):
            facts, _, path = record.partition("\t")
            _, oid, stage = facts.split(" ")
            if stage == "0":
                blobs[path] = oid
        return blobs

    def materialise(self, commit: str, into: Path, without: Collection[str]) -> dict[str, str]:
        """Write the tracked tree of a commit into a new folder, byte for byte.

        Nothing is converted: no line ends, no filters, and a pointer of git-lfs stays a pointer.
        Submodules are left out, and so are symbolic links that lead outside the folder.

        Args:
            commit: What to write.
            into: The folder; it must not exist yet. After a Fault it is incomplete.
            without: Paths to leave out.

        Returns:
            The sha256 of each file written, by path; of a link, that of its target's name.

        Raises:
            Fault: The disk is full, an object is missing, or a tracked name is unsafe.
        """
        entries = [entry for entry in self.tree(commit) if entry.path not in without]
        return write_tree(self.git, entries, into)

    def in_progress(self) -> str | None:
        """Name what the user is in the middle of, "merge" or "rebase"; None when nothing is."""
        found = (what for name, what in _IN_PROGRESS.items() if (self.git_dir / name).exists())
        return next(found, None)

    def checked_out_elsewhere(self, ref: str) -> Path | None:
        """Return another worktree of this repository that has a branch checked out, if any."""
        blocks = self.git.run("worktree", "list", "--porcelain").split(b"\n\n")
        mine = b"worktree " + os.fsencode(self.root)
        branch = b"branch " + os.fsencode(ref)
        lines = (block.splitlines() for block in blocks)
        others = (block[0] for block in lines if branch in block and block[0] != mine)
        found = next(others, None)
        return None if found is None else Path(os.fsdecode(found.removeprefix(b"worktree ")))

    def branches_with(self, commit: str) -> dict[str, str]:
        """List the local branches that a commit is part of, and what each points at."""
        form = "--format=%(objectname) %(refname:lstrip=2)"
        listed = self.git.run("for-each-ref", form, f"--contains={commit}", "refs/heads")
        lines = (line.partition(" ") for line in os.fsdecode(listed).splitlines())
        return {name: oid for oid, _, name in lines}


def _not_usable(path: Path, err: str) -> str:
    if "must be run in a work tree" in err:
        return f"{path} is in a bare repository or a .git folder; give the path of a checkout"
    if "not a git repository" in err:
        return f"{path} is not in a git repository; run `git init` there and commit the recipe"
    first = err.strip().partition("\n")[0].removeprefix("fatal: ")
    return f"git cannot use {path}: {first}; see what `git status` says there"
