"""What the objects of a JSON document have in common, and the plain values they hold."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


def whole(value: object) -> object:
    """Let 46.0 be the integer 46, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(whole)]
Natural = Annotated[Whole, Field(ge=0)]
Positive = Annotated[Whole, Field(ge=1)]
Texts = tuple[str, ...]
NonEmptyTexts = Annotated[Texts, Field(min_length=1)]


_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([kmgt]?)i?b?")
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def size_bytes(text: str) -> int | None:
    """Read a size as containers write it, `512m` or `4g`; None where it is none.

    Example:
        >>> size_bytes("4g"), size_bytes("1.5Gi"), size_bytes("much")
        (4294967296, 1610612736, None)
    """
    found = _SIZE.fullmatch(text.strip().lower())
    return int(float(found.group(1)) * _UNITS[found.group(2)]) if found else None


class Section(BaseModel):
    """A closed, frozen object of the document: camelCase names in JSON, snake_case in Python."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        allow_inf_nan=False,
    )

    @field_validator("*")
    @classmethod
    def _not_null(cls, value: object) -> object:
        """Refuse null: the schema knows fields that are left out, none that are empty."""
        if value is None:
            raise PydanticCustomError("null", "be left out rather than null")
        return value


class OpenSection(Section):
    """An object that may carry fields of its author's own."""

    model_config = ConfigDict(extra="allow")
