"""How large and how deep JSON may be whose shape is the caller's to choose, and how much is told of what is wrong."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, ValidationError

from gateway.errors import GatewayError, Invalid

DEEPEST = 32
MOST_VALUES = 5_000
MOST_FIELDS = 64  # of a request, where unknown ones are let pass; and of faults that are looked into


def check_size(raw: bytes) -> None:
    """Refuse objects of more fields than any schema has: to refuse each of them takes as long as a caller likes."""
    if raw.count(b'":') <= MOST_VALUES:
        return
    try:
        fields = _crowded(msgspec.json.decode(raw))
    except (msgspec.DecodeError, RecursionError):  # the schema says what is wrong with it
        return
    if fields > MOST_VALUES:
        raise Invalid(f"more than {MOST_VALUES} fields are too many: send what the schema says")


def refused(error: ValidationError) -> GatewayError | RequestValidationError:
    """What a caller is told of a body or a query that does not fit its schema; of very many faults, none by name."""
    if error.error_count() > MOST_FIELDS:
        return Invalid(f"more than {MOST_FIELDS} fields are wrong: send what the schema says")
    return RequestValidationError(error.errors(include_url=False, include_context=False, include_input=False))


def bounded(given: dict[str, Any]) -> dict[str, Any]:
    """`given`, unless it is too deep or large, or holds a number that JSON has not; ValueError."""
    level: list[object] = [given]
    values = 0
    for _ in range(DEEPEST):
        values += len(level)
        if values > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES} values: make it smaller")
        if any(isinstance(value, float) and not math.isfinite(value) for value in level):
            raise ValueError("it holds a number that JSON has not: leave out NaN and Infinity")
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return given
    raise ValueError(f"it is nested deeper than {DEEPEST} levels: make it flatter")


def _crowded(given: object) -> int:
    """How many fields there are in objects of many."""
    level, fields = [given], 0
    while level:
        fields += sum(len(one) for one in level if isinstance(one, Mapping) and len(one) > MOST_FIELDS)
        level = [inner for value in level for inner in _inside(value)]
    return fields


def _inside(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


Format = Annotated[dict[str, Any], AfterValidator(bounded)]
