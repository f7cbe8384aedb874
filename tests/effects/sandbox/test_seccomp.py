"""The filter as a program: its numbers are the kernel's, and it decides what the rules say."""

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.effects.sandbox import rules, seccomp, syscalls
from autoresearch_mcp.effects.sandbox.seccomp import Check, Rule

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
WORDS = st.sampled_from([0, 1, 2, 9, 1000, 2**32 - 1])


def decide(code: bytes, number: int, arguments: tuple[int, ...], audit: int) -> int:
    """Return what a filter says about a call: an interpreter of the few instructions used."""
    data = struct.pack("=iIQ6Q", number, audit, 0, *(*arguments, *([0] * (6 - len(arguments)))))
    instructions = list(struct.iter_unpack("=HBBI", code))
    at = accumulator = 0
    while True:
        operation, yes, no, value = instructions[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x54:
                accumulator &= value
            case 0x15:
                at += yes if accumulator == value else no
            case 0x25:
                at += yes if accumulator > value else no
            case 0x06:
                return value
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"not run: {HEADERS[machine]} is not installed")
    found = re.findall(
        r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text(), re.MULTILINE
    )
    expected = {name: int(number) for name, number in found}
    ours = {name: syscalls.number(name, machine) for name in syscalls.names()}
    assert ours == {name: expected.get(name) for name in ours}


@given(
    test=st.builds(
        Check, st.integers(0, 5), WORDS, st.sampled_from([2**32 - 1, 0x10000, 3]), st.booleans()
    ),
    other=st.builds(Check, st.integers(0, 5), WORDS, st.just(2**32 - 1), st.booleans()),
    arguments=st.tuples(*[WORDS] * 6),
)
def test_a_rule_fails_a_call_when_all_its_tests_hold(
    test: Check, other: Check, arguments: tuple[int, ...]
) -> None:
    code = seccomp.program([Rule("kill", 1, (test, other)), Rule("bpf", 2)], "x86_64")
    audit = syscalls.MACHINES["x86_64"][1]
    holds = all(
        ((arguments[one.argument] & one.mask) == one.value) == one.equal for one in (test, other)
    )
    assert decide(code, 62, arguments, audit) == (0x50001 if holds else ALLOWED)
    assert decide(code, 321, arguments, audit) == 0x50002
    assert decide(code, 0, arguments, audit) == ALLOWED


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_the_same_things_are_denied_on_every_machine(machine: str) -> None:
    denied = rules.rules(77, network=False, subprocesses=False, accelerator=False)
    code = seccomp.program(denied, machine)
    audit = syscalls.MACHINES[machine][1]

    def allows(call: str, *arguments: int) -> bool:
        number = syscalls.number(call, machine)
        assert number is not None
        return decide(code, number, arguments, audit) == ALLOWED

    thread = 0x3D0F00
    assert allows("clone", thread)
    assert not allows("clone", 17)
    assert allows("kill", 77, 9)
    assert not allows("kill", 78, 9)
    stream, datagram, raw, seqpacket, no_wait, close_on_exec = 1, 2, 3, 5, 0o4000, 0o2000000
    for kind in (stream, seqpacket):
        assert allows("socketpair", 1, kind | no_wait | close_on_exec)
    for kind in (datagram, raw):
        assert not allows("socketpair", 1, kind)
        assert not allows("socketpair", 1, kind | no_wait | close_on_exec)
    assert not allows("socketpair", 2, stream)
    assert not allows("socket", 1)
    assert allows("openat", 3, 0, 0o1101)
    assert not allows("openat", 3, 0, 0o1000)
    assert allows("prctl", 1, 9)
    assert not allows("prctl", 1, 0)
    assert allows("fcntl", 3, 3)
    assert not allows("fchmod", 3, 0)
    assert decide(code, syscalls.NEWEST + 1, (), audit) == 0x50000 | 38
    assert decide(code, 0, (), audit ^ 1) == KILLED


@pytest.mark.parametrize("machine", syscalls.MACHINES)
@pytest.mark.parametrize("network", [False, True])
def test_an_accelerator_opens_one_kind_of_local_socket(machine: str, *, network: bool) -> None:
    denied = rules.rules(77, network=network, subprocesses=False, accelerator=True)
    code = seccomp.program(denied, machine)

    def allows(call: str, *arguments: int) -> bool:
        number = syscalls.number(call, machine)
        assert number is not None
        return decide(code, number, arguments, syscalls.MACHINES[machine][1]) == ALLOWED

    unix, internet, stream, seqpacket, close_on_exec = 1, 2, 1, 5, 0o2000000
    assert allows("socket", unix, seqpacket | close_on_exec)
    assert not allows("socket", unix, stream)
    assert allows("socket", internet, stream) == network
    assert allows("connect", 3) == network
    assert allows("accept4", 3) == network
    assert allows("memfd_create")


def test_the_filter_fits_the_kernels_limit() -> None:
    denied = rules.rules(77, network=False, subprocesses=False, accelerator=False)
    assert len(seccomp.program(denied, "x86_64")) // 8 < 4096
