"""Read a number from what a test suite reports: pytest's last line, or JUnit's XML.

Which number is the metric's name to say: `tests_passed`, `failures`, `pass_rate`, `suite_seconds`.
Both formats are read from the run's log, as untrusted as the rest of it.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Figure = Literal["passed", "failed", "errors", "skipped", "total", "pass_rate", "seconds"]

# In this order: `pass_rate` also has the word `pass`.
_WORDS: dict[Figure, frozenset[str]] = {
    "pass_rate": frozenset({"rate", "ratio", "share", "percent"}),
    "seconds": frozenset({"seconds", "second", "secs", "time", "duration", "runtime", "s"}),
    "errors": frozenset({"errors", "error"}),
    "failed": frozenset({"failed", "failures", "failing", "failure", "fails"}),
    "skipped": frozenset({"skipped", "skips"}),
    "passed": frozenset({"passed", "passing", "passes", "pass"}),
    "total": frozenset({"total", "tests", "count"}),
}
_COUNT = rb"[0-9]{1,9} (?:passed|failed|errors?|skipped|xfailed|xpassed|warnings?|deselected)"
_SUMMARY = re.compile(
    rb"(?:=+ )?(%b(?:, %b)*) in ([0-9]{1,9}(?:\.[0-9]{1,6})?)s(?: \([0-9:, a-z]+\))?(?: =+)?"
    % (_COUNT, _COUNT)
)
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_XML = re.compile(rb"^(?:<\?xml[^>\n]*\?>\s*)?<(testsuites?)[\s>]", re.MULTILINE)
_MAX_XML_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a suite came to; `seconds` is the suite's own claim."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def figure(self, figure: Figure) -> float | None:
        """Return one number of the report; None for a share of no tests at all."""
        judged = self.passed + self.failed + self.errors
        if figure == "pass_rate":
            return self.passed / judged if judged else None
        if figure == "total":
            return float(judged + self.skipped)
        return float(getattr(self, figure))


def figure_of(name: str) -> Figure | None:
    """Return the number that a metric's name asks for, None where it asks for none.

    Example:
        >>> figure_of("tests_passed"), figure_of("passRate"), figure_of("val_bpb")
        ('passed', 'pass_rate', None)
    """
    words = set(re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))
    return next((figure for figure, known in _WORDS.items() if words & known), None)


def pytest_summaries(log: bytes) -> Iterator[tuple[int, Report]]:
    """Yield line number and content of each line that is a summary of pytest's, from end to end."""
    for number, line in enumerate(log.split(b"\n"), start=1):
        if found := _SUMMARY.fullmatch(_COLOUR.sub(b"", line.rstrip(b"\r"))):
            yield number, _summary(found)


def junit_reports(log: bytes) -> Iterator[tuple[int, Report | None]]:
    """Yield line number and content of each JUnit document; None for one that is damaged."""
    place = 0
    while start := _XML.search(log, place):
        closing = b"</%b>" % start.group(1)
        end = log.find(closing, start.start())
        place = len(log) if end < 0 else end + len(closing)
        number = log.count(b"\n", 0, start.start()) + 1
        yield number, _document(log[start.start() : place])


def _summary(found: re.Match[bytes]) -> Report:
    counts: dict[str, int] = {}
    for part in found.group(1).decode().split(", "):
        count, word = part.split(" ")
        counts[word.removesuffix("s") if word.startswith("error") else word] = int(count)
    return Report(
        # A test that was expected to fail and did is a test that holds.
        passed=counts.get("passed", 0) + counts.get("xfailed", 0),
        failed=counts.get("failed", 0) + counts.get("xpassed", 0),
        errors=counts.get("error", 0),
        skipped=counts.get("skipped", 0),
        seconds=float(found.group(2)),
    )


def _document(data: bytes) -> Report | None:
    if len(data) > _MAX_XML_BYTES or b"<!" in data.replace(b"<![CDATA[", b""):
        return None
    try:
        root = ET.fromstring(data)  # noqa: S314 - no declarations, so no entities
        suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
        seconds = sum(float(suite.get("time", "0")) for suite in suites)
    except (ET.ParseError, ValueError, RecursionError):
        return None
    kinds = [_kind(case) for case in root.iter("testcase")]
    counts = {kind: kinds.count(kind) for kind in ("passed", "failed", "errors", "skipped")}
    return Report(**counts, seconds=seconds)


def _kind(case: ET.Element) -> str:
    if case.find("error") is not None:
        return "errors"
    if case.find("failure") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"
