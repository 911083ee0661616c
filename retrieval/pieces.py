"""A stored text in pieces, so that a passage costs the same wherever it stands in however long a document."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from retrieval.outline import split_blocks, starts

PIECE = 2000  # code points; what is stored depends on it, so another size is another migration


@dataclass(frozen=True, slots=True)
class Piece:
    """`n`-th stretch of a text, with the blocks that its words stand in, the one that began before it included."""

    n: int
    text: str
    blocks: bytes


def cut(text: str, encoded: bytes) -> Iterator[Piece]:
    """All of a text, at least one piece; CatalogError when its blocks cannot be read."""
    blocks = split_blocks(encoded)
    begins = starts(blocks)
    for n in range(max(1, -(-len(text) // PIECE))):
        start, end = n * PIECE, (n + 1) * PIECE
        first = max(bisect_right(begins, start) - 1, 0)
        within = blocks[first : bisect_left(begins, end)]
        yield Piece(n, text[start:end], msgspec.json.encode(within) if within else b"")


def span(start: int, end: int) -> tuple[int, int]:
    """First and last of the pieces that hold the code points from `start` to `end`."""
    first = start // PIECE
    return first, max(first, (end - 1) // PIECE)
