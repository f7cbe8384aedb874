"""Landlock: which files a process may still reach, decided by itself, without privileges.

Three system calls, the same on every machine (landlock(7), linux/landlock.h). They are called
here directly: the bindings on the package index are either unfinished or start `ldconfig`
in every process that imports them, and a run's sandbox is no place for either.
"""

import ctypes
import os
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_ALL_AT_FIRST = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_ADDED = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}  # by version of the interface
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_FORGETFUL = "/proc/"

LIST = _READ_DIR
READ = _EXECUTE | _READ_FILE | _READ_DIR
REWRITE = _WRITE_FILE | _TRUNCATE
DEVICE = _READ_FILE | _WRITE_FILE | _READ_DIR | _IOCTL_DEV
WRITE = (_ALL_AT_FIRST | _REFER | _TRUNCATE) & ~(_EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK)
WRITE_AND_EXECUTE = WRITE | _EXECUTE
"""What may be done with a path; on a folder it holds for everything below."""


_libc = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    """Describe struct landlock_ruleset_attr; older kernels know its beginning only."""

    _fields_ = (
        ("files", ctypes.c_uint64),
        ("ports", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    """Describe struct landlock_path_beneath_attr."""

    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Return the version of the kernel's interface, 0 where there is none."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    except OSError:
        return 0


def restrict(grants: Iterable[tuple[str, int]], *, network: bool) -> None:
    """Leave this process, and all it becomes, nothing but what is granted.

    It must have given up new privileges before. Depending on the kernel, TCP (version 4) and
    signals and abstract sockets to processes outside (version 6) are denied with it.

    Args:
        grants: Path and rights; a path that does not exist is left out.
        network: Whether TCP stays open.

    Raises:
        OSError: The kernel has no Landlock, or does not take the rules.
    """
    known = version()
    files = _ALL_AT_FIRST
    for since, right in _ADDED.items():
        files |= right if known >= since else 0
    asked = _Ruleset(
        files,
        _BIND_AND_CONNECT_TCP if known >= 4 and not network else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if known >= 6 else 0,
    )
    size = ctypes.c_size_t(ctypes.sizeof(asked))
    ruleset = _call(_CREATE_RULESET, ctypes.byref(asked), size, ctypes.c_uint32(0))
    for path, rights in grants:
        _grant(ruleset, path, rights & files)
    _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not there, or not to be reached: nothing to grant
        return
    if not os.path.isdir(path):  # noqa: PTH112
        rights &= _ON_A_FILE
    beneath = _PathBeneath(rights, target)
    kind = ctypes.c_uint32(_PATH_BENEATH)
    _call(_ADD_RULE, ctypes.c_int(ruleset), kind, ctypes.byref(beneath), ctypes.c_uint32(0))
    if path.startswith(_FORGETFUL):
        # The rule is tied to an inode, which the kernel makes anew here once it was short of
        # memory. An open descriptor, kept by the run, keeps the inode.
        os.set_inheritable(target, True)
    else:
        os.close(target)


def _call(number: int, *arguments: object) -> int:
    answer = _libc.syscall(ctypes.c_long(number), *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return answer
