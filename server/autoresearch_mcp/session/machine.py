"""What this machine is like, whatever the recipe: the first half of a check-up."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects import locks
from autoresearch_mcp.effects.repository.plumbing import Plumbing
from autoresearch_mcp.effects.sandbox import probe
from autoresearch_mcp.effects.sandbox.policy import Bare
from autoresearch_mcp.session.answers import Answer
from autoresearch_mcp.session.statefolder import lease_paths

_OLDEST_GLIBC = (2, 35)
_OLDEST_MACOS = 14
_GIB = 2**30
_SCARCE_GIB = 2.0
_FULL_GIB = 0.2
_MACHINES = {"linux": {"x86_64", "aarch64"}, "darwin": {"arm64"}}


class Check(Answer):
    """One finding of a check-up."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    fix: str | None = None


def ok(name: str, found: str) -> Check:
    """Return a finding that is as it should be."""
    return Check(name=name, state="ok", found=found)


def warning(name: str, found: str, fix: str | None = None) -> Check:
    """Return a finding that a person should know of; trials work."""
    return Check(name=name, state="warning", found=found, fix=fix)


def failed(name: str, found: str, fix: str | None = None) -> Check:
    """Return a finding that keeps trials from working."""
    return Check(name=name, state="failed", found=found, fix=fix)


def system() -> Iterator[Check]:
    """Look at the server's Python and the operating system."""
    yield ok("python", f"{platform.python_version()} at {sys.executable}")
    name = f"{platform.system()} {platform.machine()}"
    if platform.machine() not in _MACHINES.get(sys.platform, set()):
        yield warning("platform", name, "MLX has wheels for Linux x86_64, aarch64 and macOS arm64")
        return
    if sys.platform == "darwin":
        version = platform.mac_ver()[0]
        old = int(version.partition(".")[0] or 0) < _OLDEST_MACOS
        yield (warning if old else ok)("platform", f"macOS {version} {platform.machine()}")
        return
    library, version = platform.libc_ver()
    text = f"{name}, {library} {version}".rstrip(", ")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if library != "glibc" or numbers < _OLDEST_GLIBC:
        yield warning("platform", text, "MLX's wheels need glibc 2.35 or later: use a newer system")
    else:
        yield ok("platform", text)


def git(folder: Path) -> Iterator[Check]:
    """Look at git, and at who it says is committing."""
    try:
        plumbing = Plumbing(folder if folder.is_dir() else Path("/"))
        version = plumbing.run("version").decode().split()[2]
    except Fault as fault:
        yield failed("git", str(fault))
        return
    yield ok("git", version)
    reply = plumbing.ask("config", "--get-regexp", r"^user\.(name|email)$", as_user=True)
    found = dict(line.split(" ", 1) for line in reply.out.decode().splitlines() if " " in line)
    if "user.name" in found and "user.email" in found:
        yield ok("identity", f"commits are by {found['user.name']} <{found['user.email']}>")
    else:
        yield warning(
            "identity",
            "git does not know who you are: commits will be by autoresearch-mcp",
            "git config --global user.name NAME; git config --global user.email ADDRESS",
        )


def disk(places: dict[str, Path]) -> Iterator[Check]:
    """Look at the room and the rights in each place, by its name."""
    for name, place in places.items():
        present = next(p for p in (place, *place.parents) if p.exists())
        text = f"{place}"
        try:
            # Asking for permissions is no proof: a file system may be read-only.
            with tempfile.TemporaryFile(dir=present):
                free = shutil.disk_usage(present).free / _GIB
        except OSError as error:
            fix = f"make {present} writable for you, or choose another place"
            yield failed(name, f"{text} cannot be written: {error.strerror}", fix)
            continue
        text = f"{text}, {free:.1f} GiB free"
        if free < _SCARCE_GIB:
            yield (failed if free < _FULL_GIB else warning)(name, text, "free some disk space")
        else:
            yield ok(name, text)


def temporary_folder() -> Path:
    """Return where runs get their directories, as far as it can be told."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # no candidate can be written
        return Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - it is reported, not used


def lease() -> Check:
    """Look whether a trial, of whatever recipe, holds the machine."""
    (path,) = lease_paths(1)
    try:
        busy = locks.is_held(path)
    except OSError as error:
        fix = "make it writable for you, or set XDG_STATE_HOME"
        return failed("trial lease", f"{path} cannot be used: {error.strerror}", fix)
    if busy:
        return ok("trial lease", "a trial is running on this machine; further ones wait for it")
    return ok("trial lease", "free: no trial is running on this machine")


def sandbox(chosen: str | None = None) -> Check:
    """Run every sandbox once and say which one runs get, and what it was seen to deny.

    Args:
        chosen: The operator's choice; None for the best.
    """
    try:
        name = probe.select(chosen).name
    except Fault as fault:
        return failed("sandbox", str(fault))
    probes = probe.available()
    best = next(found for found in probes if found.name == name)
    if name != Bare.name:
        return ok("sandbox", f"{best.name}: {best.detail}")
    tried = "; ".join(f"{found.name}: {found.detail}" for found in probes if not found.works)
    why = "none was asked for" if chosen == Bare.name else "none works here"
    return warning(
        "sandbox",
        f"{why}: a recipe's code can do whatever you can ({tried or 'others work'})",
        "drive recipes and agents that you trust, or use a container",
    )
