r"""Read a metric from the log of a run.

The log is written by untrusted code, so the reading is strict: exactly one line may match, from its
first byte; lines end at `\n` alone, so that a progress bar's `\r` starts none; the digits are ASCII
and the number is finite. Anything else is no metric, with the reason.
"""

import json
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from autoresearch_mcp.core.measurement import MetricExtract
from autoresearch_mcp.core.testreports import Report, figure_of, junit_reports, pytest_summaries

_LINE = re.compile(rb"[^\n]+")
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MAX_NUMBER_BYTES = 64
_CUT_BEFORE = re.compile(rb"[0-9.+\-]\Z")
_CUT_AFTER = re.compile(rb"[0-9\x80-\xff]|[._][0-9]|[eE][+-]?[0-9]")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_MAX_JSON_BYTES = 1 << 20
_TEST_REPORTS = frozenset({"junit", "pytest_summary"})
_NO_PLUG_IN = "found 'custom', but no plug-in of that kind exists; print the number and use regex"
_FIGURES = "passed, failed, errors, skipped, total, pass_rate or seconds"


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric's value, or the reason why there is none; never both."""

    value: float | None
    problem: str | None = None


def reads_test_report(rule: MetricExtract) -> bool:
    """Tell whether the metric is a test suite's, whose exit status 1 says that tests failed."""
    return rule.kind in _TEST_REPORTS


def extract(rule: MetricExtract, log: bytes, name: str = "") -> Reading:
    r"""Read one metric from a run's log.

    Kind `regex`: the first group of the pattern, matched from the beginning of single lines.
    Kind `json_pointer`: the log as one JSON document, or else the one line that is a JSON document
    in which the pointer leads somewhere.
    Kinds `pytest_summary` and `junit`: the one summary line or XML document of a test suite.

    Args:
        rule: The metric's extract, one that `extract_problem` has no objection to.
        log: The raw bytes of stdout and stderr.
        name: The metric's name; of a test suite's report it says which number is meant.

    Example:
        >>> rule = MetricExtract(kind="regex", pattern=r"^loss:\s+([0-9.]+)")
        >>> extract(rule, b"step 1\rloss: 9.0\nloss: 2.5\n")
        Reading(value=2.5, problem=None)
    """
    found = _found(rule, log, name)
    first = next(found, None)
    if first is None:
        return Reading(None, f"no line of the log is a metric ({_what(rule)})")
    second = next(found, None)
    if second is not None:
        return Reading(None, f"lines {first[0]} and {second[0]} both are the metric; one may be")
    return first[1]


def extract_problem(rule: MetricExtract, name: str = "") -> tuple[str, str] | None:
    """Say why a metric cannot be read by this rule: the field at fault and the reason.

    The example of the document is a golden test: its own rule must read a number from it.
    """
    problem = _rule_problem(rule, name)
    if problem or rule.example_stdout is None:
        return problem
    reading = extract(rule, rule.example_stdout.encode(), name)
    return ("exampleStdout", f"not parsed: {reading.problem}") if reading.problem else None


def _found(rule: MetricExtract, log: bytes, name: str) -> Iterator[tuple[int, Reading]]:
    match rule.kind:
        case "json_pointer":
            return _pointed(rule.json_pointer or "", log)
        case "junit":
            return ((line, _reported(report, name)) for line, report in junit_reports(log))
        case "pytest_summary":
            return ((line, _reported(report, name)) for line, report in pytest_summaries(log))
        case _:
            return _matched(_compile(rule.pattern or ""), log)


def _reported(report: Report | None, name: str) -> Reading:
    figure = figure_of(name)
    if report is None or figure is None:
        return Reading(None, "the report of the tests is damaged or too large")
    value = report.figure(figure)
    return Reading(None, "the report has no tests") if value is None else _finite(value)


def _rule_problem(rule: MetricExtract, name: str) -> tuple[str, str] | None:
    match rule.kind:
        case "custom":
            return ("kind", _NO_PLUG_IN)
        case "junit" | "pytest_summary":
            if figure_of(name) is None:
                return ("kind", f"'{rule.kind}': the metric's name must say which: {_FIGURES}")
        case "json_pointer":
            if rule.json_pointer is None or not _POINTER.fullmatch(rule.json_pointer):
                return ("jsonPointer", "must be a JSON pointer (RFC 6901), as in '/val/loss'")
        case "regex":
            if not rule.pattern:
                return ("pattern", "missing; kind 'regex' needs one")
            return _pattern_problem(rule.pattern)
    return None


def _pattern_problem(pattern: str) -> tuple[str, str] | None:
    try:
        groups = _compile(pattern).groups
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        return ("pattern", f"does not compile: {error}")
    return None if groups else ("pattern", "has no capture group; the first one is the value")


@lru_cache(maxsize=32)
def _compile(pattern: str) -> re.Pattern[bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(pattern.encode())


def _matched(pattern: re.Pattern[bytes], log: bytes) -> Iterator[tuple[int, Reading]]:
    """Yield line number and reading of each line that matches from its first byte."""
    for line in _LINE.finditer(log):
        if found := pattern.match(line.group().rstrip(b"\r")):
            yield _number_of(line), _captured(found)


def _number_of(line: re.Match[bytes]) -> int:
    return line.string.count(b"\n", 0, line.start()) + 1


def _captured(found: re.Match[bytes]) -> Reading:
    text = found.group(1)
    if text is None:
        return Reading(None, "the line matches but the pattern's first group is empty")
    start, end = found.span(1)
    line = found.string
    shown = ascii(line[max(0, start - 8) : end + 8][:_MAX_NUMBER_BYTES].decode("utf-8", "replace"))
    # A pattern that stops early would turn 1.5e-3 into 1.5, and one that starts late -3 into 3.
    if _CUT_BEFORE.search(line[:start][-1:]) or _CUT_AFTER.match(line, end):
        return Reading(None, f"the pattern reads only part of the number in {shown}")
    if len(text) > _MAX_NUMBER_BYTES or not _NUMBER.fullmatch(text):
        return Reading(None, f"{shown} has no plain decimal number where the metric should be")
    return _finite(float(text))


def _finite(value: float) -> Reading:
    if not math.isfinite(value):
        return Reading(None, f"the metric is {value}, not a finite number")
    return Reading(value)


def _pointed(pointer: str, log: bytes) -> Iterator[tuple[int, Reading]]:
    """Yield line number and reading of each JSON document that has something at the pointer."""
    if whole := _leads_to(pointer, log):
        yield 1, whole
        return
    for line in _LINE.finditer(log):
        if line.group().startswith((b"{", b"[")) and (found := _leads_to(pointer, line.group())):
            yield _number_of(line), found


def _leads_to(pointer: str, data: bytes) -> Reading | None:
    """Read the number at the pointer, or return None if the data has no such place."""
    if len(data) > _MAX_JSON_BYTES:
        return None
    try:
        # Integers as floats: the size of an int has no limit, that of a float has.
        value: Any = json.loads(data.decode("utf-8"), parse_int=float)
        for part in pointer.split("/")[1:]:
            value = _step(value, part.replace("~1", "/").replace("~0", "~"))
    except (ValueError, LookupError, RecursionError):
        return None
    if not isinstance(value, float):
        return Reading(None, f"{pointer or 'the document'} is not a number")
    return _finite(value)


def _step(value: object, part: str) -> object:
    if isinstance(value, list):
        if not re.fullmatch(r"0|[1-9][0-9]{0,8}", part):
            raise LookupError(part)
        return cast("list[object]", value)[int(part)]
    if isinstance(value, dict):
        return cast("dict[str, object]", value)[part]
    raise LookupError(part)


def _what(rule: MetricExtract) -> str:
    if rule.kind == "json_pointer":
        return f"JSON with something at '{rule.json_pointer}'"
    return f"pattern {rule.pattern}" if rule.kind == "regex" else rule.kind
