"""The YAML that may stand before a Markdown text."""

import re
from collections.abc import Mapping

import yaml

_FENCED = re.compile(r"---[^\S\n]*\n(.{0,65536}?)\n(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)", re.DOTALL)
_DEEPEST = 20
_ACCESS = frozenset({"tenant", "allow", "deny", "access", "acl", "groups", "permissions"})


class _PlainLoader(yaml.BaseLoader):
    """Every scalar a string; neither aliases, which can grow without bound, nor deep nesting."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent) or self._depth > _DEEPEST:
            raise yaml.YAMLError("front matter with aliases or deep nesting")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def split(text: str) -> tuple[Mapping[str, str], str]:
    """Metadata and the text behind it; what is no plain mapping is text. Keys about access are left out."""
    found = _FENCED.match(text)
    values = _mapping(found[1]) if found else None
    if found is None or values is None:
        return {}, text
    pairs = ((key.strip().lower(), _flat(value)) for key, value in values.items() if isinstance(key, str))
    return {key: value for key, value in pairs if value and key not in _ACCESS}, text[found.end() :]


def _mapping(source: str) -> Mapping[object, object] | None:
    loader = _PlainLoader(source)
    try:
        values = loader.get_single_data()
    except yaml.YAMLError:
        return None
    finally:
        loader.dispose()
    return values if isinstance(values, Mapping) else None


def _flat(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(one for one in value if isinstance(one, str))
    return value if isinstance(value, str) else ""
