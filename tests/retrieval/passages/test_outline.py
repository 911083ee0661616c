"""Every word of every sample document stands under the heading and on the page that its own block names."""

from pathlib import Path

import msgspec
import pytest

from retrieval.ingest.chunk import chunk
from retrieval.ingest.parse import parse
from retrieval.passages.outline import Place, outline, split_blocks

SAMPLE = Path(__file__).resolve().parents[3] / "deploy" / "sample" / "documents"
DOCUMENTS = sorted(path for path in SAMPLE.rglob("*.*") if path.name != "twinpin.yaml")


def at(places: tuple[Place, ...], offset: int) -> Place:
    return [place for place in places if place.start <= offset][-1]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_block_of_a_chunk_stands_where_the_parser_says(path: Path) -> None:
    parsed = parse(path.name, path.read_bytes())
    stored = split_blocks(msgspec.json.encode(parsed.blocks))
    looked_up = 0
    for one in chunk(parsed.text, parsed.blocks, budget=200, count_tokens=lambda text: len(text.split())):
        places = outline(stored, one.start, one.end)
        inside = [block for block in parsed.blocks if block.start < one.end and block.end > one.start]
        assert places[0].start == one.start
        for block in inside:
            for offset in {max(block.start, one.start), min(block.end, one.end) - 1}:
                place = at(places, offset)
                assert (place.heading, place.page) == (block.heading, block.page)
                looked_up += 1
    assert looked_up >= len(parsed.blocks)


def test_the_sample_has_what_this_is_for() -> None:
    """Chunks under several headings, and one on two pages."""
    headings = pages = 0
    for path in DOCUMENTS:
        parsed = parse(path.name, path.read_bytes())
        stored = split_blocks(msgspec.json.encode(parsed.blocks))
        for one in chunk(parsed.text, parsed.blocks, budget=200, count_tokens=lambda text: len(text.split())):
            places = outline(stored, one.start, one.end)
            headings += len({place.heading for place in places}) > 1
            pages += len({place.page for place in places}) > 1
    assert headings > 20
    assert pages > 0
