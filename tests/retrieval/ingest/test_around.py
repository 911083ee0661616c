"""A chunk is found by its neighbours under the same heading, too, by as much as the recipe says."""

import math

import msgspec
import pytest

from retrieval.acl import Access
from retrieval.catalog import Content, Document
from retrieval.embed import HashEmbedder
from retrieval.index import Chunker, IndexRecipe
from retrieval.ingest.around import blended
from retrieval.ingest.parse import parse
from retrieval.ingest.prepared import Prepared, prepare
from retrieval.sparse import Bm25Encoder
from retrieval.store import SparseVector
from tests.retrieval.shelf import RECIPE

SOURCE = """# Rooms

Room one has a view of the sea.

Room two has a view of the yard.

Room three has no window.

# Meals

Breakfast is at eight.
"""
SENTENCES = [line for line in SOURCE.splitlines() if line and not line.startswith("#")]
DOCUMENT = Document(
    "house", "sha256:1", "House", "house", None, None, None, Access("acme", frozenset({"group:g"})), name="house.md"
)


def recipe(around: float, name: str = "tree-1") -> IndexRecipe:
    return msgspec.structs.replace(RECIPE, chunker=Chunker(name, 12, "none", around=around))


def made(of: IndexRecipe) -> Prepared:
    parsed = parse("house.md", SOURCE.encode())
    content = Content("blocks-1", parsed.text, msgspec.json.encode(parsed.blocks))
    (one,) = prepare([(DOCUMENT, content)], of, HashEmbedder(64))
    return one


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["tree-1", "tree-2"])
def test_neighbours_count_as_far_as_their_heading_goes(name: str) -> None:
    alone, together = made(recipe(0.0, name)), made(recipe(0.4, name))
    assert (alone.chunks, alone.texts) == (together.chunks, together.texts), "what is shown stays the same"
    assert len(alone.chunks) == 4
    assert list(alone.around) == [None] * 4
    first, second, third, meals = together.around
    assert [sentence in str(second) for sentence in SENTENCES] == [True, True, True, False]
    assert [sentence in str(first) for sentence in SENTENCES] == [True, True, False, False]
    assert [sentence in str(third) for sentence in SENTENCES] == [False, True, True, False]
    assert meals is None
    assert together.vectors[3] == alone.vectors[3]


def test_a_vector_turns_towards_its_neighbours_by_the_share() -> None:
    vectors = {share: made(recipe(share)).vectors for share in (0.0, 0.3, 0.6, 1.0)}
    own, neighbour = vectors[0.0][0], vectors[0.0][1]
    away = [cosine(held[0], own) for held in vectors.values()]
    near = [cosine(held[0], neighbour) for held in vectors.values()]
    assert away == sorted(away, reverse=True)
    assert near == sorted(near)
    assert away[0] == pytest.approx(1.0)
    assert all(math.hypot(*vector) == pytest.approx(1.0) for held in vectors.values() for vector in held)


def test_words_of_the_neighbours_find_a_chunk_but_less_than_its_own() -> None:
    sparse = Bm25Encoder(RECIPE.bm25)
    ((yard,), (window,)) = (sparse.query(word).indices for word in ("yard", "window"))
    weights = {
        share: [dict(zip(point.sparse.indices, point.sparse.values, strict=True)) for point in points]
        for share in (0.0, 0.3)
        if (points := list(made(recipe(share)).points(DOCUMENT, sparse)))
    }
    first, second = weights[0.3][:2]
    assert yard not in weights[0.0][0]
    assert 0 < first[yard] < second[yard] < weights[0.0][1][yard]
    assert window not in first, "a neighbour's neighbour is too far"
    assert window in second


def test_blended_weights_add_up() -> None:
    own, around = SparseVector([1, 2], [1.0, 2.0]), SparseVector([2, 3], [1.0, 4.0])
    made = blended(own, around, 0.25)
    assert dict(zip(made.indices, made.values, strict=True)) == pytest.approx({1: 0.75, 2: 1.75, 3: 1.0})


def test_a_recipe_without_it_keeps_its_name() -> None:
    assert recipe(0.0).name == msgspec.structs.replace(RECIPE, chunker=Chunker("tree-1", 12, "none")).name
    assert recipe(0.3).name != recipe(0.0).name
