"""A stored text in pieces, so that a passage costs the same wherever it stands in however long a document."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple, TypeAlias

import msgspec

from retrieval.errors import CatalogError
from retrieval.passages.outline import Place, outline, split_blocks

PIECE = 2000  # code points; what is stored depends on it, so another size is another migration
Where: TypeAlias = tuple[int, tuple[str, ...], int | None]  # a Place, before it is one
_places = msgspec.json.Decoder(list[Where])
_start = itemgetter(0)


class Piece(NamedTuple):
    """The `n`-th stretch of a text; `places` says where its words stand, as JSON."""

    n: int
    text: str
    places: bytes


def cut(text: str, blocks: bytes) -> Iterator[Piece]:
    """All of a text, at least one piece; CatalogError when its blocks cannot be read."""
    split = split_blocks(blocks)
    for start in range(0, max(1, len(text)), PIECE):
        end = start + PIECE
        places = [(place.start, place.heading, place.page) for place in outline(split, start, end)]
        yield Piece(start // PIECE, text[start:end], msgspec.json.encode(places))


def span(start: int, end: int) -> tuple[int, int]:
    """First and last of the pieces that hold the code points from `start` to `end`."""
    first = start // PIECE
    return first, max(first, (end - 1) // PIECE)


def words(pieces: Sequence[Piece], start: int, end: int) -> str:
    """The code points from `start` to `end`, out of the pieces that hold them."""
    offset = pieces[0].n * PIECE
    text = pieces[0].text if len(pieces) == 1 else "".join(piece.text for piece in pieces)
    return text[start - offset : end - offset]


def places_of(pieces: Sequence[Piece], start: int, end: int) -> tuple[Place, ...]:
    """Where the words from `start` to `end` stand; CatalogError when a row is damaged."""
    told = _decode(pieces[0].places)
    for piece in pieces[1:]:
        told += _decode(piece.places)
    first = max(bisect_right(told, start, key=_start) - 1, 0)
    return tuple(_merged(told[first : bisect_right(told, end - 1, key=_start)], start))


def _merged(told: Sequence[Where], start: int) -> Iterator[Place]:
    """Each piece says anew where its first words stand."""
    last = None
    for begin, heading, page in told:
        if (heading, page) != last:
            yield Place(max(begin, start), heading, page)
        last = heading, page


def _decode(encoded: bytes) -> list[Where]:
    try:
        return _places.decode(encoded)
    except msgspec.DecodeError as error:
        raise CatalogError("the catalog holds places that cannot be read: ingest the document again") from error
