"""Every valid document comes back as it was, whichever fields it has."""

import json
from itertools import product
from typing import Any, cast

import jsonschema
from hypothesis import HealthCheck, Phase, find, given, settings

from autoresearch_mcp.core.protocol import parse_protocol
from autoresearch_mcp.core.protocol_jsonschema import json_schema

from .protocol_documents import DOCUMENTS
from .protocol_paths import document_paths, schema_paths

Document = dict[str, Any]
SCHEMA: Any = cast("Any", jsonschema.Draft202012Validator)(json_schema())

# A document takes long to draw on a machine that is busy, which says nothing of the code.
at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@at_leisure
@given(DOCUMENTS)
def test_any_valid_document_comes_back_as_it_was(document: Document) -> None:
    protocol = parse_protocol(json.dumps(document))
    dumped = protocol.model_dump_json(by_alias=True, exclude_unset=True)
    assert json.loads(dumped) == document
    assert parse_protocol(dumped) == protocol


@at_leisure
@given(DOCUMENTS)
def test_whatever_loads_is_valid_under_the_schema(document: Document) -> None:
    SCHEMA.validate(document)


def test_the_documents_at_random_have_every_field_of_the_schema_in_both_versions() -> None:
    seen = set[tuple[str, str]]()

    @settings(at_leisure, max_examples=300, derandomize=True, database=None)
    @given(DOCUMENTS)
    def look(document: Document) -> None:
        seen.update((document["protocolVersion"], path) for path in document_paths(document))

    look()
    expected = set(product(("1.0", "1.1"), schema_paths()))
    assert len(expected) > 200
    patient = settings(at_leisure, max_examples=5_000, database=None, phases=[Phase.generate])
    for version, path in sorted(expected - seen):

        def has_it(document: Document, version: str = version, path: str = path) -> bool:
            return document["protocolVersion"] == version and path in document_paths(document)

        # Fails with NoSuchExample where the strategy never draws it.
        find(DOCUMENTS, has_it, settings=patient)
