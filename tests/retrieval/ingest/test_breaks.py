"""The chunker tree-2 breaks where it costs least: never through a row, an item or a sentence that fits."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.ingest.chunk import Chunk, chunk
from retrieval.ingest.parse import parse
from tests.retrieval.ingest.test_chunk import COUNTERS, PIECES, cut, squeeze, words, write


def broken(source: str, budget: int, *, name: str = "x.md", limit: int | None = None) -> list[tuple[str, str]]:
    """Each chunk's text and the header above it."""
    parsed = parse(name, source.encode())
    chunks = chunk(parsed.text, parsed.blocks, budget=budget, count_tokens=words, chunker="tree-2", limit=limit)
    return [(parsed.text[one.start : one.end], one.header) for one in chunks]


def texts(source: str, budget: int, *, limit: int | None = None) -> list[str]:
    return [text for text, _ in broken(source, budget, limit=limit)]


def test_sections_are_gathered_as_tree_1_gathers_them() -> None:
    source = "# A\n\nintro\n\n## B\n\nb\n\n## C\n\nc\n\n### D\n\nd\n\n# E\n\n## F\n\nf"
    assert cut(source, 50, "tree-2") == cut(source, 50)


def test_a_long_text_is_broken_evenly_at_sentences() -> None:
    text = " ".join(f"This is sentence number {n}." for n in range(10))
    assert [words(part) for part in texts(text, 54)] == [30, 30]
    assert [words(part) for part in texts(text, 48)] == [30, 30], "and not 48 and 12"


def test_a_paragraph_that_fits_is_not_broken_to_save_a_chunk() -> None:
    paragraph = "One two three. Four five six. Seven eight."
    assert texts("\n\n".join([paragraph] * 3), 17) == [paragraph] * 3


def test_a_heading_goes_with_what_follows_it() -> None:
    sentences = "five six seven eight nine. " * 2
    assert texts(f"# A\n\n{sentences}", 8) == [
        "A\n\nfive six seven eight nine.",
        "five six seven eight nine.",
    ]


def test_a_line_that_leads_in_goes_with_its_list() -> None:
    source = "One two three four.\n\nYou need all these:\n\n- one two\n- three four"
    assert texts(source, 11) == ["One two three four.", "You need all these:\n\n- one two\n- three four"]


TABLE = "| Room | Price |\n|---|---|\n" + "\n".join(f"| Room {n} in the house | {n}0 |" for n in range(9))


def test_a_table_is_broken_between_rows_and_each_later_part_has_its_header() -> None:
    parts = broken(f"Our rooms.\n\n{TABLE}\n\nAsk for more.", 30)
    assert [header for _, header in parts] == ["", "Room | Price", "Room | Price"]
    rows = [line for text, _ in parts for line in text.split("\n") if line.startswith("Room ")]
    assert rows == ["Room | Price", *(f"Room {n} in the house | {n}0" for n in range(9))]
    assert all(words(text) + words(header) <= 30 for text, header in parts)


def test_a_row_above_the_budget_is_whole_up_to_the_limit_and_then_broken_between_cells() -> None:
    long = "one two three four five six seven eight"
    source = f"| a | b |\n|---|---|\n| {long} | {long} |\n| 1 | 2 |"
    assert texts(source, 12, limit=24) == ["a | b", f"{long} | {long}", "1 | 2"]
    assert texts(source, 12) == [f"a | b\n{long} |", long, "1 | 2"]


@pytest.mark.parametrize(
    "source",
    [
        "- one two\n- three four\n- five six",
        "| only |\n|---|\n| one two |\n| three four five six |",
        "| a header that is too long to stand above | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |",
    ],
)
def test_what_is_no_header_is_not_repeated(source: str) -> None:
    parts = broken(source, 6)
    assert len(parts) > 1
    assert {header for _, header in parts} == {""}


def test_items_are_whole_and_a_long_one_gives_its_inner_items() -> None:
    source = "- one two three four\n- five\n  - six seven eight\n  - nine ten eleven\n- twelve"
    assert texts(source, 7) == ["- one two three four", "- five\n  - six seven eight", "- nine ten eleven\n- twelve"]


def test_a_hundred_thousand_short_rows_take_no_minutes() -> None:
    source = "a,b\n" + "\n".join(f"{n % 10},{n % 7}" for n in range(20_000))
    started = time.process_time()
    assert len(broken(source, 160, name="x.csv")) > 300
    assert time.process_time() - started < 10


def test_a_budget_above_the_limit_and_an_unknown_chunker_are_refused() -> None:
    with pytest.raises(ValueError, match="from 1 to 5"):
        chunk("a", [], budget=6, count_tokens=words, limit=5)
    with pytest.raises(ValueError, match="tree-9"):
        chunk("a", [], budget=6, count_tokens=words, chunker="tree-9")


@pytest.mark.parametrize("counter", COUNTERS)
@settings(max_examples=200, deadline=None)
@given(pieces=PIECES, budget=st.integers(1, 60), more=st.integers(0, 60))
def test_every_visible_character_is_in_one_chunk_within_the_limit(
    counter: str, pieces: list[tuple[str, int, str]], budget: int, more: int
) -> None:
    text, blocks = write(pieces)
    count = COUNTERS[counter]
    chunks = chunk(text, blocks, budget=budget, count_tokens=count, chunker="tree-2", limit=budget + more)
    assert "".join(squeeze(text[one.start : one.end]) for one in chunks) == squeeze(text)
    assert all(one.end <= after.start for one, after in pairwise(chunks))
    for one in chunks:
        own = text[one.start : one.end]
        kinds = [block.kind for block in blocks if block.start < one.end and one.start < block.end]
        room = budget + more if kinds in (["table"], ["list"]) else budget
        assert count(own) + count(one.header) <= room or len(own) == 1
    tables = [(block.start, block.end) for block in blocks if block.kind == "table"]
    assert_rows_are_whole(text, tables, chunks, lambda row: count(row) <= budget // 2)


def assert_rows_are_whole(
    text: str, tables: Sequence[tuple[int, int]], chunks: Sequence[Chunk], fits: Callable[[str], bool]
) -> None:
    """No chunk begins or ends inside a row that fits."""
    edges = {edge for one in chunks for edge in (one.start, one.end)}
    for start, end in tables:
        place = start
        for row in text[start:end].split("\n"):
            if fits(row):
                assert not edges & set(range(place + 1, place + len(row)))
            place += len(row) + 1
