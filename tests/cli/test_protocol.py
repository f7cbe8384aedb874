"""`protocol check` and `protocol schema`: a person's look at a document."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from .conftest import Cli, Recipe


def test_the_document_of_the_box_is_valid(cli: Cli, recipe: Recipe) -> None:
    done = cli("protocol", "check", "--repo", recipe.path)
    assert done.returncode == 0, done.stdout
    assert done.stdout.rstrip().endswith("protocol.json: valid")
    assert "environment.constraints.networkPolicy" in done.stdout


def test_every_problem_is_listed_with_its_place(cli: Cli, recipe: Recipe) -> None:
    def spoil(document: dict[str, object]) -> None:
        document.update({f"extra{number}": 1 for number in range(14)})

    recipe.edit_protocol(spoil)
    done = cli("protocol", "check", recipe.path / "protocol.json", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["valid"] is False
    assert len(report["problems"]) == 14
    assert report["problems"][0]["path"] == "extra0"
    assert report["problems"][0]["message"].startswith("unknown field; allowed here: schemaKind")
    assert "14 problems" in cli("protocol", "check", recipe.path / "protocol.json").stdout


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"schemaKind": "discoveryDraft"}', "\ud800"])
def test_a_file_that_is_no_protocol_is_a_negative_finding(
    cli: Cli, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, errors="surrogatepass")
    done = cli("protocol", "check", file, "--json")
    assert done.returncode == 1
    assert done.stderr == ""
    assert json.loads(done.stdout)["problems"]


def test_a_file_that_is_not_there_is_a_fault_that_says_what_to_do(cli: Cli) -> None:
    done = cli("protocol", "check")
    assert done.returncode == 3
    assert "autoresearch-mcp init" in done.stderr
    assert cli("protocol", "check", os.devnull + "/x").returncode == 3


def test_the_schema_accepts_what_is_accepted_and_closes_every_object(
    cli: Cli, recipe: Recipe
) -> None:
    schema = json.loads(cli("protocol", "schema").stdout)
    document = json.loads((recipe.path / "protocol.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    check: Any = jsonschema.Draft202012Validator(schema)
    check.validate(document)
    for change in (
        {"extra": 1},
        {"schemaKind": "discoveryDraft"},
        {"protocolVersion": "2.0"},
        {"miningLoop": {"maxTrials": 0}},
        {"miningLoop": {"maxTrials": None}},
        {"safety": {"oomPolicy": "pray"}},
    ):
        assert not check.is_valid(document | change), change


def test_what_is_only_shown_is_said_to_be_so(cli: Cli, recipe: Recipe) -> None:
    sandbox = {"image": "x", "cpus": "2", "memory": "plenty"}
    recipe.edit_protocol(lambda p: p["environment"].update(sandbox=sandbox))
    recipe.edit_protocol(lambda p: p["measurement"].update(sampling={"aggregator": "max"}))
    mirror = {"repo": "a/b", "mode": "upstream-pr"}
    recipe.edit_protocol(lambda p: p["provenance"].update(githubMirror=mirror))
    recipe.edit_protocol(lambda p: p.update(miningLoop={"stopAfterSuccessfulPr": True}))
    said = cli("protocol", "check", recipe.path / "protocol.json").stdout

    for field, words in {
        "environment.sandbox.image": "shown only",
        "environment.sandbox.cpus": "shown only",
        "environment.sandbox.memory": "'plenty' is no size",
        "measurement.sampling.aggregator": "the log shows the max; the verdict compares means",
        "provenance.githubMirror": "shown only",
        "miningLoop.stopAfterSuccessfulPr": "shown only",
    }.items():
        assert any(field in line and words in line for line in said.splitlines()), (field, said)
