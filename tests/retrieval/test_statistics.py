"""A score tells nothing about documents that its reader may not see: not one bit of it moves when they come and go."""

import operator
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import qdrant_edge as qe
from qdrant_client import models

from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.fusion import Legs
from retrieval.index import Bm25
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef, ChunkStore, HybridQuery
from retrieval.stores.edge_store import EdgeStore
from retrieval.stores.qdrant_store import QdrantStore
from tests.contracts.stores import ANYTHING, QUIET

pytestmark = QUIET
DIMENSIONS, GROUPS, WORDS = 16, 12, [f"word{n}" for n in range(80)]
ENCODER = Bm25Encoder(Bm25(1.2, 0.75, 12.0, "english"))
Asked = tuple[HybridQuery, AccessFilter]


class Corpus:
    """Documents of few words, readers of few groups, and questions, from one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.written = 0

    def documents(self, number: int, tenant: str, groups: Sequence[int]) -> list[ChunkPoint]:
        """Each for some of `groups`."""
        allowed = [self.rng.sample(groups, self.rng.randint(1, min(3, len(groups)))) for _ in range(number)]
        return [self._document(Access(tenant, frozenset(f"group:g{n}" for n in some))) for some in allowed]

    def _document(self, access: Access) -> ChunkPoint:
        self.written += 1
        ref = ChunkRef(f"doc-{self.written}", "sha256:1", 0, 100, (), None)
        sparse = ENCODER.document(" ".join(self.rng.choices(WORDS, k=12)))
        return ChunkPoint(ref, access, None, None, self._vector(), sparse)

    def _vector(self) -> list[float]:
        return [self.rng.gauss(0, 1) for _ in range(DIMENSIONS)]

    def asked(self, limit: int) -> Asked:
        """A question of a caller who is in some of the first groups of tenant acme."""
        groups = frozenset(f"g{n}" for n in self.rng.sample(range(GROUPS // 2), self.rng.randint(1, 3)))
        question = " ".join(self.rng.sample(WORDS, self.rng.randint(2, 6)))
        query = HybridQuery(self._vector(), ENCODER.query(question), limit)
        return query, access_filter(Principal("acme", "u", groups, frozenset()))


async def moved(
    store: ChunkStore, pairs: int, documents: int, differ: Callable[[Legs, Legs], bool], *, limit: int
) -> int:
    """How many of `pairs` (question, caller) get another score for anything, at any time, because of hidden documents.

    Hidden is what belongs to another tenant, and what belongs to groups that no caller here is in.
    """
    corpus = Corpus(20_261_121)
    await store.upsert(corpus.documents(documents // 5, "other", range(GROUPS)))
    await store.upsert(corpus.documents(documents, "acme", range(GROUPS // 2)))
    asked = [corpus.asked(limit) for _ in range(pairs)]
    before = [await _ask(store, one) for one in asked]
    assert sum(bool(legs.sparse) for legs in before) > 0.9 * pairs, "the control: there is something to score"
    changed: set[int] = set()
    hidden = [
        *corpus.documents(documents, "other", range(GROUPS)),
        *corpus.documents(documents, "acme", range(GROUPS // 2, GROUPS)),
    ]
    await store.upsert(hidden)
    changed |= await _changed(store, asked, before, differ)
    for point in hidden[::2]:
        assert await store.delete(point.access.tenant, point.ref.document) == 1
    changed |= await _changed(store, asked, before, differ)
    for point in hidden[1::2]:
        assert await store.delete(point.access.tenant, point.ref.document) == 1
    return len(changed | await _changed(store, asked, before, differ))


async def _ask(store: ChunkStore, asked: Asked) -> Legs:
    query, access = asked
    return await store.score(query, access, ANYTHING)


async def _changed(
    store: ChunkStore, asked: Sequence[Asked], before: Sequence[Legs], differ: Callable[[Legs, Legs], bool]
) -> set[int]:
    now = [await _ask(store, one) for one in asked]
    return {n for n, (first, second) in enumerate(zip(before, now, strict=True)) if differ(first, second)}


def _in_bm25(first: Legs, second: Legs) -> bool:
    """Local mode multiplies whole matrices: the last bit of a cosine depends on how many rows they have."""
    return first.sparse != second.sparse or dict(first.cosine) != pytest.approx(dict(second.cosine), abs=1e-6)


class UnscopedEdge(EdgeStore):
    """The embedded store as it would be without the scope: the same filters, BM25's statistics over everything."""

    def _query(self, *requests: qe.QueryRequest) -> list[list[tuple[int, float]]]:
        return super()._query(*(_unscoped(one) if one.params and one.params.idf else one for one in requests))


def _unscoped(request: qe.QueryRequest) -> qe.QueryRequest:
    return qe.QueryRequest(request.limit, query=request.query, filter=request.filter)


class UnscopedQdrant(QdrantStore):
    """The same for the server's store."""

    async def _query(self, *requests: models.QueryRequest) -> list[list[tuple[int, float]]]:
        return await super()._query(*(one.model_copy(update={"params": _without_idf(one)}) for one in requests))


def _without_idf(request: models.QueryRequest) -> models.SearchParams | None:
    return request.params.model_copy(update={"idf": None}) if request.params else None


@pytest.mark.parametrize(("kind", "leaks"), [(EdgeStore, False), (UnscopedEdge, True)])
async def test_a_thousand_readers_scores_stand_still_on_the_embedded_engine(
    tmp_path: Path, kind: type[EdgeStore], leaks: bool
) -> None:
    store = kind.open(tmp_path / "idx", DIMENSIONS)
    changed = await moved(store, 1_000, 150, operator.ne, limit=30)
    await store.close()
    assert (changed > 900) if leaks else (changed == 0), f"{changed} of 1,000 changed"


@pytest.mark.parametrize(("kind", "leaks"), [(QdrantStore, False), (UnscopedQdrant, True)])
async def test_scores_stand_still_in_local_mode(kind: type[QdrantStore], leaks: bool) -> None:
    store = await kind.open(":memory:", "idx", DIMENSIONS)
    changed = await moved(store, 20, 40, _in_bm25, limit=1_000)
    await store.close()
    assert (changed > 15) if leaks else (changed == 0), f"{changed} of 20 changed"
