"""Passages that say the same thing: which those are, and which one of them answers for all.

Passages with other figures or other names state other facts, however alike they look: each of them stays.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from retrieval.catalog import Passage
from retrieval.store import ChunkRef

# What only sets words apart. Signs that change what a figure says (+ < > = $ %) belong to the word they touch.
_MARKS = (
    r"""!"#&'()*,./:;?@\[\\\]_`{|}~\-"""
    "\u00a1\u00a7\u00ab\u00b6\u00b7\u00bb\u00bf\u060c\u061b\u061f\u0964\u0965"
    "\u2016-\u2027\u2035-\u2043\u2045-\u205e\u25a0-\u25ff\u3001-\u3003\u3008-\u3011\u3014-\u301f\u30fb"
)
_FIGURE = rf"(?:(?<!\w)-)?[^\s{_MARKS}]*\d[^\s{_MARKS}]*(?:[.,:/\-]\d[^\s{_MARKS}]*)*"
_TOKEN = re.compile(rf"[^\s\d{_MARKS}]++(?!\d)|{_FIGURE}|[\n.!?:]")
_PIECE = re.compile(rf"[^\s{_MARKS}]+")
_BLANKS = {mark: " " for mark in range(128) if re.match(f"[{_MARKS}]", chr(mark))}
_DIGITS = re.compile(r"\d+")
_BREAKS = frozenset("\n.!?:")
_NEGATIONS = frozenset({
    "not", "no", "never", "none", "nor", "neither", "without", "except", "unless", "cannot", "nicht", "kein", "keine",
    "keinen", "nie", "ohne", "pas", "jamais", "sans", "sauf", "niet", "geen", "nooit",
})  # fmt: skip
# Unicode's NFKC would make 105 of 10⁵ and 11/2 of 1½.
_RAISED = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉¼½¾⅓⅔⅛⅜⅝⅞])")
_VARIANT = re.compile("[\u2010-\u2015\u2212\u2019\u00ad\u200b\u2060\ufeff]")
_VARIANTS = {"\u2019": "'"} | dict.fromkeys("\u00ad\u200b\u2060\ufeff", "")


class Scored(Protocol):
    """A passage with the score that it was found with."""

    @property
    def passage(self) -> Passage:
        """What was found."""
        ...

    @property
    def score(self) -> float:
        """More is better."""
        ...


Item = TypeVar("Item", bound=Scored)


class Groups(Generic[Item]):
    """Passages by what they say; in whatever order they come, the same passages make the same groups.

    `threshold` is the share of three-word sequences that near-duplicates have in common; 0 keeps all passages apart.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._groups: list[list[_Member[Item]]] = []

    def __len__(self) -> int:
        """How many passages are left when each group is one."""
        return len(self._groups)

    def add(self, item: Item) -> None:
        """Put a passage to those that it repeats; groups that it connects become one."""
        joined = [_Member(item, Wording(item.passage.text))]
        apart = []
        for group in self._groups:
            if self._repeats(joined[0], group):
                joined += group
            else:
                apart.append(group)
        self._groups = [*apart, joined]

    def merged(self) -> Iterator[tuple[Item, Item]]:
        """Per group, best first: the member with the best score, and the one that answers for all."""
        groups = [[member.item for member in group] for group in self._groups]
        pairs = [(min(group, key=_rank), min(group, key=_preference)) for group in groups]
        yield from sorted(pairs, key=lambda pair: _rank(pair[0]))

    def _repeats(self, new: "_Member[Item]", group: "list[_Member[Item]]") -> bool:
        return self._threshold > 0 and any(_alike(new, member, self._threshold) for member in group)


@dataclass(frozen=True, slots=True)
class _Member(Generic[Item]):
    item: Item
    wording: "Wording"


class Wording:
    """What a text says, apart from case, white space, punctuation and Unicode's several ways to write a character.

    Everything is worked out when it is first asked for: digits and vocabulary tell most texts apart at once.
    """

    def __init__(self, text: str) -> None:
        self._text = (text if text.isascii() else _spell(text)).replace("n't", " not")

    def differs_in_figures(self, other: "Wording") -> bool:
        """Whether they state other figures, or the same in another order: what else they say does not matter then."""
        return self._digits != other._digits

    def is_foreign_to(self, other: "Wording", threshold: float) -> bool:
        """Whether they lack too many of each other's words to be alike at all: each spoils a sequence of three."""
        mine, theirs = self._vocabulary, other._vocabulary
        lacking = len(mine) + len(theirs) - 2 * len(mine & theirs)
        return lacking > 3 * (1 - threshold) / (1 + threshold) * (len(self._pieces) + len(other._pieces))

    def equals(self, other: "Wording") -> bool:
        """Word for word."""
        return self._text == other._text or self._words == other._words

    def resembles(self, other: "Wording", threshold: float) -> bool:
        """The same telling words in the same order, and that share of all three-word sequences in common."""
        if self._telling != other._telling:
            return False
        mine, theirs = self._shingles, other._shingles
        common = len(mine & theirs)
        return common >= threshold * (len(mine) + len(theirs) - common)

    @cached_property
    def _pieces(self) -> list[str]:
        """Words, and parts of figures: quick to make."""
        small = self._text.lower()
        return small.translate(_BLANKS).split() if small.isascii() else _PIECE.findall(small)

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset(self._pieces)

    @cached_property
    def _digits(self) -> list[str]:
        return _DIGITS.findall(self._text)

    @cached_property
    def _tokens(self) -> list[str]:
        """Words as they are written, and the breaks after which a capital letter says nothing."""
        return _TOKEN.findall(self._text)

    @cached_property
    def _lowered(self) -> list[str]:
        return [token.lower() for token in self._tokens]

    @cached_property
    def _words(self) -> list[str]:
        return [low for low in self._lowered if low not in _BREAKS]

    @cached_property
    def _shingles(self) -> set[tuple[str, ...]]:
        words = self._words
        return set(zip(words, words[1:], words[2:], strict=False)) or {tuple(words)}

    @cached_property
    def _telling(self) -> list[str]:
        """Figures, the words after them, negations and names.

        A name has a capital letter, and not merely because a sentence starts there: then the text has it small, too.
        """
        tokens = self._tokens
        small = frozenset(tokens)
        seen = zip(["\n", *tokens], tokens, self._lowered, strict=False)
        return [low for before, token, low in seen if _tells(before, token, low, small)]


def _spell(text: str) -> str:
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", _RAISED.sub(r" ^\1", text))
    return _VARIANT.sub(lambda found: _VARIANTS.get(found[0], "-"), text)


def _tells(before: str, token: str, low: str, small: frozenset[str]) -> bool:
    """Whether a word would change what is said, seen with the one before it."""
    if token == low and low.isalpha():
        return low in _NEGATIONS or not (before.isalpha() or before in _BREAKS)
    if token in _BREAKS:
        return False
    return not (before in _BREAKS and token != low and token == low.capitalize() and low in small)


def _alike(one: _Member[Item], other: _Member[Item], threshold: float) -> bool:
    """Overlapping stretches of one document share words without repeating each other."""
    mine, theirs = one.wording, other.wording
    if mine.differs_in_figures(theirs) or mine.is_foreign_to(theirs, threshold):
        return False
    if mine.equals(theirs):
        return True
    return not _overlap(one.item.passage.ref, other.item.passage.ref) and mine.resembles(theirs, threshold)


def _overlap(one: ChunkRef, other: ChunkRef) -> bool:
    return one.document == other.document and one.start < other.end and other.start < one.end


def _rank(item: Scored) -> tuple[float, str, int]:
    return -item.score, item.passage.ref.document, item.passage.ref.start


def _preference(item: Scored) -> tuple[int, float, str, int]:
    """Newest first, what has no date last; then the better score, then the id."""
    updated = item.passage.updated
    return -updated.toordinal() if updated else 0, *_rank(item)
