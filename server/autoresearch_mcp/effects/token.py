"""The secret that lets a client in over HTTP: a file that only its owner can read."""

import os
import secrets
import stat
from pathlib import Path

from autoresearch_mcp.core.errors import Fault

_BYTES = 32
_LEAST_CHARACTERS = 32
_OWNER_ONLY = 0o600


def token_at(path: Path) -> str:
    """Return the secret in a file; make the file where it is missing.

    Raises:
        Fault: Others may read the file, or what it holds is no secret.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except FileExistsError:
        return _read(path)
    token = secrets.token_urlsafe(_BYTES)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
    return token


def _read(path: Path) -> str:
    with path.open() as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & ~_OWNER_ONLY:
            raise Fault(f"others may read {path}: chmod 600 it, or delete it to have a new one")
        token = file.read().strip()
    if len(token) < _LEAST_CHARACTERS or not token.isascii():
        raise Fault(f"{path} holds no secret of {_LEAST_CHARACTERS} characters: delete it")
    return token
