"""What a run needs works in every sandbox, and its end is seen for what it is."""

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.sandbox import files, landlock
from autoresearch_mcp.effects.sandbox.policy import Policy, Sandbox

Start = Callable[..., subprocess.CompletedProcess[str]]


def skip_before(sandbox: Sandbox, version: int, linux: str) -> None:
    """Leave out what Landlock alone cannot do on an older kernel."""
    if sandbox.name == "landlock+seccomp" and landlock.version() < version:
        pytest.skip(f"not run: Landlock alone does this from Linux {linux} on")


def skip_unless_cuda_can_be(sandbox: Sandbox) -> None:
    if sandbox.name == "seatbelt":
        pytest.skip("not run: there is no CUDA on macOS")


def output(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_run_reads_its_data_and_fills_its_scratch(start: Start, world: dict[str, str]) -> None:
    code = """
import pathlib, shutil
print(open(world["data"]).read())
here = pathlib.Path(world["scratch"])
(here / "written").write_text("x")
os.rename(here / "written", here / "renamed")
shutil.copyfile(here / "renamed", here / "copied")
"""
    assert output(start(code)) == "training data"
    assert Path(world["scratch"], "copied").read_text() == "x"


def test_a_run_moves_files_between_folders_of_its_scratch(
    start: Start, sandbox: Sandbox, world: dict[str, str]
) -> None:
    skip_before(sandbox, 2, "5.19")
    code = """
import tempfile
with tempfile.TemporaryDirectory() as folder:
    open(f"{folder}/file", "w").close()
    os.rename(f"{folder}/file", world["scratch"] + "/moved")
"""
    assert output(start(code)) == ""
    assert Path(world["scratch"], "moved").exists()


def test_numpy_and_mlx_compute_with_threads(start: Start) -> None:
    code = """
import threading
import numpy as np, mlx.core as mx
totals = []
def work():
    totals.append(float((np.ones((300, 300)) @ np.ones((300, 300))).sum()))
threads = [threading.Thread(target=work) for _ in range(4)]
[one.start() for one in threads]; [one.join() for one in threads]
a = mx.ones((64, 64)); loss = mx.grad(lambda w: (a @ w).sum())(a); mx.eval(loss)
print(totals, loss.sum().item())
"""
    assert output(start(code, memory_bytes=2 << 30)) == f"{[300.0**3] * 4} {64.0**3}"


def test_a_run_talks_to_itself_through_a_pair_of_sockets(start: Start) -> None:
    code = "a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1)); os.kill(os.getpid(), 0)"
    assert output(start(code)) == "b'x'"


def test_a_run_on_cuda_may_do_what_its_managed_memory_needs(start: Start, sandbox: Sandbox) -> None:
    skip_unless_cuda_can_be(sandbox)
    code = """
import threading
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(f"\\0cuda-uvmfd-{os.getpid()}"); listener.listen()
done = threading.Event()
other = threading.Thread(target=done.wait); other.start()
with open(f"/proc/self/task/{other.native_id}/comm", "w") as name:
    name.write("named")
print(open(f"/proc/self/task/{other.native_id}/comm").read(), os.memfd_create("memory") > 2)
done.set()
"""
    assert output(start(code, devices="cuda")).split() == ["named", "True"]


def test_a_run_on_cuda_still_reaches_no_socket(
    start: Start, sandbox: Sandbox, world: dict[str, str]
) -> None:
    skip_unless_cuda_can_be(sandbox)
    code = """
def told(attempt):
    try:
        attempt()
    except OSError as error:
        return error.strerror
mine = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
print(told(lambda: mine.connect("\\0" + world["abstract"])))
print(told(lambda: mine.accept()))
for family, kind in (
    (socket.AF_UNIX, socket.SOCK_STREAM),
    (socket.AF_UNIX, socket.SOCK_DGRAM),
    (socket.AF_INET, socket.SOCK_STREAM),
    (socket.AF_INET, socket.SOCK_SEQPACKET),
):
    print(told(lambda: socket.socket(family, kind)))
"""
    assert output(start(code, devices="cuda")).splitlines() == [os.strerror(errno.EPERM)] * 6


def test_a_run_allowed_to_starts_other_processes(start: Start) -> None:
    code = "import subprocess; print(subprocess.run([sys.executable, '-c', 'print(1)']).returncode)"
    assert output(start(code, subprocesses=True)).split() == ["1", "0"]


def test_processes_of_a_run_reach_neither_others_nor_the_network(
    start: Start, sandbox: Sandbox
) -> None:
    skip_before(sandbox, 6, "6.12")
    code = """
import subprocess
inner = '''
import os, socket, sys
for attempt in (lambda: os.kill(int(sys.argv[1]), 0), socket.socket,
                lambda: open(sys.argv[2]).read()):
    try:
        print("allowed", attempt())
    except OSError as error:
        print("denied")
'''
subprocess.run([sys.executable, "-c", inner, world["parent"], world["secret"]], check=True)
"""
    assert output(start(code, subprocesses=True)).split() == ["denied"] * 3


def test_a_run_allowed_to_reaches_the_network(start: Start, world: dict[str, str]) -> None:
    code = "socket.create_connection(('127.0.0.1', int(world['tcp'])), 5); print('connected')"
    assert output(start(code, network=True)) == "connected"


@pytest.mark.parametrize(
    "attempt", ["socket(socket.AF_UNIX)", "socketpair(type=socket.SOCK_DGRAM)"]
)
def test_a_run_with_network_still_reaches_no_named_socket(start: Start, attempt: str) -> None:
    done = start(f"socket.{attempt}", network=True)
    assert "PermissionError" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="not run: macOS has not the second type")
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_SEQPACKET"])
def test_a_pair_stays_connected_to_itself(
    start: Start, world: dict[str, str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    code = f"""
os.chdir(world["readable"])
one, other = socket.socketpair(type=socket.{kind})
try:
    one.connect("listening")
except OSError as error:
    print(error.strerror)
one.send(b"x")
print(other.recv(1))
"""
    monkeypatch.chdir(world["readable"])
    with socket.socket(socket.AF_UNIX, getattr(socket, kind)) as listener:
        listener.bind("listening")
        listener.listen()
        answers = output(start(code, network=True)).splitlines()
    assert answers == [os.strerror(errno.EISCONN), "b'x'"]


def test_the_interpreters_own_modules_are_masked_by_name_with_what_was_compiled(
    start: Start, policy: Policy
) -> None:
    module = Path(os.__file__).parent / "turtle.py"
    code = f"""
from pathlib import Path
module = Path({str(module)!r})
answers = []
for file in [module, *module.parent.glob("__pycache__/turtle.*")]:
    try:
        answers.append(len(file.read_bytes()) > 0)
    except OSError:
        answers.append(False)
import calendar, sqlite3
print(any(answers))
"""
    assert output(start(code, masked=(*policy.masked, module))) == "False"


def test_the_longest_path_decides(start: Start, world: dict[str, str], policy: Policy) -> None:
    inner = Path(world["readable"], "closed/open")
    inner.mkdir(parents=True)
    (inner / "file").write_text("inner")
    (inner.parent / "file").write_text("between")
    code = f"""
print(open({str(inner / "file")!r}).read())
try:
    open({str(inner.parent / "file")!r})
except OSError:
    print("denied")
"""
    changed = {"read": (*policy.read, inner), "masked": (*policy.masked, inner.parent)}
    assert output(start(code, **changed)).split() == ["inner", "denied"]


@pytest.mark.parametrize("status", [0, 7])
def test_the_exit_status_is_the_runs_own(start: Start, status: int) -> None:
    assert start(f"sys.exit({status})").returncode == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
def test_a_death_by_signal_is_seen_as_one(start: Start, number: signal.Signals) -> None:
    assert start(f"os.kill(os.getpid(), {int(number)})").returncode == -number


def test_a_program_that_is_not_there_is_told(sandbox: Sandbox, policy: Policy) -> None:
    wrapped = sandbox.wrap(("/no/such/program",), {"PATH": os.defpath}, policy)
    done = subprocess.run(
        wrapped.argv, env=dict(wrapped.environment), capture_output=True, text=True, check=False
    )
    assert done.returncode == 125
    assert "/no/such/program was not started" in done.stderr


def test_an_inherited_descriptor_reaches_the_run(
    sandbox: Sandbox, policy: Policy, world: dict[str, str]
) -> None:
    read, write = os.pipe()
    argv = (sys.executable, "-I", "-c", f"import os; os.write({write}, b'handed over')")
    wrapped = sandbox.wrap(argv, {"PATH": os.defpath}, policy)
    environment = dict(wrapped.environment)
    subprocess.run(
        wrapped.argv, cwd=world["scratch"], env=environment, pass_fds=(write,), check=True
    )
    os.close(write)
    with os.fdopen(read, "rb") as end:
        assert end.read() == b"handed over"


@pytest.mark.skipif(os.getuid() != 0, reason="not run: only root empties the kernel's caches")
def test_a_run_still_reads_proc_when_the_kernel_was_short_of_memory(
    sandbox: Sandbox, policy: Policy, world: dict[str, str]
) -> None:
    code = """
import sys
for _ in range(2):
    print(*(bool(open(f"/proc/{name}").read()) for name in ("self/statm", "cpuinfo")), flush=True)
    sys.stdin.readline()
"""
    wrapped = sandbox.wrap((sys.executable, "-I", "-c", code), {"PATH": os.defpath}, policy)
    with subprocess.Popen(
        wrapped.argv,
        cwd=world["scratch"],
        env=dict(wrapped.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stdout.readline() == "True True\n"
        Path("/proc/sys/vm/drop_caches").write_text("2")
        run.stdin.write("\n")
        run.stdin.flush()
        assert run.stdout.readline() == "True True\n"


@pytest.mark.skipif(sys.platform != "linux", reason="not run: the kernel's tie is Linux's")
def test_the_run_dies_with_its_supervisor(
    sandbox: Sandbox, policy: Policy, world: dict[str, str]
) -> None:
    code = "import os, signal; os.write(1, b'up'); signal.pause()"
    wrapped = sandbox.wrap((sys.executable, "-I", "-c", code), {"PATH": os.defpath}, policy)
    supervise = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    supervisor = subprocess.Popen(
        (sys.executable, "-c", supervise, *wrapped.argv),
        cwd=world["scratch"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    with supervisor, supervisor.stdout or open(os.devnull) as pipe:  # noqa: PTH123
        assert os.read(pipe.fileno(), 2) == b"up"
        supervisor.kill()
        assert os.read(pipe.fileno(), 1) == b""  # every holder of the other end is gone


def test_an_interpreter_that_does_not_start_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="does not work"):
        files.runtime(tmp_path / "no-python")
