"""The noise that earlier sessions measured, one small file for each machine, data and harness."""

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from autoresearch_mcp.core.noise import NO_NOISE, Noise

_NOISE = TypeAdapter(Noise)


def load(folder: Path, key: str) -> Noise:
    """Return what was saved under a key; nothing where there is nothing that can be read."""
    try:
        return _NOISE.validate_json((folder / f"{key}.json").read_bytes())
    except (OSError, ValidationError):
        return NO_NOISE


def save(folder: Path, key: str, noise: Noise) -> None:
    """Replace what is saved under a key. A folder that cannot be written is left alone."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".new-")
        with os.fdopen(descriptor, "w") as file:
            json.dump({"squares": noise.squares, "df": noise.df}, file)
        Path(name).replace(folder / f"{key}.json")
