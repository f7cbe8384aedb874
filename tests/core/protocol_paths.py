"""Where things are in a protocol: the paths of the JSON Schema, and of a document."""

from collections.abc import Iterator
from typing import Any, cast

from autoresearch_mcp.core.protocol_jsonschema import json_schema

Node = dict[str, Any]


def schema_paths() -> set[str]:
    """Return the path of every property that the schema names: `meta.repo.owner`, `x[].kind`."""
    schema = json_schema()
    definitions = cast("Node", schema.get("$defs", {}))

    def below(node: Node, path: str) -> Iterator[str]:
        if "$ref" in node:
            yield from below(definitions[node["$ref"].rpartition("/")[2]], path)
        for option in (*node.get("anyOf", ()), *node.get("oneOf", ())):
            yield from below(option, path)
        if isinstance(node.get("items"), dict):
            yield from below(node["items"], f"{path}[]")
        for name, inner in node.get("properties", {}).items():
            yield (here := f"{path}.{name}".removeprefix("."))
            yield from below(inner, here)

    return set(below(schema, ""))


def document_paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every property that a document has, spelled as the schema's."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from document_paths(item, f"{path}[]")
    elif isinstance(value, dict):
        for name, inner in cast("Node", value).items():
            yield (here := f"{path}.{name}".removeprefix("."))
            yield from document_paths(inner, here)
