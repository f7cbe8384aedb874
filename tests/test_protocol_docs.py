"""docs/protocol.md tells of every field of the protocol, and of tests that are there."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.core.protocol_paths import schema_paths

TOP = Path(__file__).parents[1]
DOCS = (TOP / "docs" / "protocol.md").read_text()
EXTRACTS = ("measurement.primaryMetric.extract", "measurement.secondaryMetrics[].extract")


def rows() -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Yield of each row of the tables: fields, files and tests."""
    for line in DOCS.splitlines():
        cells = line.strip("|").split("|")
        if line.startswith("| `"):
            assert len(cells) == 4, line
            fields, _, places, tests = cells
            yield ticked(fields), ticked(places), ticked(tests)


def ticked(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def spelled_out(field: str) -> list[str]:
    start, dot, rest = field.partition(".")
    return [f"{extract}.{rest}" for extract in EXTRACTS] if (start, dot) == ("E", ".") else [field]


def test_every_field_of_the_schema_has_its_row_with_a_test() -> None:
    told = {path for fields, _, tests in rows() if tests for f in fields for path in spelled_out(f)}
    known = schema_paths()
    leaves = {path for path in known if not any(is_below(other, path) for other in known)}

    assert told - known == set()
    # A row for a section is one for all of it.
    assert {f for f in leaves - told if not any(is_below(f, section) for section in told)} == set()


def is_below(path: str, section: str) -> bool:
    return path.startswith((f"{section}.", f"{section}["))


def test_every_test_that_the_tables_name_is_there() -> None:
    named = {name for *_, tests in rows() for name in tests} | set(
        re.findall(r"`(\S+::\w+)`", DOCS)
    )
    for name in named:
        file, _, function = name.partition("::")
        source = (TOP / "tests" / file).read_text()
        assert re.search(rf"^(async )?def {function}\(", source, re.MULTILINE), name


def test_every_file_that_the_tables_name_is_there() -> None:
    for _, places, _ in rows():
        assert places
        assert all((TOP / "server" / "autoresearch_mcp" / place).exists() for place in places)
