"""Neighbours become one passage, passages grow within their section, and all of it is words of one document version."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.acl import Principal, access_filter
from retrieval.entries import Passage
from retrieval.index import Packing
from retrieval.ingest.blocks import Parsed
from retrieval.ingest.chunk import chunk
from retrieval.ingest.parse import parse
from retrieval.passages.outline import outline, split_blocks
from retrieval.passages.packing import narrowed, pack, window
from retrieval.store import ChunkRef
from tests.retrieval.shelf import ANA, HANNEKE, new, shelf


@dataclass(frozen=True)
class Item:
    """A passage as it was found."""

    passage: Passage


def words(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


@dataclass
class Written:
    """A document, its chunks, and what a catalog would give for a ref."""

    name: str
    source: str
    budget: int = 20
    file: str = "x.md"

    def __post_init__(self) -> None:
        self.parsed: Parsed = parse(self.file, self.source.encode())
        self.text = self.parsed.text
        self.blocks = split_blocks(msgspec.json.encode(self.parsed.blocks))
        cut = chunk(self.text, self.parsed.blocks, budget=self.budget, count_tokens=words, chunker="tree-2")
        self.refs = [ChunkRef(self.name, "v1", one.start, one.end, one.heading, one.page, one.header) for one in cut]

    def read(self, ref: ChunkRef) -> Passage:
        places = outline(self.blocks, ref.start, ref.end)
        return Passage(ref, self.name, self.name, None, None, self.text[ref.start : ref.end], places)

    def chunk_with(self, word: str) -> ChunkRef:
        (ref,) = [ref for ref in self.refs if word in self.text[ref.start : ref.end]]
        return ref


def packed(
    found: Sequence[tuple[Written, ChunkRef]], *, grow: int = 0, per_document: int = 0, limit: int = 10
) -> list[tuple[Item, Passage]]:
    packing = Packing(grow, per_document)
    windows = {ref: written.read(window(ref, packing)) for written, ref in found}
    items = [Item(narrowed(windows[ref], ref)) for _, ref in found]
    for (written, ref), item in zip(found, items, strict=True):
        assert item.passage == written.read(ref), "the chunk alone is read as ever"
    return pack(items, windows, packing, limit=limit, count_tokens=words)


def shown(found: Sequence[tuple[Written, ChunkRef]], **how: int) -> list[str]:
    return [passage.text for _, passage in packed(found, **how)]


LEAVE = Written(
    "leave",
    "# Leave\n\nIntro of the page.\n\n## Holidays\n\n"
    + "\n\n".join(f"Rule {n} says that word{n} is fine. It has a second sentence." for n in range(5))
    + "\n\n## Sick days\n\nTell your manager about fever.",
    budget=18,
)


def rules(*numbers: int) -> list[tuple[Written, ChunkRef]]:
    return [(LEAVE, LEAVE.chunk_with(f"word{n}")) for n in numbers]


def test_what_is_found_alone_stays_as_it_is() -> None:
    ((item, passage),) = packed(rules(2))
    assert passage is item.passage


def test_neighbours_become_one_passage_at_the_place_of_the_better() -> None:
    intro = (LEAVE, LEAVE.chunk_with("Intro"))
    (first, passage), (_, other) = packed([*rules(3), intro, *rules(2)])
    assert first.passage.ref == rules(3)[0][1]
    assert (passage.ref.start, passage.ref.end) == (rules(2)[0][1].start, rules(3)[0][1].end)
    assert passage == LEAVE.read(passage.ref)
    assert other.text == "Leave\n\nIntro of the page."


def test_no_more_than_three_become_one_and_the_gap_between_two_is_bridged() -> None:
    assert len(shown(rules(1, 3, 2))) == 1
    assert [words(text) // 14 for text in shown(rules(0, 1, 2, 3, 4))] == [3, 2]


def test_candidates_are_taken_until_one_more_would_be_too_many() -> None:
    texts = shown(rules(0, 3, 1, 4), limit=2)
    assert [text.count("Rule") for text in texts] == [2, 2]
    assert [text.count("Rule") for text in shown(rules(0, 2, 4, 1), limit=2)] == [1, 1], "the third ends it"


def test_chunks_of_other_documents_and_versions_are_no_neighbours() -> None:
    other = Written("other", LEAVE.source, budget=18)
    assert len(shown([*rules(1), (other, other.chunk_with("word2"))])) == 2


def test_a_document_has_no_more_passages_than_it_may() -> None:
    other = Written("other", "# Other\n\nSomething else.")
    found = [*rules(0, 2, 4), (other, other.refs[0]), *rules(1)]
    assert [passage.ref.document for _, passage in packed(found, per_document=1)] == ["leave", "other"]
    assert "word1" in shown(found, per_document=1)[0], "a neighbour still joins"
    assert len(shown(found[:-1], per_document=2)) == 3


def test_a_passage_grows_by_whole_sentences_within_its_section() -> None:
    (text,) = shown(rules(2), grow=14)
    assert text == (
        "It has a second sentence.\n\nRule 2 says that word2 is fine. It has a second sentence.\n\n"
        "Rule 3 says that word3 is fine."
    )
    (text,) = shown(rules(4), grow=1000)
    assert text.startswith("Holidays\n\nRule 0")
    assert text.endswith("word4 is fine. It has a second sentence."), "and not into the next section"


def test_what_grows_together_becomes_one_and_nothing_is_shown_twice() -> None:
    texts = shown(rules(0, 2), grow=16)
    assert len(texts) == 1
    assert all(texts[0].count(f"word{n}") == 1 for n in (0, 1, 2))


TABLE = "| Room | Price |\n|---|---|\n" + "\n".join(f"| Room {n} of the house | {n}0 |" for n in range(30))


def test_a_small_table_comes_in_whole_and_its_header_is_no_heading_then() -> None:
    rooms = Written("rooms", f"# Rooms\n\nOur rooms are these.\n\n{TABLE}\n\nAsk for more.", budget=30)
    ref = rooms.chunk_with("Room 9 ")
    assert ref.header == "Room | Price"
    ((_, passage),) = packed([(rooms, ref)], grow=60)
    assert passage.text.startswith("Room | Price\nRoom 0")
    assert passage.text.endswith("Room 29 of the house | 290")
    assert passage.ref.header == ""


def test_of_a_large_table_rows_around_come_in_below_the_header() -> None:
    rooms = Written("rooms", f"# Rooms\n\nOur rooms are these.\n\n{TABLE}\n\nAsk for more.", budget=30)
    ref = rooms.chunk_with("Room 9 ")
    ((_, passage),) = packed([(rooms, ref)], grow=21)
    before = rooms.text[ref.start : ref.end].split("\n")
    lines = passage.text.split("\n")
    assert len(lines) == len(before) + 3
    assert all(re.fullmatch(r"Room \d+ of the house \| \d+", line) for line in lines)
    assert passage.ref.header == "Room | Price"


def test_growth_never_takes_a_sentence_of_which_only_a_part_was_read() -> None:
    long = "Begin here. " + "endless " * 2000 + "end. Target word here. " + "endless " * 2000 + "end."
    ref = ChunkRef("long", "v1", long.index("Target"), long.index("here. end", 20) + 5, (), None)
    written = Written("long", long, budget=10, file="x.txt")
    assert shown([(written, ref)], grow=50) == ["Target word here."]


SENTENCES = st.lists(st.sampled_from(["Some words here.", "More of it!", "a | b | c", "- item one"]), max_size=4)
SECTIONS = st.lists(st.tuples(st.integers(0, 3), SENTENCES), min_size=1, max_size=12)


def markdown(sections: list[tuple[int, list[str]]]) -> str:
    parts = ["Top of it."]
    for number, (level, sentences) in enumerate(sections):
        parts += [f"{'#' * level} Heading {number}"] if level else []
        parts += [" ".join(sentences)] if len(sentences) < 3 else ["| x | y |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"]
    return "\n\n".join(part for part in parts if part)


@settings(max_examples=150, deadline=None)
@given(sections=SECTIONS, seed=st.randoms(), grow=st.integers(0, 40), limit=st.integers(1, 5), most=st.integers(0, 2))
def test_passages_are_stretches_of_the_text_that_do_not_overlap(
    sections: list[tuple[int, list[str]]], seed: object, grow: int, limit: int, most: int
) -> None:
    written = Written("doc", markdown(sections), budget=12)
    refs = list(written.refs)
    seed.shuffle(refs)  # type: ignore[attr-defined]
    result = packed([(written, ref) for ref in refs[:6]], grow=grow, per_document=most, limit=limit)
    assert 1 <= len(result) <= min(limit, most or limit)
    assert result[0][0].passage.ref == refs[0]
    for item, passage in result:
        ref, best = passage.ref, item.passage.ref
        assert passage == written.read(ref)
        assert ref.start <= best.start
        assert best.end <= ref.end
        assert passage.text == passage.text.strip()
        assert words(passage.text) <= 3 * 12 + 3 * 5 * grow
    spans = sorted((passage.ref.start, passage.ref.end) for _, passage in result)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


async def test_a_window_is_read_under_the_same_check_as_its_chunk(tmp_path: Path) -> None:
    async def read(refs: Sequence[ChunkRef], who: Principal) -> list[Passage]:
        how = {"index": made.index.name, "today": date(2026, 1, 1)}
        return await made.catalog.read(refs, access_filter(who), "blocks-1", **how)  # type: ignore[arg-type]

    async with shelf(tmp_path) as made:
        text = LEAVE.source * 20
        await made.documents.put([new("leave.md", text)])
        ref = (await made.find("fever"))[0].passage.ref
        wide = window(ref, Packing(100))
        (chunk_alone,), (around,) = await read([ref], ANA), await read([wide], ANA)
        assert narrowed(around, ref) == chunk_alone
        assert len(around.text) > len(chunk_alone.text)
        assert await read([wide], HANNEKE) == []
        await made.documents.put([new("leave.md", text + " changed")])
        assert await read([wide], ANA) == []


@pytest.mark.parametrize("grow", [0, 100])
def test_a_window_begins_in_the_document(grow: int) -> None:
    ref = window(ChunkRef("d", "v", 10, 20, (), None), Packing(grow))
    assert (ref.start, ref.document, ref.version) == (0, "d", "v")
    assert ref.end >= 20 + grow
