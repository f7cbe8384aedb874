"""What kind of machine this is: results of two kinds are never ranked together."""

import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


def fingerprint() -> str:
    """Return processor, cores and memory in words that stay the same between two boots."""
    import psutil  # noqa: PLC0415 - only a run asks, and a server's start does without

    gib = round(psutil.virtual_memory().total / 2**30)
    return f"{_processor()}, {os.cpu_count()} cores, {gib} GiB"


def _processor() -> str:
    if _CPU_INFO.exists():
        lines = _CPU_INFO.read_text(errors="replace").splitlines()
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        if name := next(named, ""):
            return name
    return platform.processor() or platform.machine()
