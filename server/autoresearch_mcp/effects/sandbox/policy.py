"""What one run may do, and what a sandbox makes of its command."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Devices = Literal["none", "cuda", "metal"]

DEFAULT_TASKS = 1024
DEFAULT_SCRATCH_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one run may do; everything else is denied.

    Paths are absolute. Where paths of `read` and `masked` nest, the longest decides: a masked
    file in a readable folder is hidden, a readable folder in a masked one is not. The sandbox
    adds the system's libraries and devices itself; `files.runtime` knows an interpreter's files.

    Args:
        read: Files and folders that may be read, executed and mapped.
        write: Folders the run may fill, besides.
        masked: Files and folders below readable ones that must not be read. With a Python
            module goes what the interpreter compiled it to.
        network: Whether internet sockets may be opened.
        subprocesses: Whether other processes may be started; threads always may.
        devices: The accelerator to reach.
        memory_bytes: The most private memory; None leaves it to the supervisor. With an
            accelerator the kernel keeps no such limit: drivers reserve far more than they use.
        scratch_bytes: The longest file; `scratch.used_bytes` tells what all of them take.
        max_tasks: Processes and threads; the kernel does not hold root to it.
    """

    read: tuple[Path, ...]
    write: tuple[Path, ...]
    masked: tuple[Path, ...] = ()
    network: bool = False
    subprocesses: bool = False
    devices: Devices = "none"
    memory_bytes: int | None = None
    scratch_bytes: int = DEFAULT_SCRATCH_BYTES
    max_tasks: int = DEFAULT_TASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """A command in its sandbox, to be started in place of the bare one.

    Args:
        argv: The program and its arguments.
        environment: The whole environment.
        signals_as_codes: Whether a death by signal n shows as exit status 128 + n.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    signals_as_codes: bool = False

    def exit_code(self, status: int) -> int:
        """Return the run's own exit status, minus the signal's number when one ended it."""
        return 128 - status if self.signals_as_codes and status > 128 else status


class Sandbox(Protocol):
    """A way to hold a run to its policy."""

    @property
    def name(self) -> str:
        """Return what a person chooses it by."""
        ...

    def wrap(
        self, argv: tuple[str, ...], environment: Mapping[str, str], policy: Policy
    ) -> Wrapped:
        """Return the command that runs another one in this sandbox."""
        ...


class Bare:
    """No sandbox: the command as it is."""

    name = "none"

    def wrap(
        self, argv: tuple[str, ...], environment: Mapping[str, str], policy: Policy
    ) -> Wrapped:
        """Return the command unchanged; of the policy nothing is in force."""
        del policy
        return Wrapped(argv=argv, environment=environment)
