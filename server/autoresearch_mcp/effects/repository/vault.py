"""What the server writes into git: commits, refs, HEAD and two entries of the index."""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import datetime

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.repository.heads import Head
from autoresearch_mcp.effects.repository.reading import Repository

_NAME, _EMAIL = "autoresearch-mcp", "autoresearch-mcp@localhost"
_PRIVATE = "index-"
_FILE_MODES = ("100644", "100755")


class Vault:
    """Write into one repository, each change compare-and-swap, none of them to a working tree."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._git = repository.git

    def commit(
        self, base: str, changes: Mapping[str, bytes], message: str, *, when: datetime
    ) -> str:
        """Store a commit: a base with some files' content replaced. No ref is moved.

        The same arguments give the same commit, so that doing it again after a crash is harmless.
        Files keep their mode; new ones are plain. The author is the user git is configured for.

        Args:
            base: The parent, whose tree is taken over.
            changes: Whole new content by path.
            message: The commit message.
            when: Author's and committer's date, with its time zone.

        Returns:
            The commit's id.

        Raises:
            Fault: git could not write, or a path is a link or a submodule in the base.
        """
        modes = self._modes(base, changes)
        blobs = {path: self._store(content) for path, content in changes.items()}
        records = "".join(f"{modes[path]} {blobs[path]}\t{path}\0" for path in changes)
        with self._private_index() as index:
            self._git.run("read-tree", base, environment=index)
            self._git.run(
                *("update-index", "-z", "--index-info"),
                stdin=os.fsencode(records),
                environment=index,
            )
            tree = self._git.run("write-tree", environment=index).decode().strip()
        return self._sealed(tree, base, message, when)

    def move(self, ref: str, new: str, old: str | None, *, reason: str = "autoresearch") -> bool:
        """Point a ref at another commit, if it still points where it is thought to.

        Args:
            ref: The full name, `refs/heads/autoresearch/nov23`.
            new: The commit to point at.
            old: Where it must point now; None where it must not exist.
            reason: What the reflog will say.

        Returns:
            False, with nothing changed, when the ref was moved, made or deleted meanwhile.

        Raises:
            Fault: git could not write it.
        """
        reply = self._git.ask(
            *("update-ref", "--no-deref", "-m", reason, ref, new, old or "0" * len(new)),
            environment=self._identity(),
        )
        if reply.status == 0:
            return True
        if self._repository.ref(ref) != old:
            return False
        raise self._git.fault("update-ref", reply)

    def switch(self, ref: str, expected: Head) -> bool:
        """Make a branch the current one without touching index or files.

        That is only harmless between branches at the same commit, so nothing else is done.

        Args:
            ref: Full name of the branch to be on.
            expected: What HEAD was when this was decided.

        Returns:
            False, with nothing changed, when HEAD is elsewhere by now or the branch is at
            another commit.
        """
        if self._repository.head() != expected or self._repository.ref(ref) != expected.commit:
            return False
        self._git.run(
            *("symbolic-ref", "-m", "autoresearch: switch", "HEAD", ref),
            environment=self._identity(),
        )
        return True

    def refresh_index(self, paths: Iterable[str], old: str, new: str) -> tuple[str, ...]:
        """Let the user's index follow a branch that moved under it, for some paths.

        Only an entry that still has the old commit's content gets the new one's; what the user
        staged stays. git refreshes the file times itself at its next `status`.

        Args:
            paths: Files; one that the new commit has not is passed over.
            old: The commit the branch was at.
            new: The commit it is at now.

        Returns:
            The paths left alone, because their entry has other content.

        Raises:
            Fault: git could not write the index, or another git command holds it.
        """
        wanted = tuple(paths)
        before, after = self._blobs(old, wanted), self._blobs(new, wanted)
        staged, plain = self._repository.staged(*wanted), self._without_filters()
        left: list[str] = []
        for path in wanted:
            if path not in after or after[path] in (before.get(path), staged.get(path)):
                continue
            if not self._applies(_patch(path, before.get(path), after[path]), plain):
                left.append(path)
        return tuple(left)

    def sweep(self) -> int:
        """Remove what a commit that was killed left in the state folder, and count it.

        Only for a caller that holds the recipe's lock: a commit under way looks the same.
        """
        leavings = list(self._repository.state.glob(f"{_PRIVATE}*"))
        for folder in leavings:
            shutil.rmtree(folder, ignore_errors=True)
        return len(leavings)

    def _applies(self, patch: bytes, environment: Mapping[str, str]) -> bool:
        """Apply a patch to the user's index, or find that it does not fit.

        This is the one command of git that compares and replaces under the index's own lock.
        """
        reply = self._git.ask("apply", "--cached", "-", stdin=patch, environment=environment)
        if reply.status not in (0, 1):
            raise self._git.fault("apply", reply)
        return reply.status == 0

    def _sealed(self, tree: str, parent: str, message: str, when: datetime) -> str:
        date = f"@{int(when.timestamp())} +0000"
        text = message if message.endswith("\n") else f"{message}\n"
        stored = self._git.run(
            *("commit-tree", tree, "-p", parent, "-F", "-"),
            stdin=text.encode(errors="replace"),
            environment={
                **self._identity(),
                "GIT_AUTHOR_DATE": date,
                "GIT_COMMITTER_DATE": date,
            },
        )
        return stored.decode().strip()

    def _store(self, content: bytes) -> str:
        stored = self._git.run("hash-object", "-w", "--no-filters", "--stdin", stdin=content)
        return stored.decode().strip()

    def _modes(self, base: str, paths: Iterable[str]) -> dict[str, str]:
        modes = dict.fromkeys(paths, _FILE_MODES[0])
        for entry in self._repository.tree(base, *modes):
            if entry.mode not in _FILE_MODES:
                raise Fault(f"{entry.path} is a link or a submodule in git; commit a plain file")
            modes[entry.path] = entry.mode
        return modes

    def _blobs(self, commit: str, paths: Iterable[str]) -> dict[str, str]:
        return {entry.path: entry.oid for entry in self._repository.tree(commit, *paths)}

    @contextmanager
    def _private_index(self) -> Generator[dict[str, str]]:
        """Give the variables that make git use an index of our own, gone afterwards."""
        state = self._repository.state
        try:
            state.mkdir(mode=0o700, exist_ok=True)
            folder = tempfile.TemporaryDirectory(
                prefix=_PRIVATE, dir=state, ignore_cleanup_errors=True
            )
        except OSError as error:
            raise Fault(f"cannot write in {state}: {error.strerror}") from error
        # A split or sparse index would leave a second file beside the user's own.
        usual = _settings({"core.splitIndex": "false", "index.sparse": "false"})
        with folder as private:
            yield {"GIT_INDEX_FILE": f"{private}/index", **usual}

    def _without_filters(self) -> dict[str, str]:
        """Give the variables that switch off every filter the repository configures.

        Whoever writes an index compares the files changed in the same instant as it, and would
        run their filters. Without them such a file counts as possibly changed, which is safe.
        """
        pattern = r"^filter\..*\.(clean|smudge|process|required)$"
        reply = self._git.ask("config", "-z", "--name-only", "--get-regexp", pattern)
        if reply.status not in (0, 1):
            raise self._git.fault("config", reply)
        keys = filter(None, os.fsdecode(reply.out).split("\0"))
        return _settings({key: "false" if key.endswith("required") else "" for key in keys})

    def _identity(self) -> dict[str, str]:
        """Read who the user says they are; it is asked each time, for they may change it."""
        reply = self._git.ask("config", "-z", "--get-regexp", r"^user\.(name|email)$", as_user=True)
        if reply.status not in (0, 1):
            raise self._git.fault("config", reply)
        records = (record.partition("\n") for record in os.fsdecode(reply.out).split("\0"))
        found = {key: value for key, _, value in records}
        name, email = found.get("user.name") or _NAME, found.get("user.email") or _EMAIL
        return {
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": email,
        }


def _settings(values: Mapping[str, str]) -> dict[str, str]:
    """Write settings as the variables through which git takes them."""
    variables = {"GIT_CONFIG_COUNT": str(len(values))}
    for number, (key, value) in enumerate(values.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _patch(path: str, before: str | None, after: str) -> bytes:
    """Write a patch that says only: this blob becomes that one, both being in the repository."""
    name = _quoted(path)
    lines = [f'diff --git "a/{name}" "b/{name}"']
    if before is None:
        lines.append("new file mode 100644")
    lines += [f"index {before or '0' * len(after)}..{after}", "Binary files differ", ""]
    return "\n".join(lines).encode()


def _quoted(path: str) -> str:
    """Write a path as git's C-style quoting does, every unusual byte as octal."""
    plain = frozenset(b"/._-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return "".join(chr(b) if b in plain else f"\\{b:03o}" for b in os.fsencode(path))
