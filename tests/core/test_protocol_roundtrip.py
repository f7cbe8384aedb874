"""Every valid document comes back as it was, whichever fields it has."""

import json
from itertools import product
from typing import Any, cast

import jsonschema
from hypothesis import Phase, find, given, settings

from autoresearch_mcp.core.protocol import parse_protocol
from autoresearch_mcp.core.protocol_jsonschema import json_schema

from .protocol_documents import DOCUMENTS
from .protocol_paths import document_paths, schema_paths

Document = dict[str, Any]


@given(DOCUMENTS)
def test_any_valid_document_comes_back_as_it_was(document: Document) -> None:
    protocol = parse_protocol(json.dumps(document))
    dumped = protocol.model_dump_json(by_alias=True, exclude_unset=True)
    assert json.loads(dumped) == document
    assert parse_protocol(dumped) == protocol


@given(DOCUMENTS)
def test_whatever_loads_is_valid_under_the_schema(document: Document) -> None:
    validator = cast("Any", jsonschema.Draft202012Validator)(json_schema())
    validator.validate(document)


def test_the_documents_at_random_have_every_field_of_the_schema_in_both_versions() -> None:
    seen = set[tuple[str, str]]()

    @settings(max_examples=300, derandomize=True, database=None, deadline=None)
    @given(DOCUMENTS)
    def look(document: Document) -> None:
        seen.update((document["protocolVersion"], path) for path in document_paths(document))

    look()
    expected = set(product(("1.0", "1.1"), schema_paths()))
    assert len(expected) > 200
    patient = settings(max_examples=5_000, database=None, phases=[Phase.generate])
    for version, path in sorted(expected - seen):

        def has_it(document: Document, version: str = version, path: str = path) -> bool:
            return document["protocolVersion"] == version and path in document_paths(document)

        # Fails with NoSuchExample where the strategy never draws it.
        find(DOCUMENTS, has_it, settings=patient)
