r"""Metrics: one line, at its start, a finite number in ASCII; everything else is no metric."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.measurement import MetricExtract
from autoresearch_mcp.core.metrics import Reading, extract, extract_problem


def rule(**fields: str) -> MetricExtract:
    return MetricExtract.model_validate(fields)


VAL_BPB = rule(kind="regex", pattern=r"^val_bpb:\s+([0-9]+(?:\.[0-9]+)?)")
LOOSE = rule(kind="regex", pattern=r"val_bpb:\s*(\S+)")
POINTER = rule(kind="json_pointer", jsonPointer="/val/0/bpb")


def test_the_summary_of_the_recipe_is_read() -> None:
    log = b"step 1\n\rstep 2 | loss: 3\n---\nval_bpb:          2.534000\npeak_vram_mb: 27528.9\n"
    assert extract(VAL_BPB, log) == Reading(2.534)


@given(st.floats(0, 1e6, allow_nan=False))
def test_any_number_printed_is_the_number_read(value: float) -> None:
    assert extract(VAL_BPB, b"---\nval_bpb: %.6f\n" % value).value == float(f"{value:.6f}")
    assert extract(LOOSE, f"val_bpb: {value!r}\n".encode()).value == value


# Threats 1, 2, 5 to 8: a line that is not the recipe's one line is no metric.
@pytest.mark.parametrize(
    ("log", "said"),
    [
        (b"", "no line of the log"),
        (b"val_bpb: 0.1\nval_bpb: 2.5\n", "lines 1 and 2 both"),
        (b"val_bpb: 2.5\n\n\nval_bpb: 2.5\n", "lines 1 and 4 both"),
        (b"step 9\rval_bpb: 0.1\n", "no line of the log"),
        (b"\rval_bpb: 0.1\n", "no line of the log"),
        (b"x val_bpb: 0.1\n", "no line of the log"),
        (b"\x85val_bpb: 0.1\n", "no line of the log"),
        ("\u2028val_bpb: 0.1\n".encode(), "no line of the log"),
        (b"\x0bval_bpb: 0.1\x0c\n", "no line of the log"),
        ("val_bpb: \u0663.\u0660\n".encode(), "no line of the log"),
        (b"val_bpb: nan\n", "no line of the log"),
        (b"val_bpb: -inf\n", "no line of the log"),
        (b"val_bpb: -1.0\n", "no line of the log"),
        (b"val_bpb:\n2.5\n", "no line of the log"),
        (b"val_bpb: 1.5e-3\n", "only part of the number"),
        (b"val_bpb: 1.5.3\n", "only part of the number"),
        (b"val_bpb: 1_000\n", "only part of the number"),
        ("val_bpb: 3\u0663\n".encode(), "only part of the number"),
        (b"val_bpb: " + b"9" * 400 + b"\n", "no plain decimal number"),
    ],
)
def test_a_log_with_a_trick_has_no_metric_and_says_why(log: bytes, said: str) -> None:
    reading = extract(VAL_BPB, log)
    assert reading.value is None
    assert said in (reading.problem or "")


@pytest.mark.parametrize(
    "text", ["nan", "-inf", "Infinity", "1e999", "\u0663.\u0660", "1_0", "0x10", ""]
)
def test_a_loose_pattern_admits_no_more_numbers(text: str) -> None:
    assert extract(LOOSE, f"val_bpb: {text}\n".encode()).value is None


def test_a_sign_that_the_pattern_leaves_out_is_no_metric() -> None:
    careless = rule(kind="regex", pattern=r"val.*?([0-9.]+)")
    assert extract(careless, b"val: -3.0\n").value is None


def test_lines_of_either_ending_and_a_last_line_without_one_are_read() -> None:
    strict = rule(kind="regex", pattern=r"^loss: ([0-9.]+)$")
    for log in [b"loss: 2.5\n", b"loss: 2.5\r\n", b"x\nloss: 2.5"]:
        assert extract(strict, log).value == 2.5


def test_a_group_that_took_no_part_is_no_metric() -> None:
    either = rule(kind="regex", pattern=r"^a(?:b([0-9]))?")
    assert "first group is empty" in (extract(either, b"a\n").problem or "")


def test_sixty_four_mebibytes_of_line_ends_are_read_in_bounded_time() -> None:
    indented = rule(kind="regex", pattern=r"^\s*loss: ([0-9.]+)")
    assert extract(indented, b"\n" * (64 * 2**20) + b" loss: 1.5\n").value == 1.5


@given(st.binary(max_size=300))
def test_a_reading_is_a_finite_number_or_a_problem(log: bytes) -> None:
    for metric in (VAL_BPB, LOOSE, POINTER):
        reading = extract(metric, log.replace(b"v", b"val_bpb: "))
        assert (reading.value is None) != (reading.problem is None)
        assert reading.value is None or math.isfinite(reading.value)


@pytest.mark.parametrize(
    ("log", "value"),
    [
        (b'{"val": [{"bpb": 2.5}]}', 2.5),
        (b'{\n "val": [\n {"bpb": 3}\n ]\n}\n', 3.0),
        (b'start\n{"step": 1}\n{"val": [{"bpb": 2.5}]}\ndone\n', 2.5),
        (b'{"val": [{"bpb": 2}]}\n{"val": [{"bpb": 1}]}\n', None),
        (b'{"val": [{"bpb": "2.5"}]}', None),
        (b'{"val": [{"bpb": true}]}', None),
        (b'{"val": [{"bpb": NaN}]}', None),
        (b'{"val": [{"bpb": 1e999}]}', None),
        (b'{"val": [{"bpb": ' + b"9" * 5000 + b"}]}", None),
        (b'{"val": {"0": {"bpb": 2.5}}}', 2.5),
        (b'{"val": []}', None),
        (b"[" * 100_000, None),
        (b' {"val": [{"bpb": 2.5}]}\nmore\n', None),
    ],
)
def test_a_json_pointer_reads_one_number_of_one_document(log: bytes, value: float | None) -> None:
    assert extract(POINTER, log).value == value


@given(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False))
def test_any_key_can_be_pointed_at(key: str, value: float) -> None:
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    metric = rule(kind="json_pointer", jsonPointer=pointer)
    assert extract_problem(metric) is None
    assert extract(metric, json.dumps({key: value}).encode()).value == value


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"kind": "custom"}, "kind", "no plug-in"),
        ({"kind": "junit"}, "kind", "the metric's name must say which"),
        ({"kind": "pytest_summary"}, "kind", "the metric's name must say which"),
        ({"kind": "regex"}, "pattern", "missing"),
        ({"kind": "regex", "pattern": "("}, "pattern", "does not compile"),
        ({"kind": "regex", "pattern": "(a{99999999999})"}, "pattern", "does not compile"),
        ({"kind": "regex", "pattern": "^loss: [0-9]+"}, "pattern", "no capture group"),
        ({"kind": "json_pointer"}, "jsonPointer", "RFC 6901"),
        ({"kind": "json_pointer", "jsonPointer": "val"}, "jsonPointer", "RFC 6901"),
        ({"kind": "json_pointer", "jsonPointer": "/~2"}, "jsonPointer", "RFC 6901"),
        (
            {"kind": "regex", "pattern": "^loss: ([0-9.]+)", "exampleStdout": "step\rloss: 1"},
            "exampleStdout",
            "no line of the log",
        ),
        (
            {"kind": "json_pointer", "jsonPointer": "/loss", "exampleStdout": '{"los": 1}'},
            "exampleStdout",
            "something at '/loss'",
        ),
    ],
)
def test_a_rule_that_cannot_work_is_known_before_any_run(
    fields: dict[str, str], field: str, said: str
) -> None:
    found = extract_problem(rule(**fields))
    assert found is not None
    assert found[0] == field
    assert said in found[1]


def test_a_rule_that_reads_its_own_example_has_no_problem() -> None:
    example = "---\nval_bpb: 2.534000\nseconds: 3"
    metric = rule(kind="regex", pattern=VAL_BPB.pattern or "", exampleStdout=example)
    assert extract_problem(metric) is None
