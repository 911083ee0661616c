"""What it takes to hold an answer against a client's JSON schema: references can make that endless."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from serving.errors import SchemaError
from serving.pattern_size import pattern_size

_MOST, _DEEPEST = 1_000, 100  # values of the schema, each as often as references lead to it
_MOST_STATES = 2_000  # of the automata of all its patterns
_STATES = 8  # that a character is held against in the time in which one value is held against another
_REPEATED = 500  # characters, in that time
_LEAST_STEP, _MULTIPLE = 1e-9, 40  # and what finding out about a multiple is, in values
_TOLD = ("title", "description", "$comment")
_UNFOLLOWED = ("$dynamicRef", "$recursiveRef")
_REPEATING = ("unevaluatedProperties", "unevaluatedItems")  # one within another doubles the work
_REBASING = ("$id", "$schema")  # below the top they have references lead to another place, or mean something else


class _Endless(Exception):
    """It is too much, or nobody knows how much it is."""


@dataclass(frozen=True, slots=True)
class SchemaSize:
    """Of a schema with all its references written out."""

    values: int
    states: int

    def work(self, answer: str) -> int:
        """Values held against values at most: each of the schema's can meet each of the answer's."""
        parts = 1 + sum(map(answer.count, ",:[{"))
        return self.values * parts + self.states * len(answer) // _STATES

    def telling(self, answer: str) -> int:
        """The same where each that does not fit is told of: that repeats the answer."""
        return self.work(answer) + self.values * len(answer) // _REPEATED


def size_of(schema: Mapping[str, Any]) -> SchemaSize | None:
    """None for one that is too large: one that leads to itself always is."""
    walk = _Walk(schema)
    try:
        walk.take(schema, frozenset(), 0)
    except (_Endless, SchemaError):
        return None
    return SchemaSize(walk.values, walk.states)


class _Walk:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self.values = self.states = 0

    def take(self, value: Any, within: frozenset[str], depth: int) -> None:
        """Count a value and all in it; `within` are the references that led here."""
        self.values += 1
        if self.values > _MOST or depth > _DEEPEST:
            raise _Endless
        if isinstance(value, Mapping):
            misleading = (*_UNFOLLOWED, *_REBASING) if depth else _UNFOLLOWED
            if any(isinstance(value.get(name), str) for name in misleading):
                raise _Endless
            if any(name in value for name in _REPEATING):
                raise _Endless
            if isinstance(place := value.get("$ref"), str):
                self.take(self._at(place, within), within | {place}, depth + 1)
            self._take_multiple(value)
            self._take_patterns(value)
            for name, inner in value.items():
                if not (name in _TOLD and isinstance(inner, str)):
                    self.take(inner, within, depth + 1)
        elif isinstance(value, list):
            for inner in value:
                self.take(inner, within, depth + 1)

    def _take_multiple(self, value: Mapping[str, Any]) -> None:
        """It is reckoned with exact fractions, which are long for small numbers."""
        if isinstance(step := value.get("multipleOf"), int | float):
            if not _LEAST_STEP <= step <= 1 / _LEAST_STEP:
                raise _Endless
            self.values += _MULTIPLE

    def _take_patterns(self, value: Mapping[str, Any]) -> None:
        match value:
            case {"pattern": str(pattern)}:
                self._take_pattern(pattern)
        match value:
            case {"patternProperties": dict(named)}:
                for pattern in named:
                    self._take_pattern(pattern)
                    self._take_pattern(pattern)  # what else is allowed is found by holding names against it again

    def _take_pattern(self, pattern: str) -> None:
        self.states += pattern_size(pattern)
        if self.states > _MOST_STATES:
            raise _Endless

    def _at(self, place: str, within: frozenset[str]) -> Any:
        """What a JSON pointer into this schema leads to."""
        if place in within or not place.startswith("#/"):
            raise _Endless
        found: Any = self._schema
        steps = unquote(place[2:]).split("/")
        if len(steps) > _DEEPEST:
            raise _Endless
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name) if isinstance(found, list) else name]
            except (LookupError, TypeError, ValueError):
                raise _Endless from None
        return found
