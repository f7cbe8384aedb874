"""Prepared data by the back door: named as an asset, which runs may read."""

from pathlib import Path

import pytest

from .cases import Seen
from .conftest import Builder

pytestmark = pytest.mark.anyio


@pytest.fixture
def other(prepared: Path) -> Path:
    """A data set that is not the one in use, of the same text."""
    (manifest,) = prepared.glob("*/manifest.json")
    return manifest.parent


async def test_data_that_is_named_as_an_asset_stays_hidden(
    build: Builder, sandboxes: tuple[str, ...], other: Path
) -> None:
    """The cache that the data is in, and a data set of another cache, and what is no such thing."""
    steal = f"""
    OTHER = Path({str(other)!r})
    for name, data in (("own", prepare.DATA), ("other", OTHER)):
        for part in ("val/rows.npy", "val/tokens.npy", "holdout/rows.npy"):
            attempt(f"read {{name}} {{part}}", lambda: bool((data / part).read_bytes()))
    attempt("read other train", lambda: bool((OTHER / "train/tokens.npy").read_bytes()))
    attempt("read own train", lambda: bool((prepare.DATA / "train/tokens.npy").read_bytes()))
    attempt("read what is foreign", lambda: (OUTSIDE / "precious.txt").read_text().strip())
    """
    named = ("{folder}/data", str(other), "{folder}/outside")
    options = [word for path in named for word in ("--asset", path)]
    async with build(sandboxes[0], *options) as arena:
        strike = await arena.strike(steal)

    parts = ("val/rows.npy", "val/tokens.npy", "holdout/rows.npy")
    denied = [f"read {name} {part}" for name in ("own", "other") for part in parts]
    Seen(
        says=dict.fromkeys([*denied, "read other train"], "denied")
        | {"read own train": "done", "read what is foreign": "precious"}
    ).check(strike)
    assert strike.trial["outcome"]["trust"] == "sealed"
