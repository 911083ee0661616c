"""The chunker tree-1: fills one chunk after another.

Sections are gathered greedily. A heading goes with what follows it; whole sections share a chunk only with their
siblings; a section above the budget is cut between blocks, a block above it between rows or items, sentences, words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from retrieval.ingest.blocks import Block
from retrieval.ingest.cut import Cutter, Span
from retrieval.ingest.sections import Section, Stretch, sections


def fill(blocks: Sequence[Block], cutter: Cutter) -> Iterator[Stretch]:
    """All blocks in stretches of no more than the cutter's budget, unless one character counts more."""
    packer = _Packer(cutter)
    for section in sections(blocks):
        packer.add(section)
    return packer.finish()


@dataclass(slots=True)
class _Group:
    """What goes into one chunk: counted `tokens`, and `doubt`, by how much joining may have added to their sum."""

    spans: list[Span] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    tokens: int = 0
    doubt: int = 0

    @property
    def is_heading_only(self) -> bool:
        return all(block.kind == "heading" for block in self.blocks)


@dataclass(slots=True)
class _Packer:
    """Fills one group after another; `_whole` is the last section if its group holds whole sections only."""

    cutter: Cutter
    _done: list[_Group] = field(default_factory=list)
    _open: _Group = field(default_factory=_Group)
    _whole: Section | None = None

    def add(self, section: Section) -> None:
        """The next section."""
        counted = [(self.cutter.span(block.start, block.end), block) for block in section.blocks]
        joins = self._whole is not None and section.is_sibling(self._whole)
        if joins and self._take_all(counted):
            self._whole = section
            return
        self._close()
        if self._take_all(counted):
            self._whole = section
            return
        for span, block in counted:
            self._pack(span, block)
        self._whole = None

    def finish(self) -> Iterator[Stretch]:
        """All that was gathered."""
        self._close()
        for group in self._done:
            yield Stretch(group.spans[0].start, group.spans[-1].end, tuple(group.blocks))

    def _take_all(self, counted: Sequence[tuple[Span, Block]]) -> bool:
        """Take a section if all of it fits; else leave the open group as it was."""
        group = self._open
        kept = len(group.spans), group.tokens, group.doubt
        for span, block in counted:
            if not self._take(span, block):
                del group.spans[kept[0] :], group.blocks[kept[0] :]
                _, group.tokens, group.doubt = kept
                return False
        return True

    def _take(self, span: Span, block: Block) -> bool:
        group = self._open
        first = group.spans[0] if group.spans else span
        gap = max(2, span.start - group.spans[-1].end) if group.spans else 0
        estimate, doubt = group.tokens + span.tokens, group.doubt + gap
        tokens = self.cutter.fits(first, span, estimate, doubt)
        if tokens is None:
            return False
        group.doubt = doubt if estimate + doubt <= self.cutter.budget else 0
        group.tokens = tokens
        group.spans.append(span)
        group.blocks.append(block)
        return True

    def _pack(self, span: Span, block: Block) -> None:
        """Put a block into the open group and as many new ones as it needs."""
        if self._take(span, block):
            return
        if self._open.spans and self._open.is_heading_only and block.kind != "heading":
            span = self._follow_heading(span, block)
        for piece in self.cutter.cut(span, block.kind):
            if not self._take(piece, block):
                self._close()
                if not self._take(piece, block):
                    self._force(piece, block)

    def _follow_heading(self, span: Span, block: Block) -> Span:
        """Give the open group, which is all headings, the beginning of what follows; the rest of it remains."""
        room = self.cutter.budget - self._open.tokens - self._open.doubt - 2
        taken = span.start
        for piece in self.cutter.cut(span, block.kind, max(room, 1)):
            if not self._take(piece, block):
                break
            taken = piece.end
        return self.cutter.span(taken, span.end)

    def _force(self, piece: Span, block: Block) -> None:
        """A single character above the budget has to stand alone."""
        self._open = _Group([piece], [block], piece.tokens)
        self._close()

    def _close(self) -> None:
        if self._open.spans:
            self._done.append(self._open)
        self._open = _Group()
        self._whole = None
