"""Add, find and remove one member of a JSON document with comments, leaving the rest as it is.

Editors keep their settings in JSON with comments and trailing commas. Comments and trailing commas
are blanked, character for character, so that the standard decoder finds the places; the edit is
then made in the text itself.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a member of an object stands: from its name's first quote to its value's end."""

    name: str
    start: int
    value: int
    end: int


def parse(text: str) -> dict[str, Any]:
    """Return the document; one of nothing but space is an empty object.

    Raises:
        ValueError: It is not a JSON object.
    """
    plain = _blanked(text)
    found: object = json.loads(plain) if plain.strip() else {}
    if not isinstance(found, dict):
        raise ValueError("not an object")  # noqa: TRY004 - a malformed text, not a wrong call
    return cast("dict[str, Any]", found)


def entry(text: str, path: Sequence[str]) -> object | None:
    """Return the value at a path of names; None where there is none."""
    found: object = parse(text)
    for name in path:
        found = cast("dict[str, object]", found).get(name) if isinstance(found, dict) else None
    return found


def added(text: str, path: Sequence[str], value: object) -> str:
    r"""Return the document with a value at a path, objects made on the way where needed.

    Raises:
        ValueError: It is not a JSON object, or what is on the way is none.

    Example:
        >>> print(added('{"a": 1} // mine\n', ["b"], 2))
        {
          "b": 2,
          "a": 1} // mine
        <BLANKLINE>
    """
    if not _blanked(text).strip():
        text = "{}\n" if not text.strip() else text + "{}\n"
    parse(text)
    opening, found = _descend(text, path)
    missing = path[found:]
    if not missing:
        member = _member(text, opening, path[-1])
        assert member is not None
        return text[: member.value] + _rendered(value, len(path)) + text[member.end :]
    for name in reversed(missing[1:]):
        value = {name: value}
    line = f"{json.dumps(missing[0])}: {_rendered(value, found + 1)}"
    indent = "\n" + "  " * (found + 1)
    rest = text[opening + 1 :]
    if _members(text, opening):
        return f"{text[: opening + 1]}{indent}{line},{rest if rest[0].isspace() else indent + rest}"
    closing = "\n" + "  " * found if rest.lstrip().startswith("}") else ""
    return f"{text[: opening + 1]}{indent}{line}{closing}{rest.lstrip() if closing else rest}"


def removed(text: str, path: Sequence[str]) -> str:
    """Return the document without the member at a path, which must be there."""
    opening, found = _descend(text, path)
    member = _member(text, opening, path[-1])
    if found < len(path) or member is None:
        raise ValueError(f"there is no {'.'.join(path)}")
    blank, start, end = _blanked(text, trailing=False), member.start, member.end
    start = len(text[:start].rstrip())
    comma = _SPACE.match(blank, end)
    assert comma is not None
    if blank[comma.end() : comma.end() + 1] == ",":
        return text[:start] + text[comma.end() + 1 :]
    if blank[start - 1 : start] == ",":
        start -= 1
    return text[:start] + text[end:]


def _descend(text: str, path: Sequence[str]) -> tuple[int, int]:
    """Return the innermost object on a path, and how many of its names are there."""
    opening = _blanked(text).index("{")
    for depth, name in enumerate(path):
        member = _member(text, opening, name)
        if member is None:
            return opening, depth
        if depth == len(path) - 1:
            break
        if text[member.value] != "{":
            raise ValueError(f"{name} is not an object")
        opening = member.value
    return opening, len(path)


def _member(text: str, opening: int, name: str) -> _Member | None:
    return next((m for m in reversed(_members(text, opening)) if m.name == name), None)


def _members(text: str, opening: int) -> list[_Member]:
    plain, found, at = _blanked(text), list[_Member](), opening + 1
    while True:
        start = _after_space(plain, at)
        if plain[start] == "}":
            return found
        name, at = _DECODER.raw_decode(plain, start)
        value = _after_space(plain, _after_space(plain, at) + 1)
        _, at = _DECODER.raw_decode(plain, value)
        found.append(_Member(name, start, value, at))
        at = _after_space(plain, at)
        at += plain[at] == ","


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _blanked(text: str, *, trailing: bool = True) -> str:
    """Return the text with comments, and trailing commas, as so much space."""

    def comment(match: re.Match[str]) -> str:
        part = match[0]
        return part if part.startswith('"') else re.sub(r"[^\n]", " ", part)

    plain = _PARTS.sub(comment, text)
    return _TRAILING.sub(lambda m: m[1] or " ", plain) if trailing else plain


def _rendered(value: object, depth: int) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n" + "  " * depth)
