"""The prepared data sets of this machine, found by their manifests."""

from __future__ import annotations  # array[int] is a type from Python 3.12 on

import hashlib
import json
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.evaluation import EvaluationData
from autoresearch_mcp.core.manifest import Manifest, parse_manifest

CACHE_VARIABLE = "AUTORESEARCH_CACHE"
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class PreparedData:
    """A prepared data set and where it lies."""

    folder: Path
    manifest: Manifest


def cache_folder() -> Path:
    """Return the folder that holds one sub-folder per prepared data set."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named or "~/.cache/autoresearch").expanduser()


def find(harness_sha256: str, cache: Path) -> PreparedData | None:
    """Return the newest data set that this very harness prepared, or None.

    Args:
        harness_sha256: Hash of the recipe's prepare.py.
        cache: The folder to look in.
    """
    found: list[PreparedData] = []
    for file in cache.glob("*/manifest.json"):
        try:
            manifest = parse_manifest(file.read_text(), str(file))
        except (Fault, OSError):  # another version's, or not ours: not a candidate
            continue
        if manifest.harness_sha256 == harness_sha256:
            found.append(PreparedData(file.parent, manifest))
    return max(found, key=lambda data: data.manifest.created_at, default=None)


def sets_around(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the folder of every data set, of any version, that lies at, below or above a path."""
    for path in paths:
        real = path.resolve()
        below = (Path(folder) for folder, _, _ in os.walk(real))
        yield from (folder for folder in (*real.parents, *below) if _source(folder) is not None)


def never_readable(folder: Path) -> tuple[Path, ...]:
    """Return the parts of a data set that no run may read: the holdout, and what it was made of."""
    source = _source(folder)
    made_of = (folder.parent / source,) if source else ()  # where prepare.py downloads it to
    return (folder / "holdout", *made_of)


def _source(folder: Path) -> str | None:
    """Return the name of what a data set was made of; None where no data set lies here."""
    try:
        found = json.loads((folder / _MANIFEST).read_bytes())
        return Path(found["source"]).name if found["data_id"] and found["harness_sha256"] else None
    except (OSError, ValueError, LookupError, TypeError):  # there is none, or it is not ours
        return None


def evaluation_data(data: PreparedData, *, holdout: bool = False) -> EvaluationData | None:
    """Return the rows that the server scores models on, None where the data set has none.

    Args:
        data: The data set.
        holdout: Return those that only a certificate is scored on instead.
    """
    files, width = data.manifest.evaluation, data.manifest.profile.max_seq_len + 1
    rows_file = None if files is None else files.holdout if holdout else files.rows
    if files is None or rows_file is None:
        return None
    tokens = _numbers(data.folder / rows_file, "H")
    rows = tuple(tokens[start : start + width] for start in range(0, len(tokens), width))
    return EvaluationData(rows, _numbers(data.folder / files.token_bytes, "i"))


def _numbers(file: Path, code: Literal["H", "i"]) -> array[int]:
    """Read the numbers of an array of NumPy's, whatever its shape.

    A file of format 1 begins with 10 bytes, the last two the length of the header that follows
    (numpy.lib.format).
    """
    raw = file.read_bytes()
    found: array[int] = array(code)
    found.frombytes(raw[10 + int.from_bytes(raw[8:10], "little") :])
    return found


def damage(data: PreparedData) -> str | None:
    """Compare every file of a data set with its manifest, extra files included.

    Returns:
        What is wrong, naming the file, or None when all is as it was prepared.
    """
    expected = data.manifest.files
    present = {
        file.relative_to(data.folder).as_posix(): file
        for file in data.folder.rglob("*")
        if not file.is_dir() or file.is_symlink()
    }
    present.pop(_MANIFEST, None)
    if extra := sorted(present.keys() - expected.keys()):
        return f"{data.folder / extra[0]} does not belong to the prepared data"
    for name, file in expected.items():
        path = present.get(name)
        if path is None:
            return f"{data.folder / name} is missing from the prepared data"
        if path.is_symlink() or path.stat().st_size != file.size or _sha256(path) != file.sha256:
            return f"{path} is not the file that was prepared"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(folder: Path) -> PreparedData:
    """Return the data set in a folder.

    Raises:
        Fault: There is none, or not one that this version understands.
    """
    file = folder / _MANIFEST
    try:
        text = file.read_text()
    except OSError as error:
        raise Fault(
            f"the prepared data at {folder} is gone ({error.strerror}): "
            "run `autoresearch-mcp prepare`"
        ) from error
    return PreparedData(folder, parse_manifest(text, str(file)))
