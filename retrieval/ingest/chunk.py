"""From blocks to chunks within a token budget: stretches of the stored text that end where its own structure does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retrieval.ingest.blocks import Block
from retrieval.ingest.breaks import break_up
from retrieval.ingest.cut import Cutter
from retrieval.ingest.greedy import fill
from retrieval.ingest.sections import Stretch

CHUNKERS = ("tree-1", "tree-2")
"""Part of an index recipe: another name whenever the chunks of any text would be others. All can still be built."""

CHUNKER = CHUNKERS[-1]
"""The one for new recipes."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """`text[start:end]`; `heading` is the path of its first block that is no heading, `page` where it starts.

    `header` is the first row of the table that the chunk goes on with; tree-1 does not tell.
    """

    ordinal: int
    start: int
    end: int
    heading: tuple[str, ...]
    page: int | None
    header: str = ""


def chunk(
    text: str,
    blocks: Sequence[Block],
    *,
    budget: int,
    count_tokens: Callable[[str], int],
    chunker: str = CHUNKERS[0],
    limit: int | None = None,
) -> tuple[Chunk, ...]:
    """Cut a document; every visible character is in exactly one chunk, in order.

    No chunk counts more than `budget` tokens unless one character does; with tree-2 a table's row or a list's item by
    itself may count up to `limit`, the budget when there is none. A chunk's header counts into both. ValueError for
    a budget below 1 or above the limit, or an unknown chunker.
    """
    most = budget if limit is None else limit
    if not 1 <= budget <= most:
        raise ValueError(f"a budget of {budget} tokens does not fit: it has to be from 1 to {most}")
    if chunker not in CHUNKERS:
        raise ValueError(f"there is no chunker {chunker!r}: there are {', '.join(CHUNKERS)}")
    cutter = Cutter(text, budget, count_tokens)
    stretches = fill(blocks, cutter) if chunker == "tree-1" else break_up(blocks, cutter, most)
    return tuple(_chunk(ordinal, stretch) for ordinal, stretch in enumerate(stretches))


def _chunk(ordinal: int, stretch: Stretch) -> Chunk:
    told = next((block for block in stretch.blocks if block.kind != "heading"), stretch.blocks[0])
    return Chunk(ordinal, stretch.start, stretch.end, told.heading, stretch.blocks[0].page, stretch.header)
