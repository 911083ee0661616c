"""Whether an answer can be held against a client's JSON schema in a bounded time: references can make that endless."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

_MOST, _DEEPEST = 2_000, 100  # values of the schema, each as often as references lead to it
_UNFOLLOWED = ("$dynamicRef", "$recursiveRef")
_REBASING = ("$id", "$schema")  # below the top they have references lead to another place, or mean something else


class _Endless(Exception):
    """It is too much, or nobody knows how much it is."""


def is_bounded(schema: Mapping[str, Any]) -> bool:
    """Whether it is small with all its references written out. One that leads to itself never is."""
    try:
        _Walk(schema).take(schema, frozenset(), 0)
    except _Endless:
        return False
    return True


class _Walk:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._left = _MOST

    def take(self, value: Any, within: frozenset[str], depth: int) -> None:
        """Count a value and all in it; `within` are the references that led here."""
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise _Endless
        if isinstance(value, Mapping):
            misleading = (*_UNFOLLOWED, *_REBASING) if depth else _UNFOLLOWED
            if any(isinstance(value.get(name), str) for name in misleading):
                raise _Endless
            if isinstance(place := value.get("$ref"), str):
                self.take(self._at(place, within), within | {place}, depth + 1)
            for inner in value.values():
                self.take(inner, within, depth + 1)
        elif isinstance(value, list):
            for inner in value:
                self.take(inner, within, depth + 1)

    def _at(self, place: str, within: frozenset[str]) -> Any:
        """What a JSON pointer into this schema leads to."""
        if place in within or not place.startswith("#/"):
            raise _Endless
        found: Any = self._schema
        for step in unquote(place[2:]).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name) if isinstance(found, list) else name]
            except (LookupError, TypeError, ValueError):
                raise _Endless from None
        return found
