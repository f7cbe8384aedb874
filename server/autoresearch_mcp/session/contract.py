"""A protocol document looked at by itself: every problem, and what to know of a valid one."""

from pathlib import Path

from pydantic import Field

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.protocol import MAX_CHARACTERS, check_protocol
from autoresearch_mcp.core.protocol_lint import notes
from autoresearch_mcp.session.answers import Answer


class Line(Answer):
    """One finding about one place of the document."""

    path: str = Field(description="JSON path; empty for the document as a whole.")
    message: str


class Lint(Answer):
    """What was found in a document."""

    file: str
    valid: bool = Field(description="Whether trials may run under it.")
    problems: list[Line]
    notes: list[Line] = Field(description="Nothing that keeps a trial from running.")


def check(file: Path) -> Lint:
    """Look at a protocol document.

    Raises:
        Fault: The file cannot be read.
    """
    text, protocol = _read(file), None
    try:
        protocol, found = check_protocol(text)
    except Fault as fault:
        found = str(fault).split("\n")
    problems = [_line(line) for line in found]
    known = [] if protocol is None or problems else list(notes(protocol))
    return Lint(
        file=str(file),
        valid=not problems,
        problems=problems,
        notes=[Line(path=path, message=text) for path, text in known],
    )


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(4 * MAX_CHARACTERS + 1)
    except OSError as error:
        raise Fault(f"{file} cannot be read: {error.strerror}") from error
    return data.decode("utf-8", "replace")


def _line(text: str) -> Line:
    """Split a problem at its JSON path, which has no space."""
    path, colon, message = text.partition(": ")
    if not colon or " " in path:
        return Line(path="", message=text)
    return Line(path=path, message=message)
