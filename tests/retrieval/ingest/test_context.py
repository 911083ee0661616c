"""What is embedded: the chunk's own text always, title, headings and header as far as the embedder reads."""

from collections.abc import Sequence

import msgspec
import pytest

from retrieval.acl import Access
from retrieval.catalog import Content, Document
from retrieval.embed import HashEmbedder
from retrieval.errors import RecipeError
from retrieval.index import Chunker, IndexRecipe
from retrieval.ingest.chunk import Chunk
from retrieval.ingest.context import embedded
from retrieval.ingest.parse import parse
from retrieval.ingest.prepared import content_digest, prepare
from retrieval.sparse import Bm25Encoder
from tests.retrieval.ingest.test_chunk import words
from tests.retrieval.shelf import RECIPE


def shown(text: str, *heading: str, title: str | None = "Travel rules", header: str = "", limit: int = 100) -> str:
    chunk = Chunk(0, 0, len(text), heading, None, header)
    return embedded(text, chunk, title, 20, limit, words)


def test_title_and_headings_stand_above_the_text_and_the_header_next_to_it() -> None:
    assert shown("Brno | 105", "Hotels", "Limits", header="City | Limit") == (
        "Travel rules > Hotels > Limits\nCity | Limit\nBrno | 105"
    )
    assert shown("Brno | 105", "Hotels", header="City | Limit", title=None) == "City | Limit\nBrno | 105"


@pytest.mark.parametrize(
    ("text", "heading", "expected"),
    [
        ("Book early.", ("Travel Rules", "Hotels"), "Travel rules > Hotels\nBook early."),
        ("Travel rules\n\nBook early.", ("Travel rules",), "Travel rules\n\nBook early."),
        ("Hotels\n\nBook early.", ("Travel rules", "Hotels"), "Travel rules\nHotels\n\nBook early."),
        ("Hotels are dear.", ("Hotels", "Hotels."), "Travel rules > Hotels\nHotels are dear."),
    ],
)
def test_nothing_is_said_twice(text: str, heading: Sequence[str], expected: str) -> None:
    assert shown(text, *heading) == expected


def test_what_stands_above_gives_way_outer_headings_first() -> None:
    path = ("One two three", "Four five six seven eight", "Nine ten")
    assert shown("text", *path) == "Travel rules > Nine ten\ntext"
    assert shown("text", *path, limit=5) == "Travel rules\ntext"
    assert shown("text", *path, limit=3) == "Travel\ntext"
    assert shown("text", *path, limit=1) == "text"
    assert shown("more text", header="a | b", limit=4) == "Travel\nmore text"


def document(name: str, title: str = "Rooms") -> Document:
    return Document(name, "sha256:1", title, name, None, None, None, Access("acme", frozenset({"group:g"})), name=name)


def recipe(**changed: object) -> IndexRecipe:
    chunker = msgspec.structs.replace(RECIPE.chunker, **{"name": "tree-2", **changed})
    return msgspec.structs.replace(RECIPE, chunker=chunker)


class Short(HashEmbedder):
    """Reads no more than 30 tokens."""

    @property
    def max_tokens(self) -> int:
        return 30


def made(chunker: IndexRecipe, name: str = "rooms.csv", rows: int = 12) -> tuple[list[str], list[str], list[str]]:
    """What is stored of each chunk, what is embedded of it, and the header that the index has of it."""
    source = "Room,Price\n" + "\n".join(f"Room {n} upstairs,{n}0" for n in range(rows))
    parsed = parse(name, source.encode())
    content = Content("blocks-1", parsed.text, msgspec.json.encode(parsed.blocks))
    (one,) = prepare([(document(name), content)], chunker, Short())
    refs = [point.ref for point in one.points(one.document, Bm25Encoder(chunker.bm25))]
    return [parsed.text[ref.start : ref.end] for ref in refs], list(one.texts), [ref.header for ref in refs]


def test_every_part_of_a_table_is_embedded_below_its_header_and_read_to_its_end() -> None:
    stored, texts, headers = made(recipe())
    assert len(stored) > 2
    assert headers == ["", *["Room | Price"] * (len(stored) - 1)]
    for own, text, header in zip(stored, texts, headers, strict=True):
        assert text == "\n".join(filter(None, ("Rooms", header, own)))
        assert words(text) <= Short().max_tokens


def test_an_older_chunker_embeds_what_it_always_did() -> None:
    stored, texts, headers = made(recipe(name="tree-1"))
    assert texts == [f"Rooms\n{own}" for own in stored]
    assert set(headers) == {""}


def test_a_format_may_have_a_budget_of_its_own() -> None:
    other = recipe(budgets={"csv": 10})
    assert len(made(other)[0]) > len(made(recipe())[0])
    assert content_digest(document("rooms.CSV"), other) != content_digest(document("rooms.md"), other)
    assert content_digest(document("rooms.csv"), recipe()) == content_digest(document("rooms.md"), RECIPE)


def test_a_budget_beyond_what_the_embedder_reads_is_refused() -> None:
    with pytest.raises(RecipeError, match="budget of 31 tokens, and the embedder reads 30"):
        made(recipe(budget=31))
    assert made(IndexRecipe(**{**msgspec.structs.asdict(RECIPE), "chunker": Chunker("tree-1", 31, "none")}))
