"""What a hostile run would try, in small: started inside a sandbox to see what it holds.

Run by path in the interpreter that is sandboxed; prints one JSON object, attempt -> answer.
Every attempt is harmless where it succeeds.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable

_PTRACE_SEIZE = 0x4206  # attaches without stopping the other


def main(where: dict[str, str]) -> None:
    """Try everything and print what came of it."""
    attempts: dict[str, Callable[[], object]] = {
        "scratch": lambda: _write(f"{where['scratch']}/file"),
        "write": lambda: _write(f"{where['outside']}/written"),
        "read": lambda: _read(f"{where['outside']}/secret"),
        "mask": lambda: _read(where["masked"]),
        "metadata": lambda: os.chmod(f"{where['outside']}/secret", 0o640),  # noqa: PTH101
        "tcp": lambda: _connect(socket.AF_INET, ("127.0.0.1", int(where["tcp"]))),
        "udp": lambda: _send(("127.0.0.1", int(where["udp"]))),
        "unix": lambda: _connect(socket.AF_UNIX, where["unix"]),
        "letters": lambda: _send_from_a_pair(where["letters"]),
        "processes": _fork,
        "signals": lambda: os.kill(int(where["pid"]), 0),
        "ptrace": lambda: _attach(int(where["pid"])),
    }
    print(json.dumps({name: _answer(attempt) for name, attempt in attempts.items()}))  # noqa: T201


def _answer(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    return "allowed"


def _write(path: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123
        file.write("written")


def _read(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123
        if not file.read(1):
            raise OSError(0, "it is empty")


def _connect(family: int, address: tuple[str, int] | str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        client.connect(address)


def _send(address: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", address)


def _send_from_a_pair(path: str) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.sendto(b"hello", path)


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _attach(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform != "linux":
        os.kill(pid, signal.SIGCONT)  # ptrace differs there; the right asked for is the same
    elif libc.ptrace(_PTRACE_SEIZE, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
