"""Where the words of a stretch of text stand: headings and pages, from the blocks that the catalog stores."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from retrieval.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Place:
    """From code point `start` on, words stand under this path of headings and on this page (1-based, PDF only)."""

    start: int
    heading: tuple[str, ...]
    page: int | None


class StoredBlock(msgspec.Struct, frozen=True, gc=False):
    """Of a block as ingestion stores it, what says where its words stand."""

    start: int
    heading: tuple[str, ...]
    page: int | None


_decoder = msgspec.json.Decoder(list[StoredBlock])


def read_blocks(encoded: bytes) -> Sequence[StoredBlock]:
    """The blocks of a document in order, none for one stored without; CatalogError when they are damaged."""
    try:
        return _decoder.decode(encoded) if encoded else ()
    except msgspec.DecodeError as error:
        raise CatalogError("the catalog holds blocks that cannot be read: ingest the document again") from error


def outline(blocks: Sequence[StoredBlock], start: int, end: int) -> tuple[Place, ...]:
    """The places of the text from `start` to `end`, in order: the first holds at `start`, each until the next."""
    first = bisect_right(blocks, start, key=lambda block: block.start) - 1
    places: list[Place] = []
    for position in range(max(first, 0), len(blocks)):
        block = blocks[position]
        if block.start >= end:
            break
        if not places or (block.heading, block.page) != (places[-1].heading, places[-1].page):
            places.append(Place(max(block.start, start), block.heading, block.page))
    return tuple(places)
