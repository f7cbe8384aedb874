"""How git is called: one process per question, with nothing of the user's set-up in force."""

import os
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch_mcp.core.errors import Fault

if TYPE_CHECKING:
    from git.cmd import Git

_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    # A replaced object would make a commit's bytes differ from what its id promises.
    "GIT_NO_REPLACE_OBJECTS": "1",
    # A partial clone would otherwise start the network, and credential helpers with it.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}
_WITHOUT_USER_CONFIG = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
}
_SETTINGS = (
    f"core.hooksPath={os.devnull}",
    f"core.attributesFile={os.devnull}",
    "core.fsmonitor=false",
    "core.fsync=all",
    "core.fsyncMethod=fsync",
    "i18n.commitEncoding=UTF-8",
)
_DISK = "free some disk space, or look at the disk's health, and try again"
_REMEDIES = (
    ("No space left on device", "free some disk space and try again"),
    ("Disk quota exceeded", "free some disk space and try again"),
    ("File too large", "free some disk space and try again"),
    ("Input/output error", _DISK),
    ("unable to write", _DISK),
    ("couldn't write", _DISK),
    (
        ".lock': File exists",
        "another git command is running: wait for it, or delete that lock file if there is none",
    ),
    ("Permission denied", "make the repository writable for this user and try again"),
    ("insufficient permission", "make the repository writable for this user and try again"),
    ("Read-only file system", "make the repository writable for this user and try again"),
    ("cannot create '", "rename or delete the branch that is in the way"),
    (
        "disallowed characters",
        "set a usable name and address with `git config user.name` and .email",
    ),
    ("not allowed", "this clone lacks objects: fetch them with `git fetch --refetch` first"),
)
_OLDEST_GIT = (2, 32)  # the first that obeys GIT_CONFIG_GLOBAL


@dataclass(frozen=True, slots=True)
class Reply:
    """What one git process answered."""

    status: int
    out: bytes
    err: str


class Plumbing:
    """Run git in one folder, always with the same narrow environment.

    No variable named `GIT_*` reaches git from the caller's environment: a client may have exported
    GIT_DIR or GIT_INDEX_FILE, and everything would go to another repository.

    Args:
        folder: Where git runs.
        git_dir: The repository's own folder, pinned once it is known; None lets git look for it.

    Raises:
        Fault: git is missing, does not run, or is too old.
    """

    def __init__(self, folder: Path, git_dir: Path | None = None) -> None:
        git = _git()
        self.folder = folder
        self._git: Git = git(os.fspath(folder))
        self._program = git.GIT_PYTHON_GIT_EXECUTABLE or "git"
        self._pinned: dict[str, str] = {}
        if git_dir is not None:
            self._pinned = {"GIT_DIR": os.fspath(git_dir), "GIT_WORK_TREE": os.fspath(folder)}

    def ask(
        self,
        *arguments: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        as_user: bool = False,
    ) -> Reply:
        """Run one git command and report whatever it answered, failure included.

        Args:
            arguments: The plumbing command and its arguments.
            stdin: Bytes on its standard input.
            environment: Further variables for this call.
            as_user: Let the user's own configuration count; for questions only.
        """
        with self._start(arguments, environment or {}, as_user) as process:
            out, err = process.communicate(stdin)
        return Reply(process.returncode, out, err.decode(errors="replace"))

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> bytes:
        """Run one git command that must succeed, and return its standard output.

        Raises:
            Fault: It failed; the message has git's own first line and what to do.
        """
        reply = self.ask(*arguments, stdin=stdin, environment=environment)
        if reply.status != 0:
            raise self.fault(arguments[0], reply)
        return reply.out

    @contextmanager
    def conversation(self, *arguments: str) -> Generator["subprocess.Popen[bytes]"]:
        """Keep one git command open to talk to it through its pipes."""
        with self._start(arguments, {}, as_user=False) as process:
            yield process

    def fault(self, command: str, reply: Reply) -> Fault:
        """Word a failed command for a person: what failed, git's own words, what to do."""
        remedy = f"run `git fsck` in {self.folder} to see what is wrong"
        for sign, advice in _REMEDIES:
            if sign in reply.err:
                remedy = advice
                break
        return Fault(f"git {command} failed: {_first_line(reply)}; {remedy}")

    def _start(
        self, arguments: Sequence[str], environment: Mapping[str, str], as_user: bool
    ) -> "subprocess.Popen[bytes]":
        variables = {**_ENVIRONMENT, **self._pinned, **environment}
        if not as_user:
            variables |= _WITHOUT_USER_CONFIG
        # GitPython can only add to the inherited environment; env(1) takes out of it.
        unset = [f"-u{name}" for name in os.environ if _is_foreign(name, variables)]
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        program = [self._program, "-C", os.fspath(self.folder), *settings, *arguments]
        from git.exc import GitCommandNotFound  # noqa: PLC0415 - loaded already, see _git

        try:
            started: Any = self._git.execute(
                ["env", *unset, *program] if unset else program,
                istream=subprocess.PIPE,
                as_process=True,
                env=variables,
            )
        except (OSError, GitCommandNotFound) as error:
            reason = str(error).partition("\n")[0]
            raise Fault(f"git cannot be started: {reason}; see `git version`") from error
        process: subprocess.Popen[bytes] = started.proc
        started.proc = None  # Ours to close from here: GitPython would kill it when collected.
        return process


def _is_foreign(name: str, ours: Mapping[str, str]) -> bool:
    return name.startswith("GIT_") and name not in ours


def _first_line(reply: Reply) -> str:
    """Pick the line in which git says what went wrong, without its severity."""
    lines = [line for line in reply.err.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("warning:", "hint:"))]
    if not told:
        return f"exit status {reply.status}"
    return told[0].removeprefix("fatal: ").removeprefix("error: ")


@cache
def _git() -> "type[Git]":
    """Import GitPython at its first use: it takes up to 0.2 s, and runs git once."""
    try:
        from git.cmd import Git  # noqa: PLC0415 - the cost is why
    except ImportError as error:
        raise Fault("git does not run on this machine; install git 2.32 or newer") from error
    version = Git().version_info
    if version < _OLDEST_GIT:
        found = ".".join(map(str, version))
        raise Fault(f"git 2.32 or newer is needed, found {found}; update git")
    return Git
