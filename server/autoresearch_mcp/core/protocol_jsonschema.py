"""The protocol's shape as a JSON Schema, for editors and other tools."""

from typing import Any, cast

from autoresearch_mcp.core.protocol_schema import Protocol

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of protocol.json, versions 1.0 and 1.1, both shapes.

    It knows the shape of each field; what fields mean together only `protocol check` knows.
    """
    schema = Protocol.model_json_schema(by_alias=True)
    return {"$schema": _DIALECT, **cast("dict[str, Any]", _tidy(schema))}


def _tidy(value: Any) -> Any:
    """Take out what is Python's: null for a field left out, titles, pydantic's word for minimum.

    In the document null is an error.
    """
    if isinstance(value, list):
        return [_tidy(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    node = {name: _tidy(item) for name, item in cast("dict[str, Any]", value).items()}
    if node.get("default", 0) is None:
        del node["default"]
    if isinstance(node.get("title"), str):
        del node["title"]
    if "ge" in node:
        node["minimum"] = node.pop("ge")
    options = [option for option in node.get("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        del node["anyOf"]
        node |= options[0]
    return node
