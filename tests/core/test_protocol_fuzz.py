"""Protocol documents and edit paths at random: never a traceback, never a wrong acceptance.

The long form (`--full`) tries 100,000 of each. What is accepted is checked against rules that are
written here anew, not taken from the code under test.
"""

import copy
import json
import random
import re
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.protocol import parse_protocol
from autoresearch_mcp.core.protocol_jsonschema import json_schema
from autoresearch_mcp.core.protocol_schema import Protocol
from autoresearch_mcp.core.surface import Surface

SEED = 20261123
BOX = json.loads((Path(__file__).parents[2] / "protocol.json").read_text())
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 0.5, 1e308, 2**70, "", " ", "x", "train.py", "prepare.py", "*.py",
    "**", "../train.py", "/etc/passwd", "a/b", "PREPARE.PY", "tr\u00e4in.py", "\u202e", "\ud800",
    "a\x00b", "protocol.json", "results.tsv", ".git/config", "src/**/*.py", "[", "{a,b}", "(", "()",
    "(?P<n>[0-9]+)", "^x: ([0-9]+)", "(a+)+$", "regex", "json_pointer", "junit", "pytest_summary",
    "custom", "/a/b", "maximize", "fixed", "fiat_shamir", "max_steps", "full", "ineligible", "1.1",
    "uv run train.py | tee x", "python -c 'x'", "sh -c x", "uv sync", [], {}, [None], [""], ["*"],
    ["train.py"], ["train.py", "train.py"], [[]], {"x": 1}, {"kind": "uv", "args": ["sync"]},
    {"kind": "regex", "pattern": "^a: ([0-9.]+)"}, {"mode": "fixed"}, {"type": "epochs"},
]  # fmt: skip
FIELDS = sorted(
    set(re.findall(r'"(\w+)":', json.dumps(json_schema()))) | {"seedDerivation", "sampling", "x y"}
)


@pytest.fixture
def many(full: bool) -> int:
    """How many of each are tried."""
    return 100_000 if full else 2_000


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(cast("dict[str, Any]", value).items())
    elif isinstance(value, list):
        items = list(enumerate(cast("list[Any]", value)))
    return [path, *(place for name, inner in items for place in places(inner, (*path, name)))]


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        document = document[name]
    return document


def mutated(chance: random.Random) -> str:
    """Return the box's document with one to four things changed, and sometimes broken as text."""
    document = copy.deepcopy(BOX)
    for _ in range(chance.randint(1, 4)):
        *parents, last = chance.choice([path for path in places(document) if path])
        here = at(document, tuple(parents))
        match chance.randrange(4):
            case 0 if isinstance(here, dict):
                del here[last]
            case 1 if isinstance(here[last], dict):
                here[last][chance.choice(FIELDS)] = copy.deepcopy(chance.choice(ODD))
            case 2:
                here[last] = copy.deepcopy(at(BOX, chance.choice(places(BOX))))
            case _:
                here[last] = copy.deepcopy(chance.choice(ODD))
    text = json.dumps(document)
    if chance.random() < 0.1:
        cut = chance.randrange(len(text))
        text = text[:cut] + chance.choice(["", "{", "NaN", "\x00", '"', "\ud800"]) + text[cut + 1 :]
    return text


def wrongly_accepted(protocol: Protocol) -> str | None:
    """Say which promise an accepted document breaks."""
    surface, execution = Surface.of(protocol), protocol.execution
    for path in (
        "protocol.json",
        ".git/config",
        "../x",
        "/x",
        "",
        protocol.provenance.results_log.path,
    ):
        if admitted(surface, path):
            return f"{path!r} may be edited"
    for path in protocol.immutable_harness.paths:
        if admitted(surface, path) or admitted(surface, path.upper()):
            return f"{path!r} of the harness may be edited"
    if protocol.meta.eligibility != "eligible":
        return "it is not eligible"
    if execution.hard_timeout_seconds < (execution.stop_condition.training_seconds_budget or 0):
        return "the hard timeout is below the budget"
    if re.search(r"[|;&<>`$]", re.sub(r"'[^']*'", "", execution.command)):
        return "its command needs a shell"
    rule = protocol.measurement.primary_metric.extract
    if rule.kind == "custom" or (
        rule.kind == "regex" and not re.compile(rule.pattern or "").groups
    ):
        return "its metric cannot be read"
    return None


def admitted(surface: Surface, path: str) -> bool:
    try:
        surface.admits(path)
    except Refusal:
        return False
    return True


def test_a_document_at_random_is_obeyed_or_refused_in_words(many: int) -> None:
    chance, validator = random.Random(SEED), cast("Any", jsonschema.Draft202012Validator)
    schema, accepted, refusals = validator(json_schema()), 0, set[str]()
    for _ in range(many):
        text = mutated(chance)
        try:
            protocol = parse_protocol(text)
        except Fault as fault:
            refusals.add(str(fault))
            continue
        accepted += 1
        assert (wrong := wrongly_accepted(protocol)) is None, f"{wrong}: {text}"
        assert schema.is_valid(json.loads(text)), text
    assert all(refusals)
    assert many / 100 < accepted < many / 2  # else the documents try nothing


SURFACE = Surface(
    allowed=("train.py", "src/*.py", "lib/**"),
    forbidden=("lib/fixed.py",),
    harness_paths=("prepare.py", "lib/harness"),
    records=("results.tsv",),
)
PLAIN = re.compile(r"train\.py|src/[^/]+\.py|lib/.+")
CLOSED = re.compile(r"lib/fixed\.py|lib/harness(/.*)?|(.*/)?\.git(/.*)?", re.IGNORECASE)
PIECES = [
    "train.py", "TRAIN.PY", "prepare.py", "src", "lib", "Lib", "harness", "Harness", "fixed.py",
    "model.py", "/", "/", "/", "//", ".", "..", "./", "../", "\\", "\x00", "\n", " ", ".git",
    ".GIT", "*", "[t]rain.py", "~", "a", "\u00e9", "e\u0301", "\u200b", "\u202e", "\ud800", "C:",
    "results.tsv", "protocol.json", "-rf", "x" * 256,
]  # fmt: skip


def test_a_path_at_random_is_admitted_only_if_it_names_a_file_of_the_surface(many: int) -> None:
    chance, taken = random.Random(SEED), 0
    for _ in range(many):
        path = "".join(chance.choices(PIECES, k=chance.randint(1, 6)))
        if not admitted(SURFACE, path):
            continue
        taken += 1
        parts = path.split("/")
        assert PLAIN.fullmatch(path), path
        assert not CLOSED.fullmatch(path), path
        assert not {"", ".", "..", ".git"} & {part.lower() for part in parts}, path
        assert path.isprintable(), path
        assert not set(path) & {"\\", "\x00"}, path
        assert max(map(len, parts)) < 256, path
    assert taken > many / 1000
