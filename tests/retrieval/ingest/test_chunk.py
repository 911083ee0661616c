"""Chunks are stretches of the text, within the budget, that follow its structure and lose nothing."""

import re
from collections.abc import Callable
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.ingest.blocks import Block, BlockWriter
from retrieval.ingest.chunk import Chunk, chunk
from retrieval.ingest.parse import parse


def words(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def cut(source: str, budget: int, chunker: str = "tree-1") -> list[tuple[str, tuple[str, ...]]]:
    parsed = parse("x.md", source.encode())
    chunks = chunk(parsed.text, parsed.blocks, budget=budget, count_tokens=words, chunker=chunker)
    return [(parsed.text[one.start : one.end], one.heading) for one in chunks]


def test_blocks_under_one_heading_are_joined() -> None:
    assert cut("# A\n\none two\n\nthree four\n\nfive six", 6) == [
        ("A\n\none two\n\nthree four", ("A",)),
        ("five six", ("A",)),
    ]


def test_siblings_share_a_chunk_and_others_do_not() -> None:
    source = "# A\n\nintro\n\n## B\n\nb\n\n## C\n\nc\n\n### D\n\nd\n\n# E\n\n## F\n\nf"
    assert cut(source, 50) == [
        ("A\n\nintro", ("A",)),
        ("B\n\nb\n\nC\n\nc", ("A", "B")),
        ("D\n\nd", ("A", "C", "D")),
        ("E\n\nF\n\nf", ("E", "F")),
    ]


def test_sections_of_the_same_name_under_other_parents_stay_apart() -> None:
    source = "# A\n\n## Notes\n\none\n\n# A\n\n## Notes\n\ntwo"
    assert cut(source, 50) == [("A\n\nNotes\n\none", ("A", "Notes")), ("A\n\nNotes\n\ntwo", ("A", "Notes"))]


def test_a_sibling_that_does_not_fit_whole_begins_a_chunk() -> None:
    assert [text for text, _ in cut("# A\n\none\n\n# B\n\ntwo three\n\nfour", 5)] == [
        "A\n\none",
        "B\n\ntwo three\n\nfour",
    ]


def test_a_heading_is_never_left_behind() -> None:
    source = "one two three four\n\n# A\n\n" + "five six seven eight nine ten. " * 2
    assert [text for text, _ in cut(source, 8)] == [
        "one two three four",
        "A\n\nfive six seven eight nine ten.",
        "five six seven eight nine ten.",
    ]
    assert [text for text, _ in cut("# A\n\none two three four five six", 5)] == ["A\n\none two three four", "five six"]


def test_tables_are_cut_between_rows_and_lists_between_items() -> None:
    table = "| a | b |\n|---|---|\n| 1 2 | 3 |\n| 4 | 5 6 |\n| 7 | 8 |"
    assert [text for text, _ in cut(table, 8)] == ["a | b\n1 2 | 3", "4 | 5 6\n7 | 8"]
    assert [text for text, _ in cut("- one two\n- three four\n- five", 6)] == ["- one two\n- three four", "- five"]


def test_long_paragraphs_are_cut_at_sentences_then_words_then_characters() -> None:
    text = 'Wait until 10.30 a.m. today. "Then go." Call 3 people! ' + "a" * 100
    assert [part for part, _ in cut(text, 12)] == [
        "Wait until 10.30 a.m. today.",
        '"Then go." Call 3 people!',
        "a" * 100,
    ]
    parsed = parse("x.txt", b"x" * 1000)
    chunks = chunk(parsed.text, parsed.blocks, budget=10, count_tokens=len)
    assert max(one.end - one.start for one in chunks) <= 10
    assert len(chunks) <= 200


def test_an_endless_word_that_counts_as_one_token_is_cut_all_the_same() -> None:
    parsed = parse("x.txt", b"x" * 100_000)
    assert len(chunk(parsed.text, parsed.blocks, budget=100, count_tokens=lambda text: 1)) > 50


def test_page_and_ordinals() -> None:
    out = BlockWriter()
    for page in (1, 2, 3):
        out.page = page
        out.paragraph(f"words of page {page}")
    parsed = out.finish()
    chunks = chunk(parsed.text, parsed.blocks, budget=9, count_tokens=words)
    assert [(one.ordinal, one.page) for one in chunks] == [(0, 1), (1, 3)]


def test_nothing_gives_nothing_and_headings_alone_are_kept() -> None:
    assert chunk("", [], budget=5, count_tokens=words) == ()
    assert cut("# A\n\n## B", 5) == [("A\n\nB", ("A",))]
    with pytest.raises(ValueError, match="budget of 0"):
        chunk("a", [], budget=0, count_tokens=words)


def test_counting_is_linear() -> None:
    def counted(paragraphs: int) -> int:
        seen = 0

        def count(text: str) -> int:
            nonlocal seen
            seen += len(text)
            return words(text)

        parsed = parse("x.md", "\n\n".join(f"## H{n}\n\nSome words, more words." for n in range(paragraphs)).encode())
        chunk(parsed.text, parsed.blocks, budget=200, count_tokens=count)
        return seen

    assert counted(2000) < 10.5 * counted(200)


PROSE = st.text(st.sampled_from("ab .!?\n\u00e9\u3002x,"), min_size=1, max_size=60)
PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("heading"), st.integers(1, 4), PROSE),
        st.tuples(st.sampled_from(["paragraph", "code", "listing"]), st.just(0), PROSE),
        st.tuples(st.just("table"), st.just(0), PROSE),
    ),
    min_size=1,
    max_size=25,
)
COUNTERS: dict[str, Callable[[str], int]] = {
    "words": words,
    "characters": len,
    "quarters": lambda text: -(-len(text) // 4),
}


def write(pieces: list[tuple[str, int, str]]) -> tuple[str, tuple[Block, ...]]:
    out = BlockWriter()
    out.paragraph("x")
    for kind, level, text in pieces:
        if kind == "heading":
            out.heading(level, text)
        elif kind == "table":
            out.table([line.split(",") for line in text.split("\n")])
        else:
            getattr(out, kind)(text)
    parsed = out.finish()
    return parsed.text, parsed.blocks


@pytest.mark.parametrize("counter", COUNTERS)
@settings(max_examples=200, deadline=None)
@given(pieces=PIECES, budget=st.integers(1, 60))
def test_every_visible_character_is_in_one_chunk_within_the_budget(
    counter: str, pieces: list[tuple[str, int, str]], budget: int
) -> None:
    text, blocks = write(pieces)
    count = COUNTERS[counter]
    chunks = chunk(text, blocks, budget=budget, count_tokens=count)
    assert "".join(squeeze(text[one.start : one.end]) for one in chunks) == squeeze(text)
    assert [one.ordinal for one in chunks] == list(range(len(chunks)))
    for one, after in zip(chunks, (*chunks[1:], None), strict=True):
        assert after is None or one.end <= after.start
        assert count(text[one.start : one.end]) <= budget or one.end - one.start == 1
        assert_structure(one, after, blocks, budget, count, text)


def squeeze(text: str) -> str:
    return "".join(text.split())


def assert_structure(
    one: Chunk, after: Chunk | None, blocks: tuple[Block, ...], budget: int, count: Callable[[str], int], text: str
) -> None:
    inside = [block for block in blocks if block.start < one.end and one.start < block.end]
    told = next((block for block in inside if block.kind != "heading"), inside[0])
    assert (one.heading, one.page) == (told.heading, inside[0].page)
    assert len({block.heading[:-1] for block in inside if block.kind != "heading"}) <= 1
    if inside[-1].kind == "heading" and after is not None:
        assert_heading_had_no_room(inside[-1], blocks, budget, count, text)


def assert_heading_had_no_room(
    last: Block, blocks: tuple[Block, ...], budget: int, count: Callable[[str], int], text: str
) -> None:
    """Nothing but headings follows, or those around it leave no room for what does.

    What begins with a blank is broken there first, which leaves nothing to go with a heading.
    """
    place = blocks.index(last)
    before = list(takewhile(lambda block: block.kind == "heading", reversed(blocks[: place + 1])))
    behind = list(takewhile(lambda block: block.kind == "heading", blocks[place:]))
    crowded = count(text[before[-1].start : behind[-1].end]) + 4 > budget
    blank = text[behind[-1].end :].lstrip("\n").startswith(" ")
    assert crowded or blank or place + len(behind) == len(blocks)
