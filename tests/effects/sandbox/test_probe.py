"""Which sandbox is taken is decided by running it."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.sandbox import probe

EVERYTHING = {
    *("write", "read", "mask", "metadata", "tcp", "udp", "unix", "letters"),
    *("processes", "signals", "ptrace"),
}


def test_every_sandbox_is_reported_best_first_and_none_last() -> None:
    names = [one.name for one in probe.available()]
    assert names == [
        "bubblewrap+landlock+seccomp",
        "bubblewrap+seccomp",
        "landlock+seccomp",
        "seatbelt",
        "none",
    ]


def test_a_sandbox_that_works_holds_everything_and_none_holds_nothing() -> None:
    for one in probe.available():
        if one.name == "none":
            assert one.works
            assert one.gives == set()
        elif one.works:
            assert one.gives == EVERYTHING
        assert one.detail
        assert "\n" not in one.detail


def test_the_best_that_works_is_taken() -> None:
    works = [one.name for one in probe.available() if one.works]
    assert probe.select().name == works[0]
    assert probe.select("auto").name == works[0]


def test_none_is_taken_when_asked_for() -> None:
    assert probe.select("none").name == "none"


def test_a_sandbox_that_does_not_work_is_a_fault_that_says_why() -> None:
    foreign = "seatbelt" if sys.platform == "linux" else "landlock+seccomp"
    with pytest.raises(Fault, match="does not work here: it is part of"):
        probe.select(foreign)


def test_an_unknown_sandbox_is_a_fault_that_names_the_known() -> None:
    with pytest.raises(Fault, match=r"landlock\+seccomp"):
        probe.select("docker")


@pytest.mark.skipif(sys.platform != "linux", reason="not run: bubblewrap is part of Linux")
def test_without_bubblewrap_the_levels_below_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    found = {one.name: one for one in probe.available()}
    assert found["bubblewrap+seccomp"].detail == "bubblewrap is not installed"
    assert "bubblewrap" not in probe.select().name


@pytest.mark.skipif(sys.platform != "linux", reason="not run: bubblewrap is part of Linux")
def test_a_bubblewrap_that_fails_is_not_taken_and_its_message_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bwrap"
    program.write_text(
        "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
    assert shutil.which("bwrap") == str(program)

    found = {one.name: one for one in probe.available()}

    assert not found["bubblewrap+seccomp"].works
    assert "setting up uid map: Permission denied; user namespaces" in (
        found["bubblewrap+seccomp"].detail
    )
    assert "bubblewrap" not in probe.select().name


@pytest.mark.skipif(sys.platform != "linux", reason="not run: bubblewrap is part of Linux")
def test_a_sandbox_that_holds_nothing_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bwrap that only pretends: it starts the command, and not a single namespace."""
    program = tmp_path / "bwrap"
    program.write_text(
        "#!/bin/sh\n"
        'while [ "$1" != -- ]; do shift; done; shift\n'
        'while [ "${1#\\{}" = "$1" ]; do shift; done; shift\n'  # past the orders, unlocked
        'exec "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
    found = {one.name: one for one in probe.available()}["bubblewrap+seccomp"]
    assert not found.works
    assert "it does not hold" in found.detail
    assert found.gives == set()


def test_a_probe_removes_what_a_killed_one_left_and_leaves_a_young_one_alone() -> None:
    old, young = (Path(tempfile.mkdtemp(prefix="autoresearch-probe-", dir="/tmp")) for _ in "ab")
    (old / "outside").mkdir()
    os.utime(old, (0, 0))
    probe.available()
    assert not old.exists()
    young.rmdir()
