"""Secrets in a source's configuration: `${NAME}` becomes its value, and no message ever shows one."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from retrieval.errors import SourceError

_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HIDDEN = "***"


class Secrets:
    """The values that one configuration may use; it remembers which it did."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._used: set[str] = set()

    def fill(self, text: str) -> str:
        """With every `${NAME}` replaced; SourceError names one that is not set."""
        return _NAMED.sub(lambda match: self._value(match.group(1)), text)

    def fill_url(self, url: str) -> str:
        """The same for a URL: a value within it is escaped, one that is the whole URL is not."""
        if _NAMED.fullmatch(url):
            return self.fill(url)
        return _NAMED.sub(lambda match: quote(self._value(match.group(1)), safe=""), url)

    def hide(self, text: str) -> str:
        """A message without any value that was used."""
        for value in sorted(self._used, key=len, reverse=True):
            for form in (value, quote(value, safe="")):
                text = text.replace(form, _HIDDEN)
        return text

    def also(self, value: str | None) -> None:
        """A part of a value that has to be hidden by itself, too."""
        self._used |= {value} if value else set()

    def _value(self, name: str) -> str:
        value = self._values.get(name)
        if not value:
            raise SourceError(f"${{{name}}} is not set: put it into the environment")
        self._used.add(value)
        return value
