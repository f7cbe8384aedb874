"""What is checked out, read from the files in which git keeps it, where that is plain to read."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from autoresearch_mcp.effects.repository.plumbing import Plumbing

# Another name or form is not wrong, it is only left to git. No ref's name has `.lock` at an end.
_ON_BRANCH = re.compile(r"ref: (?!.*\.lock)(refs/heads(?:/[\w-]+(?:\.[\w-]+)*)+)\n")
_COMMIT = re.compile(r"([0-9a-f]{40}(?:[0-9a-f]{24})?)\n")
_MOST_BYTES = 4096
# A link is a symbolic ref of old; a FIFO would wait for a writer that never comes.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Head:
    """What is checked out: a commit, and the branch it was reached by."""

    commit: str
    ref: str | None
    """Full name of the branch, `refs/heads/main`; None when HEAD is detached."""

    @property
    def branch(self) -> str | None:
        """Name the branch as people do, without `refs/heads/`."""
        return None if self.ref is None else self.ref.removeprefix("refs/heads/")


def plain_head(git: Plumbing, git_dir: Path, common: Path) -> Head | None:
    """Read HEAD without starting git; None where only git can tell.

    Plain is a commit's id, or a branch that has a file of its own with such an id. What git alone
    reads are packed refs, reftables, links, a branch without a commit, and whatever is damaged.

    Args:
        git: Asked once about each commit.
        git_dir: The worktree's own git folder, which has its HEAD.
        common: The folder that all worktrees share, which has the branches.
    """
    text = _text(git_dir / "HEAD")
    branch = _ON_BRANCH.fullmatch(text)
    if branch is not None:
        text = _text(common / branch[1])
    found = _COMMIT.fullmatch(text)
    if found is None or not _is_commit(git, found[1]):
        return None
    return Head(found[1], branch and branch[1])


def _text(path: Path) -> str:
    """Read a short file; nothing of it where that cannot be done."""
    try:
        file = os.open(path, _FLAGS)
        try:
            return os.read(file, _MOST_BYTES).decode()
        finally:
            os.close(file)
    except (OSError, UnicodeDecodeError):
        return ""


@lru_cache(maxsize=256)  # what an id names never changes, and git is asked again after a "no"
def _is_commit(git: Plumbing, commit: str) -> bool:
    reply = git.ask("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}")
    return reply.status == 0 and reply.out.decode().strip() == commit
