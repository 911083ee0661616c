"""The sections of a document: what stands under one heading, as its blocks tell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrieval.ingest.blocks import Block


@dataclass(frozen=True, slots=True)
class Section:
    """Headings and what stands under the last of them; `bodies` is empty only where the document ends with headings."""

    headings: tuple[Block, ...]
    bodies: tuple[Block, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All of it, in order."""
        return self.headings + self.bodies

    @property
    def path(self) -> tuple[str, ...]:
        """The headings that its text stands under."""
        return (self.bodies or self.headings)[-1].heading

    def is_sibling(self, other: "Section") -> bool:
        """Whether this follows `other` under the same parent, with no heading of a higher level in between."""
        path, before = self.path, other.path
        alike = bool(path) and len(path) == len(before) and path[:-1] == before[:-1]
        return alike and all(len(block.heading) >= len(path) for block in self.headings)


def sections(blocks: Sequence[Block]) -> Iterator[Section]:
    """The sections of a document, in order."""
    headings: list[Block] = []
    bodies: list[Block] = []
    for block in blocks:
        if (bodies and block.heading != bodies[-1].heading) or (bodies and block.kind == "heading"):
            yield Section(tuple(headings), tuple(bodies))
            headings, bodies = [], []
        (headings if block.kind == "heading" else bodies).append(block)
    if headings or bodies:
        yield Section(tuple(headings), tuple(bodies))


@dataclass(frozen=True, slots=True)
class Stretch:
    """What becomes one chunk: `text[start:end]`, and the blocks it is of. `header` is of the table it goes on with."""

    start: int
    end: int
    blocks: tuple[Block, ...]
    header: str = ""
