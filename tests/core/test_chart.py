"""The picture of the research: a valid PNG, whatever the values."""

import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.chart import HEIGHT, WIDTH, Mark, draw

VALUES = st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32)
MARKS = st.lists(st.builds(Mark, value=VALUES, kept=st.booleans()), max_size=40)


@given(MARKS)
def test_any_trials_make_a_picture_of_full_size(marks: list[Mark]) -> None:
    data = draw(marks)
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.pack(">I", zlib.crc32(kind + body)) == data[at + 8 + size : at + 12 + size]
        chunks[kind] = body
        at += 12 + size

    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (WIDTH, HEIGHT)
    assert len(zlib.decompress(chunks[b"IDAT"])) == HEIGHT * (WIDTH + 1)


def test_a_better_trial_moves_the_line() -> None:
    first = Mark(2.0, kept=True)
    assert draw([first, Mark(1.5, kept=True)]) != draw([first, Mark(1.5, kept=False)])
