"""Edits: what an agent sends, and the source that comes of it.

An edit replaces text that occurs exactly once, or the whole file. Several replacements are applied
in order, each to the result so far. The file's own line endings are kept whatever the agent sends.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.source import MAX_SOURCE_BYTES

_CONFIG_SUFFIXES = (".cfg", ".conf", ".env", ".ini", ".json", ".toml", ".yaml", ".yml")
_SHOWN = 120
_LINES_SHOWN = 5
_LINES_COMPARED = 20_000
_MOST_COUNTED = 100


@dataclass(frozen=True, slots=True)
class Replacement:
    """Replace `old`, which must occur exactly once, by `new`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class WholeFile:
    """Replace the whole file."""

    content: str


@dataclass(frozen=True, slots=True)
class DiffStat:
    """Lines added and removed by an edit."""

    added: int
    removed: int

    @property
    def net(self) -> int:
        """Lines the file has grown by; negative if it got shorter."""
        return self.added - self.removed


def apply(source: str, edit: WholeFile | Sequence[Replacement]) -> str:
    r"""Return the source after an edit; the result is still to be checked by `encode_source`.

    Raises:
        Refusal: `edit.match` if a text to replace does not occur exactly once, `edit.size` or
            `edit.newline` if the new text may not be in the file.

    Example:
        >>> apply("depth = 2\nwidth = 128\n", [Replacement("depth = 2", "depth = 4")])
        'depth = 4\nwidth = 128\n'
    """
    newline = _newline_of(source)
    if isinstance(edit, WholeFile):
        return _fitted(edit.content, newline, "the content")
    if not edit:
        raise Refusal("edit.match", "no replacement was sent; send at least one {old, new}")
    for number, replacement in enumerate(edit, start=1):
        label = f"replacement {number} of {len(edit)}" if len(edit) > 1 else "the replacement"
        source = _replaced(source, replacement, newline, label)
    return source


def check_kind(path: str, allowed: Sequence[str]) -> None:
    """Return if the protocol allows edits of this kind of file.

    Raises:
        Refusal: `edit.kind`.
    """
    kind = "config_edit" if path.endswith(_CONFIG_SUFFIXES) else "code_edit"
    if kind not in allowed:
        kinds = ", ".join(allowed)
        raise Refusal("edit.kind", f"changing {path} is a {kind}; the protocol allows {kinds} only")


def unified_diff(path: str, before: str, after: str) -> str:
    """Return the change as a unified diff, empty if there is none."""
    lines = difflib.unified_diff(
        _lines(before), _lines(after), fromfile=f"a/{path}", tofile=f"b/{path}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def diff_stat(before: str, after: str) -> DiffStat:
    r"""Count the lines a change adds and removes.

    Example:
        >>> diff_stat("a\nb\n", "a\nc\nd\n")
        DiffStat(added=2, removed=1)
    """
    matcher = difflib.SequenceMatcher(None, _lines(before), _lines(after))
    changes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    return DiffStat(
        added=sum(end - start for _, _, _, start, end in changes),
        removed=sum(end - start for _, start, end, _, _ in changes),
    )


def _replaced(source: str, edit: Replacement, newline: str, label: str) -> str:
    if not edit.old:
        raise Refusal("edit.match", f"{label} has an empty `old`; quote the text to replace")
    old = edit.old.replace("\r\n", "\n").replace("\n", newline)
    new = _fitted(edit.new, newline, f"`new` of {label}")
    places = list(islice(_occurrences(source, old), _MOST_COUNTED))
    if not places:
        raise Refusal("edit.match", f"{label}: `old` does not occur; {_nearest(source, old)}")
    if len(places) > 1:
        raise Refusal("edit.match", f"{label}: {_ambiguous(source, places)}")
    result = source[: places[0]] + new + source[places[0] + len(old) :]
    _check_size(result, "the result")
    return result


def _fitted(text: str, newline: str, label: str) -> str:
    """Give new text the file's line endings; refuse what would bring in others."""
    _check_size(text, label)
    plain = text.replace("\r\n", "\n") if newline == "\r\n" else text
    if "\r" in plain:
        raise Refusal("edit.newline", f"{label} has a carriage return; end lines with \\n")
    return plain.replace("\n", newline)


def _check_size(text: str, label: str) -> None:
    # Characters, a lower bound on bytes: the exact check comes with the encoding.
    if len(text) > MAX_SOURCE_BYTES:
        raise Refusal(
            "edit.size",
            f"{label} has {len(text):,} characters; a file may have {MAX_SOURCE_BYTES:,} bytes",
        )


def _newline_of(source: str) -> str:
    r"""Return `\r\n` if every line of the file ends so, else `\n`."""
    endings = source.count("\n")
    return "\r\n" if endings and source.count("\r\n") == endings else "\n"


def _occurrences(source: str, text: str) -> Iterator[int]:
    """Yield where the text begins, overlapping occurrences included: those are ambiguous too."""
    place = source.find(text)
    while place >= 0:
        yield place
        place = source.find(text, place + 1)


def _ambiguous(source: str, places: list[int]) -> str:
    numbers = [str(source.count("\n", 0, place) + 1) for place in places[:_LINES_SHOWN]]
    least = "at least " if len(places) == _MOST_COUNTED else ""
    more = ", …" if len(places) > _LINES_SHOWN else ""
    return (
        f"`old` occurs {least}{len(places)} times (lines {', '.join(numbers)}{more}); "
        "quote more of the lines around it, so that it occurs once"
    )


def _nearest(source: str, old: str) -> str:
    """Point at the line of the file that is most like the first line of `old` it does not have."""
    lines = [line.rstrip()[:_SHOWN] for line in source.split("\n")[:_LINES_COMPARED]]
    wanted = [line.rstrip()[:_SHOWN] for line in old.split("\n") if line.strip()]
    present = set(lines)
    missing = next((line for line in wanted if line not in present), None)
    if missing is None:
        if not wanted:
            return "it has only blank lines; quote a line with text"
        number = lines.index(wanted[0]) + 1
        return f"each of its lines does, but not together as quoted; see line {number}"
    close = difflib.get_close_matches(missing, present - {""}, n=1)
    if not close:
        return f"no line of the file is like {missing!r}; read the file again"
    number = lines.index(close[0]) + 1
    return f"the nearest to {missing!r} is line {number}: {close[0]!r}"


def _lines(text: str) -> list[str]:
    r"""Split at `\n` alone: `splitlines` also breaks at characters that end no line of a file."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + lines[-1:] * bool(lines[-1])
