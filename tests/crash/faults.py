"""Make the n-th write, fsync, rename or git call of real processes fail."""

import errno
import mmap
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Kind = Literal["write", "mapped", "fsync", "rename", "git"]
KINDS: tuple[Kind, ...] = ("write", "mapped", "fsync", "rename", "git")

_SOURCE = Path(__file__).with_name("faults.c")
_PLAN = struct.Struct("5i")
_CALLS = struct.Struct("6i")


def compiler() -> str | None:
    """Return the C compiler, None where there is none or libraries cannot be preloaded."""
    return shutil.which("cc") if sys.platform == "linux" else None


class Faults:
    """What fails, in every process that is started with `environment`.

    Args:
        folder: Where the library and the shared plan go.
        below: The folder whose files are counted.
    """

    def __init__(self, folder: Path, below: Path) -> None:
        self._library, plan = folder / "faults.so", folder / "plan"
        command = [compiler() or "cc", "-shared", "-fPIC", "-O1", "-o", str(self._library)]
        subprocess.run([*command, str(_SOURCE), "-ldl"], check=True)
        plan.write_bytes(bytes(mmap.PAGESIZE))
        with plan.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._names = {"FAULTS_PLAN": str(plan), "FAULTS_BELOW": str(below)}

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables that make a process, and all that it starts, obey."""
        return {"LD_PRELOAD": str(self._library), **self._names}

    def arm(self, kind: Kind, nth: int, error: int, *, lasting: bool) -> None:
        """Fail the n-th call of a kind from now on, and with `lasting` all that follow it."""
        self._shared[: _PLAN.size + _CALLS.size] = bytes(_PLAN.size + _CALLS.size)
        plan = _PLAN.pack(1 + KINDS.index(kind), nth, error, lasting, 0)
        self._shared[: _PLAN.size] = plan

    def disarm(self) -> None:
        """Let everything work again; what was counted stays."""
        self._shared[:4] = bytes(4)

    @property
    def fired(self) -> int:
        """Return how many calls have failed since it was armed."""
        return _PLAN.unpack_from(self._shared)[4]

    def calls(self) -> dict[Kind, int]:
        """Return how many calls of each kind there were since it was armed."""
        return dict(zip(KINDS, _CALLS.unpack_from(self._shared, _PLAN.size)[1:], strict=True))


def words(error: int) -> str:
    """Return the system's words for an error."""
    return f"{errno.errorcode[error]} ({os.strerror(error)})"
