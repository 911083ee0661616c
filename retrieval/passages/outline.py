"""Where the words of a stretch of text stand: headings and pages, from the blocks that the catalog stores."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import msgspec

from retrieval.errors import CatalogError


@dataclass(frozen=True, slots=True)
class Place:
    """From code point `start` on, words stand under this path of headings and on this page (1-based, PDF only)."""

    start: int
    heading: tuple[str, ...]
    page: int | None


class _Block(msgspec.Struct, frozen=True, gc=False):
    """Of a block as ingestion stores it, what says where its words stand."""

    start: int
    heading: tuple[str, ...]
    page: int | None


Blocks: TypeAlias = list[msgspec.Raw]
Decoded = TypeVar("Decoded")
_blocks = msgspec.json.Decoder(list[msgspec.Raw])
_block = msgspec.json.Decoder(_Block)


def split_blocks(encoded: bytes) -> Blocks:
    """The blocks of a document in order, none for one stored without; CatalogError when they are damaged."""
    return _decode(_blocks, encoded) if encoded else []


def outline(blocks: Blocks, start: int, end: int) -> tuple[Place, ...]:
    """The places of the text from `start` to `end`, in order: the first holds at `start`, each until the next.

    Only the blocks that are looked at are decoded: a long document has thousands. Errors: as `split_blocks`.
    """
    first = bisect_right(blocks, start, key=lambda block: _decode(_block, block).start) - 1
    places: list[Place] = []
    for position in range(max(first, 0), len(blocks)):
        block = _decode(_block, blocks[position])
        if block.start >= end:
            break
        if not places or (block.heading, block.page) != (places[-1].heading, places[-1].page):
            places.append(Place(max(block.start, start), block.heading, block.page))
    return tuple(places)


def _decode(decoder: msgspec.json.Decoder[Decoded], encoded: bytes | msgspec.Raw) -> Decoded:
    try:
        return decoder.decode(encoded)
    except msgspec.DecodeError as error:
        raise CatalogError("the catalog holds blocks that cannot be read: ingest the document again") from error
