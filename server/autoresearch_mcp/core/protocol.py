"""Read protocol.json: parse it at the door, or say in plain lines why it cannot be obeyed."""

import json
from collections.abc import Iterator
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.logtext import escape
from autoresearch_mcp.core.protocol_rules import problems
from autoresearch_mcp.core.protocol_schema import Protocol

MAX_PROBLEMS = 10
MAX_CHARACTERS = 1 << 20
_VERSIONS = ("1.0", "1.1")
_SHOWN = 60
_LEFT_OUT = "(left out)"


def parse_protocol(text: str) -> Protocol:
    """Parse and check a protocol document.

    Args:
        text: The document, JSON.

    Raises:
        Fault: It is not a protocol a trial may run under. The message has one line per problem,
            `JSON path: what was found; what is allowed`, at most ten and the number left out.
    """
    protocol, found = check_protocol(text)
    if protocol is None or found:
        raise _fault(found)
    return protocol


def check_protocol(text: str) -> tuple[Protocol | None, list[str]]:
    """Return the protocol as far as it has the right shape, and every problem with it.

    Args:
        text: The document, JSON.

    Raises:
        Fault: The text is no JSON object, or a kind or version nobody here knows.
    """
    document = _load(text)
    _check_kind(document)
    try:
        protocol = Protocol.model_validate_json(text)
    except ValidationError as error:
        return None, [_line(document, detail) for detail in error.errors()]
    return protocol, list(problems(protocol))


def differences(before: str, after: str) -> list[str]:
    """List what one document changes in another, as `JSON path: before -> after`.

    Raises:
        Fault: One of them is no JSON object.
    """
    return list(_differences("", _load(before), _load(after)))


def _differences(path: str, before: object, after: object) -> Iterator[str]:
    if before == after:
        return
    old, new = _fields(before), _fields(after)
    if old is None or new is None:
        yield f"{path.removeprefix('.')}: {_short(before)} -> {_short(after)}"
        return
    for name in dict.fromkeys([*old, *new]):
        one, other = old.get(name, _LEFT_OUT), new.get(name, _LEFT_OUT)
        yield from _differences(f"{path}.{name}", one, other)


def _fields(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _load(text: str) -> dict[str, Any]:
    if len(text) > MAX_CHARACTERS:
        raise Fault(f"the protocol is longer than {MAX_CHARACTERS} characters")
    try:
        document: object = json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Fault(f"the protocol is not JSON: {error.msg} at {where}") from error
    except ValueError as error:
        raise Fault(f"the protocol is not usable JSON: {error}") from error
    except RecursionError as error:
        raise Fault("the protocol is nested too deeply") from error
    if not isinstance(document, dict):
        raise Fault(f"the protocol must be a JSON object; found {_short(document)}")
    return cast("dict[str, Any]", document)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name given twice: readers differ on which of the two counts."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"the name {name!r} occurs twice in one object")
        fields[name] = value
    return fields


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _check_kind(document: dict[str, Any]) -> None:
    """Answer the two questions that make all further errors pointless."""
    if document.get("schemaKind") == "discoveryDraft":
        names = [
            field.alias or "" for field in Protocol.model_fields.values() if field.is_required()
        ]
        missing = ", ".join(name for name in names if name not in document) or "no section"
        raise Fault(
            "schemaKind: found 'discoveryDraft'; only a finished 'protocol' runs trials. "
            f"Missing from it: {missing}; fields ending in Guess must be settled"
        )
    version = document.get("protocolVersion", "1.0")
    if version not in _VERSIONS:
        allowed = " and ".join(_VERSIONS)
        raise Fault(f"protocolVersion: found {_short(version)}; versions known: {allowed}")


def _fault(lines: list[str]) -> Fault:
    more = len(lines) - MAX_PROBLEMS
    shown = lines[:MAX_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
    return Fault("\n".join(shown))


def _line(document: object, detail: ErrorDetails) -> str:
    """Word one validation error: where, what was found, what is allowed."""
    if not detail["loc"]:
        # The one thing left that json accepts and pydantic does not: half a surrogate pair.
        return f"the protocol is not usable JSON: {detail['msg']}"
    names = _json_names(document, detail["loc"])
    path = "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in names)
    path = escape(path.removeprefix(".")).replace("\n", "\\n")  # a field may have any name
    return f"{path}: {_wording(names, detail)}"


def _wording(names: list[str | int], detail: ErrorDetails) -> str:
    rule = detail["msg"].removeprefix("Input should ").removeprefix("Value should ")
    match detail["type"]:
        case "missing":
            return "missing; the field is required"
        case "extra_forbidden":
            return f"unknown field; allowed here: {', '.join(_siblings(names))}"
        case "too_short":
            return f"found {_short(detail['input'])}; must have at least one item"
        case "null":
            return "found null; leave the field out or give it a value"
        case "literal_error":
            return f"found {_short(detail['input'])}; allowed: {rule.removeprefix('be ')}"
        case "union_tag_not_found":
            return f"found {_short(detail['input'])}; allowed: text, or an object {{kind, args}}"
        case _:
            return f"found {_short(detail['input'])}; must {rule}"


def _json_names(document: object, location: tuple[str | int, ...]) -> list[str | int]:
    """Drop from an error's location what pydantic added: the tag of a union's member."""
    names: list[str | int] = []
    here = document
    for position, name in enumerate(location):
        if isinstance(here, dict) and name in here:
            here = cast("dict[str | int, object]", here)[name]
        elif isinstance(here, list) and isinstance(name, int):
            here = cast("list[object]", here)[name]
        elif position < len(location) - 1:
            continue
        names.append(name)
    return names


def _siblings(names: list[str | int]) -> list[str]:
    """List the fields that are allowed where an unknown one was found."""
    model: type[BaseModel] = Protocol
    for name in names[:-1]:
        fields = {field.alias: field.annotation for field in model.model_fields.values()}
        model = _model_in(fields.get(str(name))) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(part) for part in get_args(annotation))
    return next((model for model in inner if model), None)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
