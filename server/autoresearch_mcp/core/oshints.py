"""`environment.osHints`: for which systems a recipe was written, in its author's words."""

import re
from collections.abc import Iterable

_SYSTEMS = {
    "linux": frozenset({"linux", "ubuntu", "debian", "fedora", "arch", "nixos", "wsl"}),
    "darwin": frozenset({"darwin", "macos", "mac", "osx", "apple"}),
    "win32": frozenset({"windows", "win32", "win64"}),
}
_MACHINES = ({"x86_64", "amd64", "x64"}, {"arm64", "aarch64"})
_ALL_SYSTEMS = frozenset[str]().union(*_SYSTEMS.values())
_ALL_MACHINES = frozenset[str]().union(*_MACHINES)
_WORD = re.compile(r"[a-z0-9_]+")


def fits(hints: Iterable[str], system: str, machine: str) -> bool | None:
    """Tell whether a machine is among those hinted at; None where no hint names a known system.

    Args:
        hints: The protocol's: `linux-x86_64`, or words.
        system: As `sys.platform` has it.
        machine: As `platform.machine()` has it.

    Example:
        >>> fits(["darwin-arm64", "Apple Silicon Mac"], "linux", "x86_64")
        False
    """
    named = [words for hint in hints if (words := set(_WORD.findall(hint.lower()))) & _ALL_SYSTEMS]
    if not named:
        return None
    same = next((names for names in _MACHINES if machine.lower() in names), {machine.lower()})
    return any(
        words & _SYSTEMS.get(system, {system}) and (words & same or not words & _ALL_MACHINES)
        for words in named
    )
