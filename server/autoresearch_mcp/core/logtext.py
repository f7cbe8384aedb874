"""Turn the raw bytes of a run's log into text that is safe to show to an agent.

A recipe prints what it likes: progress that overwrites itself with carriage returns (hundreds of
kilobytes on one "line"), terminal escapes, invisible or right-to-left characters meant to hide
something. Nothing is dropped in silence: what cannot be shown as it is becomes a visible escape.
"""

from collections.abc import Iterator

_NOTE_ROOM = 64
"""Bytes kept free for the note that says how much was cut."""


def escape(text: str) -> str:
    r"""Replace every character that does not print by a visible escape; keep newline and tab.

    Control characters, ANSI escapes, bidirectional overrides, zero-width characters, exotic spaces
    and unassigned code points all go. Backslashes stay, so the result is for reading, not decoding.

    Example:
        >>> print(escape("\x1b[31mred\u202e"))
        \x1b[31mred\u202e
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in "\n\t"
        else char.encode("unicode_escape", "backslashreplace").decode("ascii")
        for char in text
    )


def readable(data: bytes) -> str:
    r"""Show a log as a terminal would leave it: the last state of each line, escaped.

    Bytes that are not UTF-8 become U+FFFD.

    Example:
        >>> readable(b"step 1\rstep 2\r\ndone\n")
        'step 2\ndone\n'
    """
    return "\n".join(_settled(line) for line in data.split(b"\n"))


def tail(data: bytes, max_bytes: int = 4096, max_lines: int = 50) -> str:
    r"""Return the last lines of a log as safe text, saying first how much is not shown.

    Lines are kept whole as long as they fit; one line that alone exceeds the limit keeps its end.

    Args:
        data: The raw log, or any final part of it.
        max_bytes: Limit on the result encoded as UTF-8, the note included; at least 128.
        max_lines: Limit on the number of log lines.

    Example:
        >>> print(tail(b"one\ntwo\nthree\n", max_lines=2))
        [4 bytes above not shown]
        two
        three
    """
    room = max_bytes - _NOTE_ROOM
    end = len(data) - data.endswith(b"\n")
    lines: list[str] = []
    cut = end
    while cut > 0 and len(lines) < max_lines:
        start = data.rfind(b"\n", 0, end) + 1
        line = _settled(data[start:end])
        size = len(line.encode()) + 1
        if size > room:
            if not lines:
                lines.append(_last_bytes(line, room - 1))
            break
        lines.append(line)
        room -= size
        cut, end = start, start - 1
    note = [f"[{cut:,} bytes above not shown]"] if cut > 0 else []
    return "\n".join(note + lines[::-1])


def matching(data: bytes, text: str, max_bytes: int = 4096) -> str:
    r"""Return the lines that contain a text, numbered, as many from the start as fit.

    Example:
        >>> print(matching(b"loss: 3\nnote\nloss: 2\n", "loss"))
        1|loss: 3
        3|loss: 2
    """
    lines = enumerate(readable(data).split("\n"), 1)
    return _fitting((f"{number}|{line}" for number, line in lines if text in line), max_bytes)


def excerpt(data: bytes, first_line: int, max_bytes: int = 4096) -> str:
    r"""Return numbered lines from one on, as many as fit.

    Example:
        >>> print(excerpt(b"one\ntwo\nthree\n", 2))
        2|two
        3|three
    """
    lines = readable(data.removesuffix(b"\n")).split("\n")[first_line - 1 :]
    return _fitting((f"{n}|{line}" for n, line in enumerate(lines, first_line)), max_bytes)


def _fitting(lines: Iterator[str], max_bytes: int) -> str:
    """Join the lines that fit and say where the rest was left out."""
    room = max_bytes - _NOTE_ROOM
    shown: list[str] = []
    for line in lines:
        room -= len(line.encode()) + 1
        if room < 0:
            cut = [] if shown else [line.encode()[: max_bytes - _NOTE_ROOM].decode(errors="ignore")]
            return "\n".join([*shown, *cut, "[the rest is not shown]"])
        shown.append(line)
    return "\n".join(shown)


def _settled(line: bytes) -> str:
    """Return what a line showed last: the text after the final carriage return that overwrote."""
    state = line.rstrip(b"\r").rpartition(b"\r")[2]
    return escape(state.decode("utf-8", "replace"))


def _last_bytes(text: str, size: int) -> str:
    kept = text.encode()[-(size - len("…".encode())) :]
    return "…" + kept.decode("utf-8", "ignore")
