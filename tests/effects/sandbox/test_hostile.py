"""Attacks on the machine, as real code in every sandbox that works here.

What is tried at these levels must fail, and what it was aimed at must be as before.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch_mcp.effects.sandbox import syscalls

Start = Callable[..., subprocess.CompletedProcess[str]]

FILES = {
    "write a new file outside": "open(world['outside'] + '/new', 'w')",
    "overwrite a file outside": "open(world['secret'], 'w')",
    "overwrite a file it may read": "open(world['data'], 'w')",
    "delete a file it may read": "os.unlink(world['data'])",
    "rename a file it may read": "os.rename(world['data'], world['readable'] + '/other')",
    "move a file it may read to its scratch": "os.rename(world['data'], world['scratch'] + '/d')",
    "cut a file it may read": "os.truncate(world['data'], 0)",
    "cut a file while opening it to read": "os.open(world['data'], os.O_RDONLY | os.O_TRUNC)",
    "make a folder outside": "os.mkdir(world['outside'] + '/new')",
    "make a pipe in a readable folder": "os.mkfifo(world['readable'] + '/new')",
    "make a link in a readable folder": "os.symlink('x', world['readable'] + '/new')",
    "open the mode of a file outside": "os.chmod(world['secret'], 0o666)",
    "open the mode of a readable file": "os.chmod(world['data'], 0o666)",
    "open the mode by descriptor": "os.fchmod(os.open(world['data'], os.O_RDONLY), 0o666)",
    "change an owner": "os.chown(world['data'], os.getuid(), os.getgid())",
    "change a file's times": "os.utime(world['data'], (0, 0))",
    "change the times by descriptor": "os.utime(os.open(world['data'], os.O_RDONLY), (0, 0))",
    "attach an attribute": "os.setxattr(world['data'], 'user.note', b'x')",
    "read a secret": "open(world['secret']).read()",
    "read a secret by a link": (
        "os.symlink(world['secret'], world['scratch'] + '/l');open(world['scratch'] + '/l').read()"
    ),
    "read a secret by the root of the process": "open('/proc/self/root' + world['secret']).read()",
    "link a secret into the scratch": "os.link(world['secret'], world['scratch'] + '/linked')",
    "link a readable file into the scratch": "os.link(world['data'], world['scratch'] + '/linked')",
    "read the shadow file": "open('/etc/shadow').read()",
    "list a folder outside": "os.listdir(world['outside'])",
    "read another process's environment": "open(f'/proc/{world[\"parent\"]}/environ').read()",
    "read another process's memory": "open(f'/proc/{world[\"parent\"]}/mem', 'rb')",
    "read another process's command line": "open(f'/proc/{world[\"parent\"]}/cmdline').read()",
    "open a disk": "os.open(next(e.path for e in os.scandir('/dev') if e.name[:2] in "
    "('vd', 'sd', 'nv', 'me')), os.O_RDONLY)",
}

MASKED = {
    "read what is masked": "open(world['masked']).read()",
    "read what is masked by a link": (
        "os.symlink(world['masked'], world['scratch'] + '/m');open(world['scratch'] + '/m').read()"
    ),
    "link what is masked": "os.link(world['masked'], world['scratch'] + '/m')",
    "rename what is masked": "os.rename(world['masked'], world['readable'] + '/m')",
}

NETWORK = {
    "connect by TCP": "socket.create_connection(('127.0.0.1', int(world['tcp'])), 2)",
    "listen by TCP": "socket.create_server(('127.0.0.1', 0))",
    "send by UDP": "socket.socket(2, 2).sendto(b'x', ('127.0.0.1', int(world['udp'])))",
    "connect to a named socket": (
        "os.chdir(world['readable']);socket.socket(socket.AF_UNIX).connect('unix')"
    ),
    "connect to an abstract socket": (
        "socket.socket(socket.AF_UNIX).connect(b'\\0' + world['abstract'].encode())"
    ),
    "send to a named socket from a pair": (
        "os.chdir(world['readable']);"
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', 'letters')"
    ),
    "send to a named socket from a pair by its other name": (
        "os.chdir(world['readable']);"
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW)[0].sendto(b'x', 'letters')"
    ),
    "send to a named socket from a pair that does not block": (
        "os.chdir(world['readable']);socket.socketpair(socket.AF_UNIX, "
        "socket.SOCK_DGRAM | getattr(socket, 'SOCK_NONBLOCK', 0))[0].sendto(b'x', 'letters')"
    ),
    "send to an abstract socket from a pair": (
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]"
        ".sendto(b'x', b'\\0' + world['abstract'].encode() + b'-letters')"
    ),
    "turn a pair to a named socket": (
        "os.chdir(world['readable']);"
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].connect('letters')"
    ),
    "ask the kernel's routing": "socket.socket(16, 3, 0)",
    "reach the machine's host": "socket.socket(40, 1)",
    "make a pair of another family": "call(number('socketpair'), 40, 1, 0, (ctypes.c_int * 2)())",
}

PROCESSES = {
    "fork": "os.fork() or os._exit(0)",
    "fork twice into a session of its own": "os.fork() or (os.setsid(), os.fork(), os._exit(0))",
    "start a program": "__import__('subprocess').run([sys.executable, '-c', ''])",
    "start a program by posix_spawn": "os.posix_spawn(sys.executable, [sys.executable], {})",
    "fork with a terminal": "__import__('pty').fork()[0] or os._exit(0)",
    "clone by number": "call(number('clone'), signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0)",
    "clone with arguments in memory": "call(number('clone3'), ctypes.byref("
    "(ctypes.c_uint64 * 8)(0, 0, 0, 0, signal.SIGCHLD)), 64) or os._exit(0)",
    "see whether it may signal its parent": "os.kill(int(world['parent']), 0)",
    "signal its process group": "os.killpg(os.getpgid(0), 0)",
    "signal everyone": "os.kill(-1, 0)",
    "queue a signal to its parent": (
        "call(number('rt_sigqueueinfo'), int(world['parent']), 0, ctypes.create_string_buffer(128))"
    ),
    "signal its parent's thread": (
        "call(number('tgkill'), int(world['parent']), int(world['parent']), 0)"
    ),
    "signal any thread": "call(number('tkill'), int(world['parent']), 0)",
    "signal by a descriptor": "signal.pidfd_send_signal(os.pidfd_open(int(world['parent'])), 0)",
    "signal by a file's owner": "__import__('fcntl').fcntl(os.open(world['data'], 0), 8, "
    "int(world['parent']))",
    "trace its parent": "call(number('ptrace'), 0x4206, int(world['parent']), 0, 0)",
    "read its parent's memory": "call(number('process_vm_readv'), int(world['parent']), "
    "ctypes.create_string_buffer(16), 0, ctypes.create_string_buffer(16), 0, 0)",
    "limit its parent": "__import__('resource').prlimit(int(world['parent']), 7, (64, 64))",
    "slow its parent down": "os.setpriority(os.PRIO_PROCESS, int(world['parent']), 19)",
    "slow all of the user's processes down": "os.setpriority(os.PRIO_USER, 0, 19)",
    "pin its parent to a core": "os.sched_setaffinity(int(world['parent']), {0})",
    "outlive its parent": "assert not libc.prctl(1, 0, 0, 0, 0) or call(10**6)",
    "hide from the supervisor": "assert not libc.prctl(4, 0, 0, 0, 0) or call(10**6)",
    "raise its own limits": "__import__('resource').setrlimit(1, (-1, -1))",
}

KERNEL = {
    "set up io_uring": "call(number('io_uring_setup'), 8, ctypes.create_string_buffer(120))",
    "make namespaces": "call(number('unshare'), 0x10000000)",
    "join namespaces": "call(number('setns'), os.open(world['data'], 0), 0)",
    "mount": "call(number('mount'), b'none', world['scratch'].encode(), b'tmpfs', 0, None)",
    "change its root": "os.chroot(world['scratch'])",
    "load a BPF program": "call(number('bpf'), 0, ctypes.create_string_buffer(128), 128)",
    "watch the processor": (
        "call(number('perf_event_open'), ctypes.create_string_buffer(128), 0, -1, -1, 0)"
    ),
    "handle page faults": "call(number('userfaultfd'), 1)",
    "use the key ring": "call(number('keyctl'), 0, -3, 1, 0, 0)",
    "share memory by number": "call(number('shmget'), 0, 4096, 0o1600)",
    "hold files in memory": "os.memfd_create('x')",
    "change its personality": "call(number('personality'), 0x0040000)",
    "use a call newer than the filter": "call(463)",
    "regain capabilities": "call(number('setns'), -1, 0) if os.getuid() else os.setgroups([1])",
    "start a setuid program": "os.execv('/usr/bin/passwd', ['passwd', '--status'])",
}


def answer(start: Start, attack: str) -> str:
    """Run one attack; return `allowed`, or what the system said."""
    table = {name: syscalls.number(name, syscalls.machine()) for name in syscalls.names()}
    code = f"""
number = {table!r}.__getitem__
try:
    {attack}
except (OSError, ValueError, StopIteration) as error:
    print("denied:", error)
else:
    print("allowed")
"""
    done = start(code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def state(world: dict[str, str]) -> list[tuple[str, int, int, str]]:
    """Return names, modes, times and contents of what an attack is aimed at."""
    folders = [Path(world[name]) for name in ("outside", "readable")]
    entries = [entry for folder in folders for entry in sorted(folder.iterdir())]
    return [
        (
            str(entry),
            entry.lstat().st_mode,
            entry.lstat().st_mtime_ns,
            entry.read_text() if entry.is_file() else "",
        )
        for entry in entries
    ]


@pytest.mark.parametrize("attack", [*FILES, *MASKED])
def test_files_outside_the_scratch_stay_as_they_are(
    start: Start, world: dict[str, str], attack: str
) -> None:
    before = state(world)
    assert answer(start, {**FILES, **MASKED}[attack]).startswith("denied")
    assert state(world) == before


@pytest.mark.parametrize("attack", NETWORK)
def test_no_socket_leads_out(start: Start, attack: str) -> None:
    assert answer(start, NETWORK[attack]).startswith("denied")


@pytest.mark.skipif(sys.platform != "linux", reason="not run: calls of Linux")
@pytest.mark.parametrize("attack", PROCESSES)
def test_a_run_stays_one_process_and_leaves_others_alone(start: Start, attack: str) -> None:
    priority = os.getpriority(os.PRIO_PROCESS, 0)
    assert answer(start, PROCESSES[attack]).startswith("denied")
    assert os.getpriority(os.PRIO_PROCESS, 0) == priority


@pytest.mark.skipif(sys.platform != "linux", reason="not run: calls of Linux")
@pytest.mark.parametrize("attack", KERNEL)
def test_corners_of_the_kernel_are_closed(start: Start, attack: str) -> None:
    assert answer(start, KERNEL[attack]).startswith("denied")


@pytest.mark.parametrize(
    "attack",
    [
        FILES["read a secret"],
        FILES["open the mode of a file outside"],
        MASKED["read what is masked"],
        NETWORK["connect by TCP"],
        NETWORK["connect to a named socket"],
        pytest.param(
            NETWORK["send to a named socket from a pair"],
            marks=pytest.mark.skipif(sys.platform != "linux", reason="not run: a gap of Linux"),
        ),
        PROCESSES["fork"],
        PROCESSES["see whether it may signal its parent"],
    ],
)
def test_the_same_attack_succeeds_without_a_sandbox(start_bare: Start, attack: str) -> None:
    assert answer(start_bare, attack) == "allowed"


def test_no_secret_of_the_environment_is_left(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    done = start("print(dict(os.environ)); print(open('/proc/self/environ').read())")
    assert "hf_secret" not in done.stdout + done.stderr
    assert "HOME" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="not run: calls of Linux")
def test_a_run_has_no_powers_even_as_root(start: Start) -> None:
    done = start("print(open('/proc/self/status').read())")
    status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0


@pytest.mark.skipif(syscalls.machine() != "x86_64", reason="not run: code of x86-64")
def test_a_call_in_another_convention_gets_nowhere(start: Start) -> None:
    x32 = start("call(0x40000000 + 39)")
    assert "not implemented" in x32.stderr
    # mov eax, 20 (getpid of 32-bit code); int 0x80; ret
    code = r"""
import mmap
memory = mmap.mmap(-1, 4096, prot=7)
memory.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
ctypes.CFUNCTYPE(ctypes.c_int)(address)()
"""
    assert start(code).returncode == -31  # SIGSYS


def test_a_file_beyond_the_cap_ends_with_an_error(start: Start, world: dict[str, str]) -> None:
    done = start(
        "big = os.open('big', 65); os.write(big, bytes(1 << 20)); os.write(big, b'x')",
        scratch_bytes=1 << 20,
    )
    assert "File too large" in done.stderr
    assert Path(world["scratch"], "big").stat().st_size == 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="not run: macOS keeps no such limit")
@pytest.mark.parametrize("hog", ["bytearray(1 << 30)", "__import__('mmap').mmap(-1, 6 << 30)"])
def test_memory_beyond_the_cap_is_refused(start: Start, hog: str) -> None:
    done = start(f"bytes(1 << 24); {hog}", memory_bytes=512 << 20)
    assert "MemoryError" in done.stderr or "Cannot allocate memory" in done.stderr


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() == 0, reason="not run: as root")
def test_a_fork_bomb_is_stopped(start: Start) -> None:
    bomb = """
import os, signal, subprocess, sys
bomb = '''
import os, signal
count = 0
try:
    while os.fork():
        count += 1
    signal.pause()
except OSError as error:
    print(count, error, flush=True)
    os.killpg(0, signal.SIGKILL)
'''
subprocess.run([sys.executable, "-c", bomb], start_new_session=True)
"""
    done = start(bomb, subprocesses=True, max_tasks=50)
    assert "Resource temporarily unavailable" in done.stdout, done.stderr
