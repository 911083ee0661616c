"""What was read of a document around a chunk: its words, and where they stand."""

from dataclasses import dataclass, replace
from itertools import takewhile

from retrieval.entries import Passage
from retrieval.passages.outline import Place


@dataclass(frozen=True, slots=True)
class View:
    """Code points from `start` on of one document version; `complete` when the document has no more after them."""

    start: int
    text: str
    places: tuple[Place, ...]
    complete: bool

    @classmethod
    def of(cls, read: Passage) -> "View":
        """What the catalog gave for a ref, whose end may lie beyond the document's."""
        return cls(read.ref.start, read.text, read.places, len(read.text) < read.ref.end - read.ref.start)

    @property
    def end(self) -> int:
        """Where it ends in the document."""
        return self.start + len(self.text)

    def words(self, start: int, end: int) -> str:
        """The document's text from `start` to `end`."""
        return self.text[start - self.start : end - self.start]

    def places_in(self, start: int, end: int) -> tuple[Place, ...]:
        """Where the words from `start` to `end` stand; the first holds at `start`."""
        before = [place for place in self.places if place.start <= start]
        within = [place for place in self.places if start < place.start < end]
        return (*(replace(place, start=start) for place in before[-1:]), *within)

    def section(self, start: int, end: int) -> tuple[int, int]:
        """From where to where words stand under the heading of `start`, and under that of `end`, as far as it reads."""
        first, last = self.places_in(start, start + 1), self.places_in(end - 1, end)
        if not first or not last:
            return self.start, self.end
        before = [place for place in self.places if place.start <= start]
        same = list(takewhile(lambda place: place.heading == first[0].heading, reversed(before)))
        other = (place.start for place in self.places if place.start >= end and place.heading != last[0].heading)
        return same[-1].start, next(other, self.end)

    def joined(self, after: "View") -> "View":
        """One view of both, of which `after` begins no earlier, and no later than this ends."""
        if after.end <= self.end:
            return self
        places = (*self.places, *(place for place in after.places if place.start >= self.end))
        return View(self.start, self.text + after.text[self.end - after.start :], places, after.complete)
