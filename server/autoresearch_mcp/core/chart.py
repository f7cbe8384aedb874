"""Draw the research as a picture: every trial's value, and the line of the best so far.

A PNG of plain rectangles and lines needs a hundred lines and zlib. A plotting library would cost
every start of the server and some 30 MB for the same picture.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 16, 20, 28
_SCALE = 2
"""Pixels to a dot of a digit."""

_PALETTE = {
    "paper": (255, 255, 255),
    "axis": (90, 90, 90),
    "grid": (228, 228, 228),
    "discard": (170, 170, 170),
    "keep": (27, 142, 75),
    "crash": (200, 60, 50),
}
_INK = {name: number for number, name in enumerate(_PALETTE)}

# Three dots wide, five high, a row a digit of octal.
_GLYPHS = {
    "0": 0o75557,
    "1": 0o26227,
    "2": 0o71747,
    "3": 0o71717,
    "4": 0o55711,
    "5": 0o74717,
    "6": 0o74757,
    "7": 0o71111,
    "8": 0o75757,
    "9": 0o75717,
    ".": 0o00002,
    "-": 0o00700,
    "e": 0o07747,
    "+": 0o02720,
}


@dataclass(frozen=True, slots=True)
class Mark:
    """One trial in the picture.

    Args:
        value: Its metric; None draws a crash at the foot.
        kept: Whether it became the incumbent.
    """

    value: float | None
    kept: bool


class _Canvas:
    """Rows of palette numbers."""

    def __init__(self) -> None:
        self.rows = [bytearray(WIDTH) for _ in range(HEIGHT)]

    def box(self, left: int, top: int, right: int, bottom: int, ink: str) -> None:
        """Fill a rectangle, both ends included, as far as it is on the paper."""
        left, right = max(0, left), min(WIDTH - 1, right)
        for y in range(max(0, top), min(HEIGHT - 1, bottom) + 1):
            if left <= right:
                self.rows[y][left : right + 1] = bytes([_INK[ink]]) * (right + 1 - left)

    def text(self, right: int, top: int, text: str) -> None:
        """Write digits that end at a column."""
        left = right - 4 * _SCALE * len(text)
        for position, character in enumerate(text):
            bits = _GLYPHS.get(character, 0)
            for dot in range(15):
                if bits >> (14 - dot) & 1:
                    x = left + (position * 4 + dot % 3) * _SCALE
                    y = top + dot // 3 * _SCALE
                    self.box(x, y, x + _SCALE - 1, y + _SCALE - 1, "axis")

    def png(self) -> bytes:
        """Return the picture as a PNG of eight-bit palette colours."""
        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
        colours = b"".join(bytes(colour) for colour in _PALETTE.values())
        pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in self.rows), 9)
        chunks = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", pixels), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def draw(marks: Sequence[Mark]) -> bytes:
    """Return the picture of trials in their order, as a PNG of WIDTH x HEIGHT pixels.

    Grey dots are discarded trials, green ones kept, red ones at the foot had no value; the green
    line is the incumbent's value.
    """
    canvas = _Canvas()
    values = [mark.value for mark in marks if mark.value is not None]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = (high - low) or abs(high) or 1.0
    foot, head = HEIGHT - _BOTTOM, _TOP

    def row(value: float) -> int:
        return round(foot - 12 - (value - low) / span * (foot - 12 - head))

    for number in range(5) if values else ():
        value = low + span * number / 4
        canvas.box(_LEFT, row(value), WIDTH - _RIGHT, row(value), "grid")
        canvas.text(_LEFT - 6, row(value) - 5, f"{value:.5g}")
    canvas.box(_LEFT, head, _LEFT, foot, "axis")
    canvas.box(_LEFT, foot, WIDTH - _RIGHT, foot, "axis")
    if marks:
        canvas.text(WIDTH - _RIGHT, foot + 8, str(len(marks)))
        _trials(canvas, marks, row)
    return canvas.png()


def _trials(canvas: _Canvas, marks: Sequence[Mark], row: Callable[[float], int]) -> None:
    step = (WIDTH - _RIGHT - _LEFT - 12) / len(marks)
    best: int | None = None
    for number, mark in enumerate(marks):
        left, x = _LEFT + 6 + round(number * step), _LEFT + 6 + round((number + 0.5) * step)
        if best is not None:
            canvas.box(left, best - 1, _LEFT + 6 + round((number + 1) * step), best, "keep")
        y = HEIGHT - _BOTTOM - 4 if mark.value is None else row(mark.value)
        ink = "crash" if mark.value is None else "keep" if mark.kept else "discard"
        if mark.kept:
            canvas.box(x, min(y, y if best is None else best), x + 1, max(y, best or y), "keep")
            canvas.box(x, y - 1, _LEFT + 6 + round((number + 1) * step), y, "keep")
            best = y
        canvas.box(x - 2, y - 2, x + 2, y + 2, ink)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
