"""The evidence cut into windows that can be quoted: a sentence, a table row, or two sentences that belong together."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from serving.claims.lexicon import REFERRING
from serving.claims.phrases import asks_for_a_side
from serving.claims.sentences import Span, split_sentences
from serving.claims.support import Above, Claim, Window, rarity, support
from serving.claims.terms import Terms
from serving.claims.tokens import quick_terms
from serving.prompt import Evidence

_NUMBERING = re.compile(r"(?:\d+(?:\.\d+)*\.?|[A-Z]\.)\s+")
_FIRST_WORD = re.compile(r"\W")
_YES = re.compile(r"(?:yes|ja|oui)\b", re.IGNORECASE)
_NO = re.compile(r"(?:no|not|never|nein|nie|non)\b", re.IGNORECASE)
CANDIDATES = 12  # windows read closely for one sentence: those that share most with it


class Held(NamedTuple):
    """Where a claim is held best: `start` and `end` are code points into the evidence's text."""

    evidence: Evidence
    start: int
    end: int
    support: float


_Place = tuple[int, int, int]  # passage, first and last unit


class _Unit(NamedTuple):
    start: int
    end: int
    terms: Terms
    above: tuple[str, ...]  # title, headings, table header or list lead-in it stands under
    above_words: frozenset[str]
    leans: bool  # it speaks of what the unit before it named


class Passages:
    """All evidence of one answer, searched again for each of its sentences."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._evidence = evidence
        self._units = [tuple(_units(one)) for one in evidence]
        units = [unit for units in self._units for unit in units]
        found = Counter(chain.from_iterable([unit.terms.quick for unit in units]))
        self._weight = rarity(found, len(units))
        self._said = {unit.terms.text: unit.terms for unit in units}
        self._read: dict[_Place, Window] = {}
        self._above: dict[tuple[str, ...], Above] = {}

    def terms(self, said: str) -> Terms:
        """What a sentence says; of one that stands in the evidence word for word, what was read there."""
        return self._said.get(said) or Terms(said)

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
                if score == 1.0:
                    break
        return best

    def _candidates(self, claim: Claim, at_least: float, marker: int | None) -> Iterator[tuple[float, _Place]]:
        """Windows that share most with the claim, each with the most support it could give."""
        words = {word: self._weight(word) for word in frozenset(claim.terms.words)}
        figures = {figure.value: self._weight(figure.value) for figure in claim.terms.figures}
        said = sum(figures.values())
        total = sum(words.values()) + said
        wanted = words | figures
        scored = [
            (-score, last - first, passage, first)
            for passage, one in enumerate(self._evidence)
            if marker is None or one.marker == marker
            for first, last, score in _scores(self._units[passage], wanted)
        ]
        scored.sort()
        for _, longer, passage, first in scored[:CANDIDATES]:
            units = self._units[passage][first : first + longer + 1]
            known = units[0].above_words.union(*[unit.terms.quick for unit in units])
            most = (said + sum(map(words.__getitem__, words.keys() & known))) / total
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
            self._above[above] = Above(above)
        terms = units[first].terms if first == last else Terms(evidence.text[units[first].start : units[last].end])
        return Window(terms, self._above[above])


def _scores(units: Sequence[_Unit], wanted: dict[str, float]) -> Iterator[tuple[int, int, float]]:
    """First and last unit of every window that shares a word with the claim, and the weight of what it shares."""
    words, weigh = frozenset(wanted), wanted.__getitem__
    before: frozenset[str] = frozenset()
    for position, unit in enumerate(units):
        shared = words & unit.terms.quick
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
        above_words = head_words | _terms_of(lead) if lead else head_words
        leans = before is not None and _leans(said, before, span)
        yield _Unit(span.start, span.end, Terms(said), (*heads, *lead), above_words, leans)
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
