"""The links that an answer may keep: the sources of its passages, and names, URLs and addresses that stand in them."""

import re
from collections.abc import Iterable
from functools import cached_property

from serving.prompt import Evidence

_SOURCE = re.compile(r"https?://[\w.:-]+(?:[/?][\w.~:/?@!$&*+,;=%-]*)?", re.ASCII | re.IGNORECASE)
_LONGEST_FRAGMENT = 256
_FRAGMENT = re.compile(r"[\w.=&%-]*", re.ASCII)
_TRAILING = ")].,;:!?*_"
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PLACE = re.compile(  # no entity, bracket or mark of emphasis, which would be something else to a renderer
    r"(?:https?://)?[A-Za-z0-9-]+(?:\.[\w-]+)+(?::\d{1,5})?(?:[/?#][\w.~:/?@+,=%#-]*)?", re.ASCII
)
_LONGEST_PLACE = 512
_AROUND = "([{\"'`*_\u2039\u2768"
_AFTER = ")]}\"'`.,;:!?*_"
_MOST_AFTER = 3  # more could carry something


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

    def place(self, before: str, text: str, at: int, *, ended: bool) -> int | None:
        """How many code points from `at` on belong to a word of the passages, such as a URL, that it stands within.

        Bare and to the letter: 0 where anything is added, or it is a link's target; None: too early to say.
        """
        if not self._places:
            return 0
        window = before[-_LONGEST_PLACE - len(_AROUND) :]
        begun = "" if window[-1:].isspace() else "".join(window.split()[-1:])
        if len(begun) > _LONGEST_PLACE:
            return 0
        begun = begun.lstrip(_AROUND)
        rest = text[at : at + _LONGEST_PLACE + _MOST_AFTER + 1]
        word = begun + rest.split(None, 1)[0]
        if len(word) == len(begun) + len(rest) and not ended:
            return None if len(rest) <= _LONGEST_PLACE + _MOST_AFTER and self._goes_on(word) else 0
        place = word.rstrip(_AFTER)
        if place not in self._places:
            return 0
        return max(0, len(place) - len(begun)) if len(word) - len(place) <= _MOST_AFTER else 0

    def _goes_on(self, word: str) -> bool:
        return any(place.startswith(word) or word.startswith(place) for place in self._places)

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

    @cached_property
    def _places(self) -> frozenset[str]:
        words = {word.lstrip("<" + _AROUND).rstrip(">" + _AFTER) for one in self._evidence for word in one.text.split()}
        places = {word for word in words if "." in word and len(word) <= _LONGEST_PLACE and _PLACE.fullmatch(word)}
        return self._addresses | places


def _parted(word: str, *, closed: bool) -> tuple[str, str | None]:
    """A link and the punctuation after it, None where something else comes after it."""
    if not closed:
        link = word.rstrip(_TRAILING)
        return link, word[len(link) :]
    link, bracket, rest = word.partition(")")
    return link, rest if bracket and not rest.strip(_TRAILING) else None
