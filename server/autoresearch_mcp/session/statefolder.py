"""Where this machine's state lies that belongs to no single recipe."""

import os
from pathlib import Path


def state_folder() -> Path:
    """Return the folder of the trial lease and of the saved noise."""
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    # The standard for these variables has relative paths ignored.
    state = named if named.is_absolute() else Path.home() / ".local" / "state"
    return state / "autoresearch-mcp"


def lease_paths(count: int) -> tuple[Path, ...]:
    """Return the locks that make trials on this machine wait for each other.

    Args:
        count: How many trials may run at once.
    """
    names = ["lease", *(f"lease-{number}" for number in range(2, count + 1))]
    return tuple(state_folder() / name for name in names)
