"""A protocol for a repository that has none, from the few things only its owner can say."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch_mcp.core.measurement import Direction
from autoresearch_mcp.core.paths import matches
from autoresearch_mcp.core.surface import covering

_NUMBER = r"([-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
_TIMEOUT_BUDGETS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the owner says.

    Args:
        purpose: What the research is for, one sentence.
        edit: Globs of what an agent may edit.
        harness: Files that define data and measurement.
        command: The one command of a run.
        metric: The metric's name, as the run prints it.
        direction: Whether smaller or larger is better.
        pattern: A regular expression with one group; None for `METRIC: NUMBER` at a line's start.
        json_pointer: Where the number is, if the run prints JSON.
        test_report: pytest_summary or junit, if the run is a test suite.
        budget: Training seconds; None for a suite that is simply run.
        timeout: Seconds after which a run is killed; None for three budgets.
        setup: Steps that make the environment.
    """

    purpose: str
    edit: Sequence[str]
    harness: Sequence[str]
    command: str
    metric: str
    direction: Direction
    pattern: str | None = None
    json_pointer: str | None = None
    test_report: str | None = None
    budget: float | None = None
    timeout: float | None = None
    setup: Sequence[str] = ()


def covered(harness: Sequence[str], files: Sequence[str]) -> list[str]:
    """Return the harness's paths with every file that must be one of it and is not yet.

    Example:
        >>> covered(["prepare.py", "eval"], ["eval/loss.py", "score.py"])
        ['prepare.py', 'eval', 'score.py']
    """
    found = list(harness)
    for file in files:
        if not any(matches(glob, file) for glob in covering(found)):
            found.append(file)
    return found


def draft(wishes: Wishes, example: str | None = None) -> str:
    """Return the protocol document that says so.

    Args:
        wishes: What the owner says.
        example: Output of a run that the metric was read from.
    """
    extract = _extract(wishes)
    if example is not None:
        extract["exampleStdout"] = example
    stop: dict[str, Any] = {"type": "fixed_suite"}
    if wishes.budget is not None:
        stop = {"type": "wall_clock", "trainingSecondsBudget": wishes.budget}
    document = {
        "schemaKind": "protocol",
        "protocolVersion": "1.0",
        "meta": {
            "archetype": "build_test" if wishes.test_report else "ml_train",
            "eligibility": "eligible",
            "purposeStatement": wishes.purpose,
        },
        "environment": {
            "setupCommands": list(wishes.setup),
            "constraints": {"noNewDependencies": True, "networkPolicy": "offline"},
        },
        "mutableSurface": {
            "allowedGlobs": list(wishes.edit),
            "forbiddenGlobs": [],
            "allowedKinds": ["code_edit", "config_edit"],
        },
        "immutableHarness": {
            "paths": list(wishes.harness),
            "rationale": "Data and measurement: with another one results could not be compared.",
        },
        "execution": {
            "command": wishes.command,
            "cwd": ".",
            "stopCondition": stop,
            "hardTimeoutSeconds": wishes.timeout or _TIMEOUT_BUDGETS * (wishes.budget or 300),
        },
        "measurement": {
            "primaryMetric": {
                "name": wishes.metric,
                "direction": wishes.direction,
                "extract": extract,
            },
            "baselinePolicy": {"establishOnHardware": True, "sameDataSnapshot": True},
        },
        "provenance": {
            "resultsLog": {
                "format": "tsv",
                "path": "results.tsv",
                "columns": ["commit", wishes.metric, "status", "description"],
            },
            "gitWorkflow": {"branchPattern": "autoresearch/"},
        },
        "safety": {"oomPolicy": "reduce_batch", "crashStatus": "crash"},
        "agentRules": {"simplicityCriterion": True, "autonomy": {"noAskHumanToContinue": True}},
    }
    return json.dumps(document, indent=2) + "\n"


def _extract(wishes: Wishes) -> dict[str, str]:
    if wishes.test_report:
        return {"kind": wishes.test_report}
    if wishes.json_pointer is not None:
        return {"kind": "json_pointer", "jsonPointer": wishes.json_pointer}
    return {
        "kind": "regex",
        "pattern": wishes.pattern or rf"^{re.escape(wishes.metric)}:\s+{_NUMBER}",
    }
