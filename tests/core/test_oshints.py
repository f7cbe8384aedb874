"""Is this machine among those that a protocol hints at."""

import pytest

from autoresearch_mcp.core.oshints import fits

BOX = [
    "darwin-arm64",
    "linux-x86_64",
    "macOS 14 or later on Apple Silicon, or Linux with glibc 2.35 or later",
]


@pytest.mark.parametrize(
    ("hints", "system", "machine", "expected"),
    [
        (BOX, "linux", "x86_64", True),
        (BOX, "linux", "riscv64", True),  # the third names Linux on whatever machine
        (BOX, "darwin", "arm64", True),
        (BOX, "win32", "AMD64", False),
        (["linux-aarch64"], "linux", "arm64", True),
        (["linux-aarch64"], "linux", "x86_64", False),
        (["Apple Silicon Mac"], "linux", "x86_64", False),
        (["freebsd"], "linux", "x86_64", None),
        (["", "a fast one"], "linux", "x86_64", None),
        ([], "linux", "x86_64", None),
    ],
)
def test_a_machine_is_among_the_hints_or_not_or_they_name_none(
    hints: list[str], system: str, machine: str, expected: bool | None
) -> None:
    assert fits(hints, system, machine) is expected
