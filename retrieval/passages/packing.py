"""From chunks that were found to passages that are shown: neighbours become one, and each grows under its heading.

All of it is words of the same document version as the chunk, read with the chunk by the one statement that decides what
may be shown: nothing that a caller may not see can come in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from retrieval.entries import Passage
from retrieval.index import Packing
from retrieval.passages.growth import Edges, grown
from retrieval.passages.view import View
from retrieval.store import ChunkRef

# Code points read to each side of a chunk: enough to see that the next chunk follows it, and for each token of growth
# four, four times over, because the rest of a table may take four times as much.
_GAP, _PER_TOKEN = 64, 16
# Chunks that may become one passage: more of them would leave no room in a prompt for any other document.
_CHUNKS = 3


class Ranked(Protocol):
    """A passage as it was found."""

    @property
    def passage(self) -> Passage:
        """One chunk."""
        ...


Item = TypeVar("Item", bound=Ranked)


def window(ref: ChunkRef, packing: Packing) -> ChunkRef:
    """What to read of a document so that the chunk at `ref` can be packed: more of its version, to both sides."""
    reach = _GAP + packing.grow * _PER_TOKEN
    return replace(ref, start=max(0, ref.start - reach), end=ref.end + reach)


def narrowed(read: Passage, ref: ChunkRef) -> Passage:
    """The chunk at `ref` alone, out of the window that was read for it."""
    view = View.of(read)
    return replace(read, ref=ref, text=view.words(ref.start, ref.end), places=view.places_in(ref.start, ref.end))


def pack(
    found: Sequence[Item],
    windows: Mapping[ChunkRef, Passage],
    packing: Packing,
    *,
    limit: int,
    count_tokens: Callable[[str], int],
) -> list[tuple[Item, Passage]]:
    """Up to `limit` passages out of what was `found`, best first: for each its best chunk, and all that is shown.

    `windows` has for the ref of every chunk what was read at its `window`. Candidates are taken in order until one
    more would be one passage too many. Chunks that follow each other in a document become one passage, up to three of
    them; no document has more passages than `packing.per_document`, if that is not 0. Then each passage takes in up to
    `packing.grow` tokens by `count_tokens` of the sentences, rows and items around it under its heading, nearest first
    and none in part, and the rest of a table of up to four times as many. KeyError for a chunk without a window.
    """
    shelf = _Shelf[Item](packing.per_document, limit)
    for rank, item in enumerate(found):
        ref = item.passage.ref
        if not shelf.add(_Stretch(item, rank, ref, ref.start, ref.end, View.of(windows[ref]))):
            break
    if packing.grow:
        shelf.grow(packing.grow, count_tokens)
    return [(stretch.item, stretch.passage()) for stretch in shelf.ranked()]


@dataclass(slots=True)
class _Stretch(Generic[Item]):
    """What becomes a passage: its best chunk, the ref of the chunk it begins with, and what was read around it."""

    item: Item
    rank: int
    ref: ChunkRef
    start: int
    end: int
    view: View
    chunks: int = 1

    def follows(self, other: "_Stretch[Item]") -> bool:
        """Whether nothing visible stands between the two, whichever comes first."""
        first, second = (self, other) if self.start <= other.start else (other, self)
        if second.start > first.view.end:
            return False
        return not first.view.words(first.end, second.start).strip()

    def take(self, other: "_Stretch[Item]") -> None:
        """Become one with what follows it or comes before it."""
        first, second = (self, other) if self.start <= other.start else (other, self)
        best = self if self.rank < other.rank else other
        self.item, self.rank, self.ref = best.item, best.rank, first.ref
        self.start, self.end, self.chunks = first.start, max(first.end, second.end), self.chunks + other.chunks
        self.view = first.view.joined(second.view)

    def passage(self) -> Passage:
        """All of it, under the heading of the chunk that it begins with."""
        shown, text = self.item.passage, self.view.words(self.start, self.end)
        if (self.start, self.end) == (shown.ref.start, shown.ref.end):
            return shown
        places = self.view.places_in(self.start, self.end)
        page = places[0].page if places and self.start != self.ref.start else self.ref.page
        header = "" if self.ref.header in text.split("\n") else self.ref.header
        ref = replace(self.ref, start=self.start, end=self.end, page=page, header=header)
        return replace(shown, ref=ref, text=text, places=places)


class _Shelf(Generic[Item]):
    """Stretches by document version."""

    def __init__(self, per_document: int, limit: int) -> None:
        self._per_document = per_document
        self._limit = limit
        self._held: dict[tuple[str, str], list[_Stretch[Item]]] = {}

    def add(self, stretch: _Stretch[Item]) -> bool:
        """Take the next candidate if it belongs to what is there or there is room; whether to go on."""
        same = self._held.setdefault((stretch.ref.document, stretch.ref.version), [])
        joined = _joined([*same, stretch])
        if len(joined) > len(same):
            if self._per_document and len(same) >= self._per_document:
                return True
            if sum(map(len, self._held.values())) >= self._limit:
                return False
        same[:] = joined
        return True

    def grow(self, room: int, count_tokens: Callable[[str], int]) -> None:
        """Let each take in what stands around it, the best first; what meets by that becomes one."""
        for stretch in self.ranked():
            same = self._held[stretch.ref.document, stretch.ref.version]
            before = max((one.end for one in same if one.end <= stretch.start), default=None)
            after = min((one.start for one in same if one.start >= stretch.end), default=None)
            edges = Edges(stretch.start, stretch.end, before, after)
            stretch.start, stretch.end = grown(stretch.view, edges, room, count_tokens)
        for same in self._held.values():
            same[:] = _joined(same)

    def ranked(self) -> list[_Stretch[Item]]:
        """All of them, best first."""
        return sorted(self._each(), key=lambda stretch: stretch.rank)

    def _each(self) -> Iterator[_Stretch[Item]]:
        for same in self._held.values():
            yield from same


def _joined(stretches: Sequence[_Stretch[Item]]) -> list[_Stretch[Item]]:
    """Neighbours as one, in the order of the text, as long as they are not too many chunks."""
    apart: list[_Stretch[Item]] = []
    for stretch in sorted(stretches, key=lambda one: (one.start, one.rank)):
        last = apart[-1] if apart else None
        if last is not None and last.chunks + stretch.chunks <= _CHUNKS and stretch.follows(last):
            last.take(stretch)
        else:
            apart.append(stretch)
    return apart
