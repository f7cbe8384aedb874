"""A test suite's report: one summary or one document, or there is no metric."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.measurement import MetricExtract
from autoresearch_mcp.core.metrics import extract, extract_problem
from autoresearch_mcp.core.testreports import figure_of

SUMMARY = MetricExtract(kind="pytest_summary")
JUNIT = MetricExtract(kind="junit")
FIGURES = {"passed": 2, "failed": 2, "errors": 1, "skipped": 1, "total": 6, "pass_rate": 0.4}
SUITE = """
import pytest

def test_one(): pass
@pytest.mark.parametrize("n", [1, 2])
def test_no(n): assert n == 3
def test_skipped(): pytest.skip("later")
@pytest.fixture
def broken(): raise OSError
def test_error(broken): pass
@pytest.mark.xfail(reason="known")
def test_known(): assert 0
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the real pytest prints of one suite, in each of its manners."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_it.py").write_text(SUITE)
    manners = {"plain": [], "quiet": ["-q"], "colour": ["--color=yes"]}
    manners["junit"] = ["-p", "no:terminal", "--junitxml=/dev/stdout"]
    return {name: run(folder, flags) for name, flags in manners.items()}


def run(folder: Path, flags: list[str]) -> bytes:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *flags, "test_it.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize("manner", ["plain", "quiet", "colour"])
@pytest.mark.parametrize("figure", FIGURES)
def test_pytests_summary_is_read(logs: dict[str, bytes], manner: str, figure: str) -> None:
    assert extract(SUMMARY, logs[manner], f"suite_{figure}").value == FIGURES[figure]


def test_a_junit_document_is_read(logs: dict[str, bytes]) -> None:
    # JUnit has no word for a failure that was expected: pytest writes it as skipped.
    expected = {**FIGURES, "passed": 1, "skipped": 2, "pass_rate": 0.25}
    found = {name: extract(JUNIT, logs["junit"], name).value for name in expected}
    assert found == expected
    assert extract(JUNIT, logs["junit"], "seconds").value is not None


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (b"", "no line of the log is a metric"),
        (b"x 3 passed in 0.10s\n", "no line"),
        (b"\r3 passed in 0.10s\n", "no line"),
        (b"3 passed in 0.10s x\n", "no line"),
        ("3\u0663 passed in 0.10s\n".encode(), "no line"),
        (b"3 passed in nans\n", "no line"),
        (b"1e9 passed in 0.10s\n", "no line"),
        (b"3 passed in 0.10s\n9 passed in 0.10s\n", "lines 1 and 2 both are the metric"),
        (b"no tests ran in 0.01s\n", "no line"),
    ],
)
def test_a_line_that_is_not_the_one_summary_is_no_metric(log: bytes, said: str) -> None:
    reading = extract(SUMMARY, log, "passed")
    assert reading.value is None
    assert said in str(reading.problem)


@pytest.mark.parametrize(
    "log",
    [
        b"<testsuite><testcase></testsuite>\n",
        b"<testsuite><testcase/>\n",
        b'<testsuite time="x"><testcase/></testsuite>\n',
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>\n<testsuite/>\n'[:60],
        b'<testsuite><!DOCTYPE a [<!ENTITY b "bb">]><testcase/></testsuite>\n',
        b"<testsuite><testcase/></testsuite>\n<testsuite><testcase/></testsuite>\n",
        b"say <testsuite><testcase/></testsuite>\n",
    ],
)
def test_a_document_that_is_not_the_one_report_is_no_metric(log: bytes) -> None:
    assert extract(JUNIT, log, "passed").value is None


def test_a_share_of_no_tests_is_no_metric() -> None:
    assert extract(JUNIT, b"<testsuites><testsuite/></testsuites>\n", "pass_rate").value is None
    assert extract(JUNIT, b"<testsuites><testsuite/></testsuites>\n", "failed").value == 0


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("tests_passed", "passed"),
        ("passRate", "pass_rate"),
        ("failing tests", "failed"),
        ("n_errors", "errors"),
        ("total_tests", "total"),
        ("suite_seconds", "seconds"),
        ("val_bpb", None),
    ],
)
def test_the_metrics_name_says_which_number_is_meant(name: str, figure: str | None) -> None:
    assert figure_of(name) == figure
    assert (extract_problem(SUMMARY, name) is None) == (figure is not None)


def test_the_example_of_a_test_report_is_a_golden_test_too() -> None:
    good = MetricExtract.model_validate(
        {"kind": "pytest_summary", "exampleStdout": "=== 3 passed, 1 warning in 1.02s ==="}
    )
    bad = MetricExtract.model_validate({"kind": "junit", "exampleStdout": "3 passed"})
    assert extract_problem(good, "passed") is None
    assert extract_problem(bad, "passed") is not None


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_are_no_metric(data: bytes) -> None:
    for rule in (SUMMARY, JUNIT):
        for log in (data, b"<testsuite>" + data + b"</testsuite>"):
            reading = extract(rule, log, "passed")
            assert (reading.value is None) != (reading.problem is None)
