"""How large and how deep JSON may be whose shape is the caller's to choose."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

DEEPEST = 32
MOST_VALUES = 5_000
MOST_FIELDS = 64  # of a request, where unknown ones are let pass; and of faults that are looked into


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


def _inside(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


Format = Annotated[dict[str, Any], AfterValidator(bounded)]
