"""System-call filters: rules made into a classic BPF program, and put in force.

Written here rather than taken from libseccomp, which no wheel brings: the few instructions that
a filter needs are fixed by the kernel (seccomp(2), linux/filter.h), and so the same filter is in
force wherever the package is installed.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from errno import ENOSYS
from typing import NamedTuple

from autoresearch_mcp.effects.sandbox import syscalls

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _GREATER = 0x15, 0x25
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _FAIL, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_ALL_BITS = 0xFFFFFFFF
_SET_MODE_FILTER = 1
_SPEC_ALLOW = 1 << 2


class Check(NamedTuple):
    """A question about one argument of a call, of which the low 32 bits count."""

    argument: int
    value: int
    mask: int = _ALL_BITS
    equal: bool = True
    """Whether the masked argument must equal the value, or must not."""


class Rule(NamedTuple):
    """A call that fails, with that errno, when every check holds; without checks always."""

    call: str
    errno: int
    checks: tuple[Check, ...] = ()


def program(rules: Iterable[Rule], machine: str) -> bytes:
    """Return the filter that lets every call through but those of the rules.

    A call made in another machine's convention (32-bit code) ends the process, since the
    numbers mean other calls there; calls newer than the table (and x32, whose numbers lie
    above) fail as unknown ones do.

    Args:
        rules: What fails; the first rule that fits decides.
        machine: A name in `syscalls.MACHINES`.
    """
    code = [
        _instruction(_LOAD, _MACHINE),
        _instruction(_EQUAL, syscalls.MACHINES[machine][1], yes=1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
        _instruction(_GREATER, syscalls.NEWEST, no=1),
        _instruction(_RETURN, _FAIL | ENOSYS),
    ]
    for rule in rules:
        number = syscalls.number(rule.call, machine)
        if number is not None:
            code += _compiled(rule, number)
    return b"".join([*code, _instruction(_RETURN, _ALLOW)])


def _compiled(rule: Rule, number: int) -> list[bytes]:
    """Return one rule's instructions; they start and end with the call's number loaded."""
    tested = [_question(check) for check in rule.checks]
    body = [_instruction(_RETURN, _FAIL | rule.errno)]
    for check, question in zip(reversed(rule.checks), reversed(tested), strict=True):
        # Where the check fails, the rest of this rule is jumped over.
        yes, no = (0, len(body)) if check.equal else (len(body), 0)
        body = [*question, _instruction(_EQUAL, check.value, yes=yes, no=no), *body]
    if rule.checks:
        body.append(_instruction(_LOAD, _NUMBER))
    return [_instruction(_EQUAL, number, no=len(body)), *body]


def _question(check: Check) -> list[bytes]:
    load = _instruction(_LOAD, _ARGUMENTS + 8 * check.argument)
    return [load] if check.mask == _ALL_BITS else [load, _instruction(_AND, check.mask)]


def _instruction(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """Return a struct sock_filter: what to do, jumps if true and if false, the operand."""
    return struct.pack("=HBBI", code, yes, no, value)


class _Program(ctypes.Structure):
    """Describe struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def install(code: bytes) -> None:
    """Put a filter in force for this process and all it becomes, for good.

    The process must have given up new privileges before.

    Raises:
        OSError: The kernel has no seccomp filters.
    """
    described = _Program(len(code) // 8, code)
    # Without this flag older kernels (before 5.16) also switch a mitigation on that slows all
    # code down by several percent; it protects a process from others in itself only.
    arguments = (ctypes.c_ulong(_SET_MODE_FILTER), ctypes.c_ulong(_SPEC_ALLOW))
    libc = ctypes.CDLL(None, use_errno=True)
    call = syscalls.number("seccomp", syscalls.machine())
    if libc.syscall(ctypes.c_long(call or 0), *arguments, ctypes.byref(described)):
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
