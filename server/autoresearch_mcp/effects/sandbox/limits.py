"""What a process takes from itself before it becomes a run: privileges, memory, file size.

Linux, and the resource limits on macOS as well.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 1, 24, 28
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_CAPABILITIES = 64
_CAPABILITY_VERSION_3 = 0x20080522
_NOROOT_AND_ITS_LOCK = 0b11

_NO_CORE = 1
"""Bytes of a core file. Not 0: a core handler behind a pipe is asked even then, and with 1 it
is not (fs/coredump.c); no core file is that small either.
"""
_ADDRESSES_BESIDES_DATA = 4 * 2**30
"""Bytes of addresses on top of the memory limit: code, libraries, and what malloc reserves
per thread without using it. Memory shared between processes escapes RLIMIT_DATA; it ends here.
"""


def limit_resources(*, memory: int | None, file_size: int, tasks: int | None) -> None:
    """Set the limits that the kernel itself keeps.

    Args:
        memory: Bytes of private memory; None leaves it to the supervisor.
        file_size: Bytes of the largest file; a longer one fails with EFBIG.
        tasks: Processes and threads of this user, all of them counted; the kernel does not
            hold root to it. None for no limit.
    """
    _lower(resource.RLIMIT_CORE, _NO_CORE)
    _lower(resource.RLIMIT_FSIZE, file_size)
    if memory is not None:
        _lower(resource.RLIMIT_DATA, memory)
        _lower(resource.RLIMIT_AS, memory + _ADDRESSES_BESIDES_DATA)
    if tasks is not None:
        _lower(resource.RLIMIT_NPROC, tasks)


def _lower(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def die_with_parent() -> None:
    """Let the kernel end this process should its parent die.

    It outlives the coming exec; the call filter keeps a run from undoing it.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def give_up_privileges() -> None:
    """Lose every capability for good: root keeps its files, but not its powers over others.

    Raises:
        OSError: The kernel does not allow it.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # inside a container these may be gone already
            _prctl(_PR_SET_SECUREBITS, _NOROOT_AND_ITS_LOCK)
        for capability in range(_CAPABILITIES):
            with contextlib.suppress(OSError):  # one that this kernel does not know
                _prctl(_PR_CAPBSET_DROP, capability)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(ctypes.CDLL(None, use_errno=True).capset(header, bytes(24)), "capset")


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero), "prctl")


def _check(answer: int, call: str) -> None:
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"{call}: {os.strerror(ctypes.get_errno())}")
