"""protocol.json of the box agrees with itself and with the files it names."""

import json
import re
from typing import Any

import pytest

from .commands import REPO

PROTOCOL: dict[str, Any] = json.loads((REPO / "protocol.json").read_text())
METRICS = [PROTOCOL["measurement"]["primaryMetric"], *PROTOCOL["measurement"]["secondaryMetrics"]]


@pytest.mark.parametrize("metric", METRICS, ids=[metric["name"] for metric in METRICS])
def test_a_metric_is_found_in_its_own_example(metric: dict[str, Any]) -> None:
    extract = metric["extract"]

    found = re.findall(extract["pattern"], extract["exampleStdout"], flags=re.MULTILINE)

    assert len(found) == 1


def test_the_results_log_holds_its_columns_and_nothing_else() -> None:
    log = PROTOCOL["provenance"]["resultsLog"]

    assert (REPO / log["path"]).read_text() == "\t".join(log["columns"]) + "\n"


def test_the_surface_and_the_harness_are_there_and_apart() -> None:
    surface, harness = PROTOCOL["mutableSurface"], PROTOCOL["immutableHarness"]

    assert all((REPO / path).is_file() for path in surface["allowedGlobs"] + harness["paths"])
    assert set(harness["paths"]) <= set(surface["forbiddenGlobs"])


def test_train_py_stays_readable_in_one_sitting() -> None:
    assert len((REPO / "train.py").read_text().splitlines()) <= 400
