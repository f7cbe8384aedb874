"""protocol.json: read whole, or refused in plain lines that name the place."""

import copy
import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.protocol import parse_protocol

ROOT = Path(__file__).parents[2]
Document = dict[str, Any]

MINIMAL: Document = {
    "schemaKind": "protocol",
    "protocolVersion": "1.0",
    "meta": {"archetype": "ml_train", "eligibility": "eligible", "purposeStatement": "Less loss."},
    "environment": {"setupCommands": [], "constraints": {}},
    "mutableSurface": {
        "allowedGlobs": ["train.py"],
        "forbiddenGlobs": ["prepare.py"],
        "allowedKinds": ["code_edit"],
    },
    "immutableHarness": {"paths": ["prepare.py"], "rationale": "It measures."},
    "execution": {
        "command": "uv run train.py",
        "cwd": ".",
        "stopCondition": {"type": "wall_clock", "trainingSecondsBudget": 300},
        "hardTimeoutSeconds": 900,
    },
    "measurement": {
        "primaryMetric": {
            "name": "val_bpb",
            "direction": "minimize",
            "extract": {"kind": "regex", "pattern": r"^val_bpb:\s+([0-9.]+)"},
        },
        "baselinePolicy": {"establishOnHardware": True, "sameDataSnapshot": True},
    },
    "provenance": {"resultsLog": {"format": "tsv", "path": "results.tsv", "columns": ["commit"]}},
    "safety": {},
    "agentRules": {},
}


def with_value(path: str, value: object) -> str:
    """Return the minimal document with one field set, its path dotted."""
    document = copy.deepcopy(MINIMAL)
    here = document
    *parents, last = path.split(".")
    for name in parents:
        here = here.setdefault(name, {})
    here[last] = value
    return json.dumps(document)


def fault(text: str) -> str:
    with pytest.raises(Fault) as caught:
        parse_protocol(text)
    return str(caught.value)


def test_the_least_document_loads_with_the_defaults_that_ask_for_least() -> None:
    protocol = parse_protocol(json.dumps(MINIMAL))
    assert protocol.environment.constraints.network_policy == "unknown"
    assert protocol.environment.constraints.no_new_dependencies is False
    assert protocol.execution.determinism.seed_policy == "optional"
    assert protocol.measurement.sampling is None
    assert protocol.measurement.min_score_improvement_bips is None
    assert protocol.safety.crash_status == "crash"
    assert protocol.mining_loop.max_trials is None


def test_the_defaults_of_the_newer_shape_are_the_schemas() -> None:
    document = copy.deepcopy(MINIMAL)
    document["measurement"]["sampling"] = {}
    document["execution"]["determinism"] = {"seedDerivation": {"mode": "fiat_shamir"}}
    document["provenance"]["githubMirror"] = {"repo": "a/b", "mode": "upstream-pr"}
    protocol = parse_protocol(json.dumps(document))
    sampling, seed = protocol.measurement.sampling, protocol.execution.determinism.seed_derivation
    assert sampling is not None
    assert (sampling.warmup_trials, sampling.measured_trials) == (1, 5)
    assert sampling.aggregator == "median"
    assert seed is not None
    assert (seed.env_var, seed.seed_bits) == ("ARAH_TRIAL_SEED", 64)
    assert protocol.provenance.github_mirror is not None
    assert protocol.provenance.github_mirror.auto_merge_accepted is False


def test_the_protocol_of_the_box_loads_and_comes_back_unchanged() -> None:
    text = (ROOT / "protocol.json").read_text(encoding="utf-8")
    dumped = parse_protocol(text).model_dump_json(by_alias=True, exclude_unset=True)
    assert json.loads(dumped) == json.loads(text)


def test_every_field_of_version_1_1_is_read() -> None:
    document = copy.deepcopy(MINIMAL)
    document["protocolVersion"] = "1.1"
    document["environment"] |= {
        "setupCommands": ["uv sync", {"kind": "uv", "args": ["sync", "--frozen"]}],
        "sandbox": {"image": "x", "cpus": "2", "memory": "4g", "pids": 64},
    }
    document["environment"]["constraints"] |= {"networkAllowlist": ["example.org:443"]}
    document["archetypeExtensions"] = {"ml_train": {"evalTokens": 8, "their own": {"x": [1]}}}
    document["miningLoop"] = {"maxTrials": 5, "onChainProjectId": 0}
    protocol = parse_protocol(json.dumps(document))
    step = protocol.environment.setup_commands[1]
    assert not isinstance(step, str)
    assert step.args == ("sync", "--frozen")
    extension = protocol.archetype_extensions.ml_train
    assert extension is not None
    assert extension.model_extra == {"their own": {"x": [1]}}
    dumped = protocol.model_dump_json(by_alias=True, exclude_unset=True)
    assert json.loads(dumped) == document


BAD_FIELDS: list[tuple[str, object, str]] = [
    (
        "execution.comand",
        1,
        "execution.comand: unknown field; allowed here: command, cwd, stop",
    ),
    ("meta.archetype", "chess", "meta.archetype: found \"chess\"; allowed: 'ml_train', 'rl_l"),
    ("meta.purposeStatement", 3, "meta.purposeStatement: found 3; must be a valid string"),
    ("execution.hardTimeoutSeconds", 0, "hardTimeoutSeconds: found 0; must be greater than or"),
    ("execution.hardTimeoutSeconds", "9", 'found "9"; must be a valid number'),
    ("execution.hardTimeoutSeconds", True, "found true; must be a valid number"),
    ("execution.stopCondition.maxSteps", 1.5, "maxSteps: found 1.5; must be a valid integer"),
    ("mutableSurface.allowedGlobs", [], "allowedGlobs: found []; must have at least one item"),
    ("environment.sandbox", None, "environment.sandbox: found null; leave the field out or"),
    ("mutableSurface.allowedKinds", ["x"], 'mutableSurface.allowedKinds[0]: found "x"; allow'),
    ("environment.setupCommands", [7], "environment.setupCommands[0]: found 7; allowed: text"),
    (
        "environment.setupCommands",
        [{"kind": "curl", "args": []}],
        "environment.setupCommands[0].kind: found \"curl\"; allowed: 'pip'",
    ),
    (
        "environment.setupCommands",
        [{"kind": "uv"}],
        "environment.setupCommands[0].args: missing",
    ),
    (
        "environment.setupCommands",
        [{"kind": "uv", "args": [], "x": 1}],
        "setupCommands[0].x: unknown field; allowed here: kind, args",
    ),
    ("meta.eligibility", "needs_harness", "meta.eligibility: found 'needs_harness'; only 'el"),
    ("meta.eligibility", "ineligible", "only 'eligible' protocols run trials"),
    ("protocolVersion", "2.0", 'protocolVersion: found "2.0"; versions known: 1.0 and 1.1'),
    ("schemaKind", "draft", "schemaKind: found \"draft\"; allowed: 'protocol'"),
    ("mutableSurface.forbiddenGlobs", ["*.py"], "forbiddenGlobs[0]: '*.py' overlaps the allow"),
    ("mutableSurface.forbiddenGlobs", ["train.py"], "a path may be in one list only"),
    ("mutableSurface.allowedGlobs", ["../x.py"], "allowedGlobs[0]: '../x.py' has a '..' segm"),
    ("mutableSurface.allowedGlobs", ["results.tsv"], "'results.tsv' is kept by the server"),
    ("mutableSurface.allowedGlobs", ["protocol.json"], "'protocol.json' is kept by the server"),
    ("immutableHarness.paths", ["train.py"], "immutableHarness.paths[0]: 'train.py' lies in "),
    ("immutableHarness.paths", ["*.py"], "the harness may never be editable"),
    ("immutableHarness.paths", ["/etc"], "immutableHarness.paths[0]: '/etc' is absolute"),
    ("execution.cwd", "/srv", "execution.cwd: '/srv' is absolute"),
    ("execution.cwd", "a/../..", "execution.cwd: 'a/../..' has a '..' segment"),
    ("provenance.resultsLog.path", "../r.tsv", "provenance.resultsLog.path: '../r.tsv' has a"),
    ("provenance.baselineArtifactPath", "/b", "provenance.baselineArtifactPath: '/b' is abso"),
    ("provenance.gitWorkflow.pathPrefix", "../p", "provenance.gitWorkflow.pathPrefix: '../p'"),
    ("execution.command", "x | y", "execution.command: the command 'x | y' is not supported"),
    (
        "execution.determinism.seedDerivation",
        {"mode": "fixed", "envVar": "A=B"},
        "seedDerivation.envVar: found 'A=B'; allowed: letters",
    ),
    (
        "execution.determinism.seedDerivation",
        {"mode": "fiat_shamir", "envVar": "LD_PRELOAD"},
        "seedDerivation.envVar: found 'LD_PRELOAD', which means something else",
    ),
    (
        "execution.determinism.seedDerivation",
        {"mode": "fixed"},
        "execution.determinism.seedDerivation.fixedSeed: missing; mode 'fixed' needs it",
    ),
    (
        "execution.determinism.seedDerivation",
        {"mode": "fixed", "fixedSeed": 1 << 32, "seedBits": 32},
        "seedDerivation.fixedSeed: found 4294967296; must be below 2^32",
    ),
    (
        "execution.determinism",
        {"seedPolicy": "required", "seedDerivation": {"mode": "none"}},
        "seedDerivation.mode: found 'none', but seedPolicy is 'required'",
    ),
    ("execution.hardTimeoutSeconds", 299, "found 299; must not be below the training budget of"),
    ("execution.stopCondition", {"type": "wall_clock"}, "trainingSecondsBudget: missing; type"),
    (
        "execution.stopCondition",
        {"type": "wall_clock", "trainingSecondsBudget": 0},
        "trainingSecondsBudget: found 0; type 'wall_clock' needs seconds above 0",
    ),
    ("execution.stopCondition.type", "max_steps", "stopCondition.maxSteps: missing; type 'max_"),
    ("execution.stopCondition.type", "epochs", "stopCondition.epochs: missing; type 'epochs' n"),
    ("provenance.gitWorkflow.branchPattern", "a b/", "branchPattern: 'a b/' has ' ', which git"),
    ("provenance.resultsLog.columns", ["a", "a"], "resultsLog.columns[1]: 'a' is named twice"),
    ("provenance.resultsLog.columns", ["a\tb"], "columns[0]: 'a\\tb' must be a name in printab"),
    (
        "measurement.secondaryMetrics",
        [{"name": "val_bpb", "direction": "maximize"}],
        "measurement.secondaryMetrics[0].name: 'val_bpb' is taken already",
    ),
    (
        "measurement.secondaryMetrics",
        [{"name": "x", "direction": "minimize", "extract": {"kind": "custom"}}],
        "measurement.secondaryMetrics[0].extract.kind: found 'custom'",
    ),
    (
        "measurement.primaryMetric.extract.exampleStdout",
        "val_bpb: nan",
        "measurement.primaryMetric.extract.exampleStdout: not parsed: no line",
    ),
    (
        "measurement.primaryMetric.extract.pattern",
        "^val",
        "measurement.primaryMetric.extract.pattern: has no capture group",
    ),
]


@pytest.mark.parametrize(("path", "value", "line"), BAD_FIELDS)
def test_a_bad_field_is_named_with_what_was_found_and_what_is_allowed(
    path: str, value: object, line: str
) -> None:
    assert line in fault(with_value(path, value))


def test_a_missing_field_is_named() -> None:
    document = copy.deepcopy(MINIMAL)
    del document["measurement"]["baselinePolicy"]["sameDataSnapshot"]
    del document["safety"]
    lines = fault(json.dumps(document)).split("\n")
    assert lines == [
        "measurement.baselinePolicy.sameDataSnapshot: missing; the field is required",
        "safety: missing; the field is required",
    ]


def test_a_harness_directory_covers_what_lies_below() -> None:
    document = copy.deepcopy(MINIMAL)
    document["mutableSurface"] |= {"allowedGlobs": ["src/eval/score.py"], "forbiddenGlobs": []}
    document["immutableHarness"]["paths"] = ["src/eval"]
    assert "lies in the surface" in fault(json.dumps(document))


def test_wildcards_that_name_no_common_file_may_stand_side_by_side() -> None:
    document = copy.deepcopy(MINIMAL)
    document["mutableSurface"] |= {"allowedGlobs": ["src/*.py"], "forbiddenGlobs": ["data/**"]}
    assert parse_protocol(json.dumps(document)).mutable_surface.allowed_globs == ("src/*.py",)


def test_a_draft_is_refused_with_what_is_missing_from_it() -> None:
    draft: Document = {
        "schemaKind": "discoveryDraft",
        "protocolVersion": "1.0",
        "meta": {},
        "blockers": [],
    }
    message = fault(json.dumps(draft))
    assert message.startswith("schemaKind: found 'discoveryDraft'")
    assert "environment, mutableSurface, immutableHarness, execution" in message


def test_at_most_ten_problems_are_listed_and_the_rest_counted() -> None:
    document = MINIMAL | {f"extra{number}": number for number in range(14)}
    lines = fault(json.dumps(document)).split("\n")
    assert len(lines) == 11
    assert lines[-1] == "and 4 more"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ('{"a": 1,\n}', "at line 2, column 1"),
        ("[]", "must be a JSON object; found []"),
        ('{"a": 1, "a": 2}', "the name 'a' occurs twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "not usable JSON"),
        (" " * (1 << 20) + "{}", "longer than"),
        (with_value("meta.purposeStatement", "\ud800"), "not usable JSON: Invalid JSON"),
        ('{"a": "\ud800"}', "not usable JSON"),
        (json.dumps(MINIMAL).replace("900", "1e999"), "hardTimeoutSeconds"),
        ("\ufeff{}", "not JSON"),
    ],
)
def test_a_text_that_is_no_document_is_a_fault_not_a_traceback(text: str, said: str) -> None:
    assert said in fault(text)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    protocol = parse_protocol(with_value("execution.stopCondition.maxSteps", 46.0))
    assert protocol.execution.stop_condition.max_steps == 46


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def leaves(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of all values in the minimal document."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(cast("Document", value).items())
    elif isinstance(value, list):
        items = list(enumerate(cast("list[Any]", value)))
    below = [found for name, inner in items for found in leaves(inner, (*path, name))]
    return [path, *below] if path else below


@given(st.sampled_from(leaves(MINIMAL)), JSON)
def test_a_document_with_anything_anywhere_is_read_or_is_a_fault(
    path: tuple[Any, ...], value: object
) -> None:
    document: Any = copy.deepcopy(MINIMAL)
    here = document
    for name in path[:-1]:
        here = here[name]
    here[path[-1]] = value
    try:
        parse_protocol(json.dumps(document))
    except Fault as refused:
        lines = str(refused).split("\n")
        assert all(": " in line or line.startswith(("and ", "the protocol")) for line in lines)


@given(st.text())
def test_any_text_is_a_fault(text: str) -> None:
    assert fault(text)
