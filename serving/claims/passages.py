"""The evidence cut into windows that can be quoted: a sentence, a table row, or two sentences that belong together."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from serving.claims.figures import Figure, find_figures
from serving.claims.lexicon import REFERRING, stem
from serving.claims.phrases import asks_for_a_side
from serving.claims.sentences import Span, split_sentences
from serving.claims.support import Above, Claim, Window, rarity, support, units_in
from serving.claims.terms import Terms, quick_terms
from serving.prompt import Evidence

_NUMBERING = re.compile(r"(?:\d+(?:\.\d+)*\.?|[A-Z]\.)\s+")
_FIRST_WORD = re.compile(r"\W")
_YES = re.compile(r"(?:yes|ja|oui)\b", re.IGNORECASE)
_NO = re.compile(r"(?:no|not|never|nein|nie|non)\b", re.IGNORECASE)
CANDIDATES = 12  # windows read closely for one sentence: those that share most with it


@dataclass(frozen=True, slots=True)
class Held:
    """Where a claim is held best: `start` and `end` are code points into the evidence's text."""

    evidence: Evidence
    start: int
    end: int
    support: float


_Place = tuple[int, int, int]  # passage, first and last unit


@dataclass(frozen=True, slots=True)
class _Unit:
    start: int
    end: int
    words: frozenset[str]
    above: tuple[str, ...]  # title, headings, table header or list lead-in it stands under
    above_words: frozenset[str]
    leans: bool  # it speaks of what the unit before it named


class Passages:
    """All evidence of one answer, searched again for each of its sentences."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._evidence = evidence
        self._units = [tuple(_units(one)) for one in evidence]
        found = Counter(word for units in self._units for unit in units for word in unit.words)
        self._weight = rarity(found, sum(map(len, self._units)))
        self._read: dict[_Place, Window] = {}
        self._above: dict[tuple[str, ...], Above] = {}

    def best(self, claim: Claim, at_least: float, marker: int | None = None) -> Held | None:
        """The window that holds the claim best, in the passage with that marker or anywhere; ties go to the first."""
        best: Held | None = None
        for most, (passage, first, last) in self._candidates(claim, at_least, marker):
            if best is not None and most <= best.support:
                continue
            score = support(claim, self._window(passage, first, last), self._weight)
            if score >= at_least and (best is None or score > best.support):
                units = self._units[passage]
                best = Held(self._evidence[passage], units[first].start, units[last].end, score)
        return best

    def _candidates(self, claim: Claim, at_least: float, marker: int | None) -> Iterator[tuple[float, _Place]]:
        """Windows that share most with the claim, each with the most support it could give."""
        words = {word: self._weight(word) for word in frozenset(claim.terms.words)}
        figures = {figure.value: self._weight(figure.value) for figure in claim.terms.figures}
        total = sum(words.values()) + sum(figures.values())
        wanted = words | figures
        scored = [
            (-score, last - first, passage, first)
            for passage, one in enumerate(self._evidence)
            if marker is None or one.marker == marker
            for first, last, score in _scores(self._units[passage], wanted)
        ]
        for _, longer, passage, first in nsmallest(CANDIDATES, scored):
            units = self._units[passage][first : first + longer + 1]
            known = units[0].above_words.union(*(unit.words for unit in units))
            most = (sum(figures.values()) + sum(words[word] for word in words.keys() & known)) / total
            if most >= at_least:
                yield most, (passage, first, first + longer)

    def _window(self, passage: int, first: int, last: int) -> Window:
        key = (passage, first, last)
        if key not in self._read:
            self._read[key] = self._make_window(*key)
        return self._read[key]

    def _make_window(self, passage: int, first: int, last: int) -> Window:
        evidence, units = self._evidence[passage], self._units[passage]
        above = units[first].above
        if above not in self._above:
            self._above[above] = _above(above)
        return Window(Terms(evidence.text[units[first].start : units[last].end]), self._above[above])


def _above(texts: tuple[str, ...]) -> Above:
    words = frozenset(stem(word) for text in texts for word in text.casefold().split())
    return Above(
        words=words.union(*map(quick_terms, texts)),
        figures=_figures([text for text in texts if not text.endswith("?")]),
        units=frozenset().union(*map(units_in, texts)),
        scopes=tuple(scope for text in texts if text.endswith(":") for scope in Terms(text).scopes),
    )


def _figures(texts: Sequence[str]) -> tuple[Figure, ...]:
    return tuple(found.figure for text in texts for found in find_figures(text))


def _scores(units: Sequence[_Unit], wanted: dict[str, float]) -> Iterator[tuple[int, int, float]]:
    """First and last unit of every window that shares a word with the claim, and the weight of what it shares."""
    words, weigh = frozenset(wanted), wanted.__getitem__
    before: frozenset[str] = frozenset()
    for position, unit in enumerate(units):
        shared = words & unit.words
        if shared:
            yield position, position, sum(map(weigh, shared))
            if unit.leans and not before <= shared:
                yield position - 1, position, sum(map(weigh, shared | before))
        before = shared


def _units(evidence: Evidence) -> Iterator[_Unit]:
    text = evidence.text
    heads: tuple[str, ...] = (evidence.title, *evidence.heading)
    head_words = _terms_of(heads)
    lead: tuple[str, ...] = (evidence.header,) if evidence.header else ()
    before = Span(0, 0, "row", 0) if evidence.header else None
    for span in split_sentences(text):
        said = text[span.start : span.end]
        if span.kind == "heading" or (span.kind == "sentence" and _is_title(said)):
            heads, lead, before = (evidence.title, *evidence.heading, said), (), None
            head_words = _terms_of(heads)
            continue
        if said.endswith("?"):
            lead, before = (said,), None
            continue
        lead = _lead(lead, before, span, said, text)
        words = quick_terms(said)
        above_words = head_words | _terms_of(lead) if lead else head_words
        leans = before is not None and _leans(said, before, span)
        yield _Unit(span.start, span.end, words, (*heads, *lead), above_words, leans)
        before = span


def _is_title(said: str) -> bool:
    """A line without an end and without a figure but its own number: plain text from PDF and Word marks no headings."""
    if said.endswith((".", "!", "?", ":", ";", '"', ")")):
        return False
    return not any(map(str.isdigit, _NUMBERING.sub("", said, count=1)))


def _terms_of(texts: Sequence[str]) -> frozenset[str]:
    return quick_terms("\n".join(texts))


def _lead(lead: tuple[str, ...], before: Span | None, span: Span, said: str, text: str) -> tuple[str, ...]:
    """What a row or a list item stands under, once another span has come before it; or the question it answers."""
    if before is None:
        return lead if lead and _answers(said, lead[0]) else ()
    if span.kind == "sentence":
        return ()
    above = text[before.start : before.end]
    if span.kind == "row":
        return lead if before.kind == "row" and lead else (above,) if before.kind == "row" else ()
    return (above,) if above.endswith(":") else lead


def _answers(said: str, question: str) -> bool:
    """The sentence may be read with the words of the question before it: it takes its side, if there are sides."""
    if " or " in question or " oder " in question or Terms(said).polarity.negated or _NO.match(said):
        return False
    return not asks_for_a_side(question) or _YES.match(said) is not None


def _leans(said: str, before: Span, span: Span) -> bool:
    if span.kind == "row" or before.kind == "row":
        return False
    return span.kind == before.kind == "item" or _FIRST_WORD.split(said, 1)[0].casefold() in REFERRING
