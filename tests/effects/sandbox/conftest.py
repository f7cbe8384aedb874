"""A small world to attack, and a way to start hostile code in every sandbox that works here."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from autoresearch_mcp.effects.sandbox import files, probe
from autoresearch_mcp.effects.sandbox.policy import Bare, Policy, Sandbox

LEVELS = ("bubblewrap+landlock+seccomp", "bubblewrap+seccomp", "landlock+seccomp", "seatbelt")
SECONDS = 120

PRELUDE = """
import ctypes, json, os, signal, socket, sys
world = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    answer = libc.syscall(ctypes.c_long(number), *(
        ctypes.c_long(one) if isinstance(one, int) else one for one in arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer
"""


@cache
def probes() -> dict[str, probe.Probe]:
    return {one.name: one for one in probe.available()}


@cache
def own_files() -> files.Files:
    return files.runtime(Path(sys.executable))


@pytest.fixture(params=LEVELS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each sandbox in turn; one that does not work here is reported as not run."""
    found = probes()[request.param]
    if not found.works:
        pytest.skip(f"not run: {found.name}: {found.detail}")
    return probe.select(found.name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Files a run must not touch, listeners it must not reach, a scratch of its own."""
    for name in ("scratch", "readable", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside/secret").write_text("ssh key")
    (tmp_path / "readable/data").write_text("training data")
    (tmp_path / "readable/masked").write_text("validation data")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as letters,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract_letters,
    ):
        udp.bind(("127.0.0.1", 0))
        # In a readable folder: the path is no obstacle. Relative, for its length is limited.
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            unix.bind("readable/unix")
            letters.bind("readable/letters")
        unix.listen()
        name = f"autoresearch-{os.getpid()}-{tmp_path.name}"
        if sys.platform == "linux":
            abstract.bind(f"\0{name}")
            abstract.listen()
            abstract_letters.bind(f"\0{name}-letters")
        yield {
            **{name: str(tmp_path / name) for name in ("scratch", "readable", "outside")},
            "secret": str(tmp_path / "outside/secret"),
            "data": str(tmp_path / "readable/data"),
            "masked": str(tmp_path / "readable/masked"),
            "tcp": str(tcp.getsockname()[1]),
            "udp": str(udp.getsockname()[1]),
            "abstract": name,
            "parent": str(os.getpid()),
        }


@pytest.fixture
def policy(world: dict[str, str]) -> Policy:
    """What a run on the CPU is given: one process, no network."""
    own = own_files()
    return Policy(
        read=(*own.read, Path(world["readable"])),
        write=(Path(world["scratch"]),),
        masked=(*own.masked, Path(world["masked"])),
    )


Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def start(sandbox: Sandbox, policy: Policy, world: dict[str, str]) -> Start:
    """Run Python code in the sandbox; named arguments change the policy."""

    def run(code: str, **changes: object) -> subprocess.CompletedProcess[str]:
        return execute(sandbox, replace(policy, **changes), code, world)  # type: ignore[arg-type]

    return run


@pytest.fixture
def start_bare(policy: Policy, world: dict[str, str]) -> Start:
    """Run Python code without a sandbox, to see that an attack would succeed."""

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return execute(Bare(), policy, code, world)

    return run


def execute(
    sandbox: Sandbox, policy: Policy, code: str, world: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-I", "-B", "-c", PRELUDE + code, json.dumps(world))
    variables = {"PATH": os.defpath, "HOME": world["scratch"], "TMPDIR": world["scratch"]}
    wrapped = sandbox.wrap(argv, variables, policy)
    done = subprocess.run(
        wrapped.argv,
        cwd=world["scratch"],
        env=dict(wrapped.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    done.returncode = wrapped.exit_code(done.returncode)
    return done
