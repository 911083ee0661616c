"""A chunk that is longer than the embedder reads: all of it is embedded, in parts, and one vector stands for it."""

import math
from collections.abc import Sequence

import msgspec
import pytest

from retrieval.acl import Access
from retrieval.catalog import Content, Document
from retrieval.embed import HashEmbedder
from retrieval.errors import RecipeError
from retrieval.index import Chunker, IndexRecipe
from retrieval.ingest.parse import parse
from retrieval.ingest.prepared import Prepared, prepare
from tests.retrieval.shelf import RECIPE

SENTENCES = [f"Room {n} costs {n}0 euros a night and has a view of the sea." for n in range(12)]
DOCUMENT = Document(
    "rooms", "sha256:1", "Rooms", "rooms", None, None, None, Access("acme", frozenset({"group:g"})), name="rooms.md"
)


class Short(HashEmbedder):
    """Reads no more than 30 tokens, and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__(64)
        self.given: list[str] = []

    @property
    def max_tokens(self) -> int:
        return 30

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.given += texts
        return super().embed(texts)


def recipe(name: str, part: int, budget: int = 200) -> IndexRecipe:
    return msgspec.structs.replace(RECIPE, chunker=Chunker(name, budget, "heading", part=part))


def made(of: IndexRecipe, embedder: HashEmbedder, sentences: Sequence[str] = SENTENCES) -> Prepared:
    parsed = parse("rooms.md", " ".join(sentences).encode())
    content = Content("blocks-1", parsed.text, msgspec.json.encode(parsed.blocks))
    (one,) = prepare([(DOCUMENT, content)], of, embedder)
    return one


@pytest.mark.parametrize("name", ["tree-1", "tree-2"])
def test_all_of_a_long_chunk_is_read_and_its_vector_is_the_mean_of_its_parts(name: str) -> None:
    embedder = Short()
    one = made(recipe(name, 25), embedder)
    assert list(one.texts) == ["Rooms\n" + " ".join(SENTENCES)], "words are found in the chunk as a whole"
    parts = [text.removeprefix("Rooms\n") for text in embedder.given]
    assert len(parts) > 2
    assert " ".join(parts) == " ".join(SENTENCES)
    assert all(embedder.count_tokens(text) <= embedder.max_tokens for text in embedder.given)
    given, vectors = embedder.given, HashEmbedder(64).embed(embedder.given)
    total = [sum(len(text) * vector[n] for text, vector in zip(given, vectors, strict=True)) for n in range(64)]
    assert list(one.vectors[0]) == pytest.approx([value / math.hypot(*total) for value in total])


@pytest.mark.parametrize("name", ["tree-1", "tree-2"])
def test_a_chunk_that_is_read_at_once_is_embedded_as_ever(name: str) -> None:
    plain, parted = (made(recipe(name, part, budget=20), Short(), SENTENCES[:1]) for part in (0, 20))
    assert (plain.texts, plain.vectors) == (parted.texts, parted.vectors)


@pytest.mark.parametrize("name", ["tree-1", "tree-2"])
def test_parts_that_the_embedder_does_not_read_whole_are_refused(name: str) -> None:
    with pytest.raises(RecipeError, match="part of 31 tokens, and the embedder reads 30"):
        made(recipe(name, 31), Short())
