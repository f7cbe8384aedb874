"""Add, find and remove one table of a TOML document, leaving the rest as it is.

A table may stand anywhere in a document, so ours goes to the end. Whatever was edited is read
again: a document that this cannot do justice to is left to its owner.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, cast

_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


def entry(text: str, path: Sequence[str]) -> object | None:
    """Return the table at a path of names; None where there is none.

    Raises:
        ValueError: It is not TOML.
    """
    found: object = tomllib.loads(text)
    for name in path:
        found = cast("dict[str, object]", found).get(name) if isinstance(found, dict) else None
    return found


def added(text: str, path: Sequence[str], table: Mapping[str, object]) -> str:
    r"""Return the document with a table at its end, instead of the one at that path.

    Raises:
        ValueError: It is not TOML, or its own style leaves no place for a table.

    Example:
        >>> print(added("a = 1\n", ["servers", "b"], {"command": "x"}))
        a = 1
        <BLANKLINE>
        [servers.b]
        command = "x"
        <BLANKLINE>
    """
    before = removed(text, path) if entry(text, path) is not None else text
    gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
    after = before + gap + _rendered(path, table)
    if entry(after, path) != table:
        raise ValueError(f"there is no place for a table {'.'.join(path)}")
    return after


def removed(text: str, path: Sequence[str]) -> str:
    """Return the document without the table at a path and the tables in it.

    Raises:
        ValueError: It is written in another way than as a table of its own.
    """
    expected = tomllib.loads(text)
    parent: Any = expected
    for name in path[:-1]:
        parent = parent[name]
    del parent[path[-1]]
    own = re.compile(rf"\[{re.escape('.'.join(path))}[.\]]")
    starts = [match.start() for match in _HEADER.finditer(text)]
    kept = text[: starts[0]] if starts else text
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        block = text[start:end]
        if own.match(block.lstrip()):
            kept = kept.removesuffix("\n") if kept.endswith("\n\n") else kept
            block = _after_keys(block)
        kept += block
    if _pruned(tomllib.loads(kept)) != _pruned(expected):
        raise ValueError(f"{'.'.join(path)} is not a table of its own")
    return kept


def _rendered(path: Sequence[str], table: Mapping[str, object]) -> str:
    tables = {name: value for name, value in table.items() if _is_table(value)}
    lines = [f"[{'.'.join(path)}]"]
    # JSON writes strings, numbers and lists of strings as TOML does.
    lines += [f"{name} = {json.dumps(v)}" for name, v in table.items() if name not in tables]
    text = "\n".join(lines) + "\n"
    return text + "".join("\n" + _rendered([*path, n], t) for n, t in tables.items())


def _is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


def _after_keys(block: str) -> str:
    """Return the comments that follow a table's last key: they may be about what comes next."""
    lines = block.splitlines(keepends=True)
    keys = [n for n, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    return "".join(lines[keys[-1] + 1 :]).lstrip("\r\n")


def _pruned(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table without the empty tables in it: a header alone is as good as none."""
    found = {n: _pruned(v) if isinstance(v, dict) else v for n, v in table.items()}  # pyright: ignore[reportUnknownArgumentType]
    return {name: value for name, value in found.items() if value != {}}
