"""Cuts text into pieces within a token limit: between lines, then sentences, then words, then characters."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from retrieval.ingest.blocks import BlockKind

_LINES = re.compile(r"\n+")
_SENTENCES = re.compile("(?<=[.!?\u2026])[\"'\u201d\u2019\u00bb)\\]]*\\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_WORDS = re.compile(r"\s+")
_LONGEST_TOKEN = 16
_CELLS = re.compile(r"\s*\|\s*")
_ITEMS = re.compile(r"\n+(?=(?:[-*+\u2022\u2013\u25aa]|\w{1,3}[.)])\s)")
_NESTED = re.compile(r"\n+(?=\s*(?:[-*+\u2022\u2013\u25aa]|\w{1,3}[.)])\s)")
_BY_LINES = (_LINES, _SENTENCES, _WORDS)
_BY_SENTENCES = (_SENTENCES, _WORDS)


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]`, which begins and ends with a visible character, and the tokens it counts."""

    start: int
    end: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Cutter:
    """Counts and cuts one text by `count_tokens`, which must not add special tokens."""

    text: str
    budget: int
    count_tokens: Callable[[str], int]

    def span(self, start: int, end: int) -> Span:
        """A counted stretch, without the whitespace around it."""
        stretch = self.text[start:end]
        start += len(stretch) - len(stretch.lstrip())
        stretch = stretch.strip()
        return Span(start, start + len(stretch), self.count(stretch))

    def count(self, stretch: str) -> int:
        """Tokens, but at least one for so many characters: some tokenizers make one token of an endless word."""
        return max(self.count_tokens(stretch), len(stretch) // _LONGEST_TOKEN)

    def fits(self, first: Span, last: Span, estimate: int, doubt: int, above: int = 0) -> int | None:
        """Tokens from `first` to `last` when within the budget, counted anew only where `doubt` could decide.

        `above` are tokens of the budget that something else takes.
        """
        room = self.budget - above
        if estimate + doubt <= room:
            return estimate
        if estimate > room:
            return None
        exact = self.count(self.text[first.start : last.end])
        return exact if exact <= room else None

    def units(self, span: Span, kind: BlockKind, limit: int) -> Iterator[Span]:
        """What a block is made of: rows, items, lines of code, sentences; smaller where one is above the budget.

        Rows and items are whole up to `limit` tokens, but an item above the budget gives its inner items.
        """
        if kind == "table":
            for row in self._parts(span, _LINES):
                yield from self._cut(row, (_CELLS, _SENTENCES, _WORDS), limit)
        elif kind == "list":
            for item in self._parts(span, _ITEMS):
                inner = [item] if item.tokens <= self.budget else self._parts(item, _NESTED)
                for part in inner:
                    yield from self._cut(part, _BY_LINES, limit)
        else:
            boundary, finer = (_LINES, (_WORDS,)) if kind == "code" else (_SENTENCES, (_WORDS,))
            for part in self._parts(span, boundary):
                yield from self._cut(part, finer, self.budget)

    def cut(self, span: Span, kind: BlockKind, limit: int | None = None) -> Iterator[Span]:
        """The span as it is, or in pieces of at most `limit` tokens: rows and items stay whole if they can."""
        levels = _BY_LINES if kind in ("table", "list", "code") else _BY_SENTENCES
        return self._cut(span, levels, self.budget if limit is None else limit)

    def _cut(self, span: Span, levels: tuple[re.Pattern[str], ...], limit: int) -> Iterator[Span]:
        if span.tokens <= limit:
            yield span
        elif levels:
            for part in self._parts(span, levels[0]):
                yield from self._cut(part, levels[1:], limit)
        else:
            yield from self._halves(span, limit)

    def _parts(self, span: Span, boundary: re.Pattern[str]) -> Iterator[Span]:
        start = span.start
        for found in boundary.finditer(self.text, span.start, span.end):
            if self.text[start : found.end()].strip():
                yield self.span(start, found.end())
                start = found.end()
        if self.text[start : span.end].strip():
            yield self.span(start, span.end)

    def _halves(self, span: Span, limit: int) -> Iterator[Span]:
        """A run without whitespace, halved until it fits or is one character."""
        if span.tokens <= limit or span.end - span.start == 1:
            yield span
            return
        middle = (span.start + span.end) // 2
        yield from self._halves(self.span(span.start, middle), limit)
        yield from self._halves(self.span(middle, span.end), limit)
