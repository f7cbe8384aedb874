"""Which files a process needs besides the recipe's own: interpreter, libraries, devices.

Narrow on purpose. The embedded corpus is made of the standard library's own files, so a second
copy of that library (another Python's, a package cache) must not be readable by the way.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.sandbox.policy import Devices

_PROBE_SECONDS = 60
_PROBE = """
import json, sys, sysconfig
print(json.dumps({
    "venv": sys.prefix if sys.prefix != sys.base_prefix else None,
    "prefixes": sorted({sys.base_prefix, sys.base_exec_prefix}),
    "library": sorted({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}),
    "packages": [path for path in sys.path if path],
    "programs": [sys.executable, getattr(sys, "_base_executable", None) or sys.executable],
}))
"""

_PREFIX_FOLDERS = ("lib", "lib64", "Python", "Resources")  # the last two in a macOS framework
_LIBRARY_FOLDERS = ("/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32")
_MORE_LIBRARY_FOLDERS = ("/usr/lib64", "/usr/libx32", "/usr/local/lib", "/usr/local/lib64")
_OTHER_INTERPRETERS = ("python*", "pypy*")
_SYSTEM = (
    *("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/etc/localtime", "/etc/timezone", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group"),
    *("/etc/alternatives", "/usr/share/zoneinfo", "/usr/share/locale", "/nix/store"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/loadavg"),
    *("/proc/uptime", "/proc/filesystems", "/proc/self", "/proc/sys/vm", "/proc/sys/kernel"),
    *("/sys/devices/system", "/sys/kernel/mm"),
)
_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl", "/etc/pki", "/etc/ca-certificates")
_PROGRAMS = ("/bin", "/usr/bin", "/usr/local/bin", "/usr/libexec", "/usr/include")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

_CUDA_DEVICES = ("nvidia*", "nvidia-caps/*", "dxg")
_CUDA = (
    *("/proc/devices", "/proc/driver", "/proc/modules", "/proc/sys/dev", "/sys"),
    *("/etc/nvidia", "/usr/share/nvidia", "/usr/local/nvidia", "/opt/cuda", "/etc/OpenCL"),
)
_CUDA_TOOLKITS = "/usr/local/cuda*"


@dataclass(frozen=True, slots=True)
class Files:
    """Paths to grant and paths among them to hide."""

    read: tuple[Path, ...]
    masked: tuple[Path, ...] = ()


def runtime(python: Path) -> Files:
    """Return what a Python interpreter and its environment need, after asking it.

    Raises:
        Fault: It does not start.
    """
    command = [str(python), "-I", "-c", _PROBE]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True
        )
        found = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Fault(f"the recipe's interpreter {python} does not work: {error}") from error
    prefixes = [Path(prefix) for prefix in found["prefixes"]]
    folders = [prefix / name for prefix in prefixes for name in _PREFIX_FOLDERS]
    own = [*found["library"], *found["packages"], *found["programs"], str(python)]
    if found["venv"]:
        own.append(found["venv"])
    return Files(read=_existing([*folders, *map(Path, own)]), masked=_other_interpreters(folders))


def system(devices: Devices, *, network: bool, subprocesses: bool) -> Files:
    """Return what every process of this machine may read, as far as it is there.

    Args:
        devices: The accelerator whose libraries and settings are needed.
        network: Whether names must be looked up and certificates checked.
        subprocesses: Whether the system's programs are needed.
    """
    libraries = [Path(path) for path in (*_LIBRARY_FOLDERS, *_MORE_LIBRARY_FOLDERS)]
    read = [*libraries, *map(Path, _SYSTEM)]
    if network:
        read += map(Path, _NETWORK)
    if subprocesses:
        read += map(Path, _PROGRAMS)
    if devices == "cuda":
        root, pattern = _CUDA_TOOLKITS.rsplit("/", 1)
        read += [*map(Path, _CUDA), *Path(root).glob(pattern)]
    return Files(read=_existing(read), masked=_other_interpreters(libraries))


def device_files(devices: Devices) -> tuple[Path, ...]:
    """Return the devices that may be opened, each for reading and writing."""
    found = [Path(path) for path in _DEVICES]
    if devices == "cuda":
        found += [path for pattern in _CUDA_DEVICES for path in sorted(Path("/dev").glob(pattern))]
    return _existing(found)


def _other_interpreters(folders: list[Path]) -> tuple[Path, ...]:
    """Return the standard libraries in these folders; the right one is granted by name."""
    return tuple(
        path
        for folder in folders
        for pattern in _OTHER_INTERPRETERS
        for path in folder.glob(pattern)
    )


def _existing(paths: list[Path]) -> tuple[Path, ...]:
    """Return the paths that are there, each once, in order."""
    return tuple(dict.fromkeys(path for path in paths if path.exists()))
