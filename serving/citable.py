"""The links that an answer may keep: the sources of the passages it was made from, and addresses that stand in them."""

import re
from collections.abc import Iterable
from functools import cached_property

from serving.prompt import Evidence

_SOURCE = re.compile(r"https?://[\w.:-]+(?:[/?][\w.~:/?@!$&*+,;=%-]*)?", re.ASCII | re.IGNORECASE)
_LONGEST_FRAGMENT = 256
_FRAGMENT = re.compile(r"[\w.=&%-]*", re.ASCII)
_TRAILING = ")].,;:!?*_"
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


class Citable:
    """What of the evidence may be linked to; only whole and unchanged, as what is added to a link leaves with it."""

    def __init__(self, evidence: Iterable[Evidence] = ()) -> None:
        self._evidence = tuple(evidence)

    def link(self, text: str, start: int, *, closed: bool, ended: bool, before: str = "") -> int | None:
        """How many code points of `text` from `start` on are a link to a source, 0 for none; None: too early to say.

        `closed` links end with a bracket. `before` is what of the link stands before `start`.
        """
        if not self._sources:
            return 0
        window = before + text[start : start + self._longest]
        word = window.split(None, 1)[0] if window[:1].strip() else ""
        if len(word) == len(window) and not ended:
            return None if len(text) < start + self._longest and self._begins(word) else 0
        link, rest = _parted(word, closed=closed)
        source, _, fragment = link.partition("#")
        if rest is None or source not in self._sources or not _FRAGMENT.fullmatch(fragment):
            return 0
        return len(link) + closed - len(before)

    def address(self, address: str) -> bool:
        """Whether an e-mail address stands in the passages."""
        return address in self._addresses

    def _begins(self, word: str) -> bool:
        return any(source.startswith(word) or word.startswith(source) for source in self._sources)

    @cached_property
    def _sources(self) -> frozenset[str]:
        sources = {one.source.partition("#")[0] for one in self._evidence}
        return frozenset(source for source in sources if _SOURCE.fullmatch(source))

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._sources)) + _LONGEST_FRAGMENT

    @cached_property
    def _addresses(self) -> frozenset[str]:
        return frozenset(found for one in self._evidence if "@" in one.text for found in _ADDRESS.findall(one.text))


def _parted(word: str, *, closed: bool) -> tuple[str, str | None]:
    """A link and the punctuation after it, None where something else comes after it."""
    if not closed:
        link = word.rstrip(_TRAILING)
        return link, word[len(link) :]
    link, bracket, rest = word.partition(")")
    return link, rest if bracket and not rest.strip(_TRAILING) else None
