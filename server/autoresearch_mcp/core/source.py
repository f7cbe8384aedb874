"""What the text of a file on the surface must be, whoever wrote it.

One spelling only: UTF-8 without tricks, so that what a person reads in a diff is what Python runs.
"""

import ast
import re
import warnings

from autoresearch_mcp.core.errors import Refusal

MAX_SOURCE_BYTES = 256 * 1024
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
_UTF8 = frozenset({"utf-8", "utf8"})
_SCRIPT_HEADER = re.compile(r"^[ \t\f]*#[ \t]*///", re.MULTILINE)
_SHOWN = 120


def decode_source(data: bytes, path: str) -> str:
    r"""Decode a file of the surface, line endings as they are.

    Raises:
        Refusal: `edit.size`, `edit.encoding`, `edit.newline`, `edit.header` or `edit.syntax`, with
            the place and what to do instead.

    Example:
        >>> decode_source(b"x = 1\n", "train.py")
        'x = 1\n'
    """
    if len(data) > MAX_SOURCE_BYTES:
        raise Refusal(
            "edit.size",
            f"{path} would have {len(data):,} bytes; at most {MAX_SOURCE_BYTES:,} are allowed",
        )
    if data.startswith(_BOMS):
        raise Refusal("edit.encoding", f"{path} begins with a byte order mark; leave it out")
    try:
        source = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path} is not UTF-8 (byte {error.start}, line {line}); write it as UTF-8"
        raise Refusal("edit.encoding", message) from error
    _check_characters(source, path)
    if path.endswith(".py"):
        _check_python(source, path)
    return source


def encode_source(source: str, path: str) -> bytes:
    """Encode a candidate's text for writing, after every check of `decode_source`.

    Raises:
        Refusal: As `decode_source` does.
    """
    try:
        data = source.encode("utf-8")
    except UnicodeEncodeError as error:
        line = source.count("\n", 0, error.start) + 1
        message = f"{path} has half a surrogate pair in line {line}; send whole characters"
        raise Refusal("edit.encoding", message) from error
    decode_source(data, path)
    return data


def _check_characters(source: str, path: str) -> None:
    if "\0" in source:
        line = source.count("\n", 0, source.index("\0")) + 1
        raise Refusal("edit.encoding", f"{path} has a NUL character in line {line}; take it out")
    if "\r" in source.replace("\r\n", "\n"):
        raise Refusal(
            "edit.newline",
            f"{path} has a carriage return inside a line, which Python takes for a new line; "
            "end lines with \\n",
        )


def _check_python(source: str, path: str) -> None:
    for line in source.split("\n", 2)[:2]:
        cookie = _COOKIE.match(line)
        if cookie and cookie.group(1).casefold().replace("_", "-") not in _UTF8:
            name = cookie.group(1)[:40]
            raise Refusal("edit.encoding", f"{path} declares the encoding {name}; use UTF-8")
    if header := _SCRIPT_HEADER.search(source):
        line = source.count("\n", 0, header.start()) + 1
        raise Refusal(
            "edit.header",
            f"{path} has an inline script header ('# ///') in line {line}; dependencies are the "
            "recipe's, take it out",
        )
    _check_syntax(source, path)


def _check_syntax(source: str, path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # No file name: Python would look the line up in a file of that name on disk.
            ast.parse(source)
        except SyntaxError as error:
            raise Refusal("edit.syntax", _where(source, path, error)) from error
        except (RecursionError, MemoryError) as error:
            message = f"{path} has an expression nested too deeply for Python; make it simpler"
            raise Refusal("edit.syntax", message) from error


def _where(source: str, path: str, error: SyntaxError) -> str:
    lines = source.split("\n")
    line = min(max(error.lineno or 1, 1), len(lines))
    text = lines[line - 1].strip()[:_SHOWN]
    return (
        f"{path} does not parse: line {line}, column {error.offset or 1}: {error.msg}: {text!r}; "
        "send an edit that leaves valid Python"
    )
