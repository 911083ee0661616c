"""The ChunkStore that keeps everything in a dict: exact, slow, and the fake that unit tests use."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from retrieval.acl import Access, AccessFilter
from retrieval.errors import StoreError
from retrieval.fusion import ChunkId, Legs, ranked
from retrieval.residue import Residue
from retrieval.store import ChunkHit, ChunkPoint, Fetched, HybridQuery, Narrowing, require_finite, screen


class MemoryStore:
    """Scores by definition: cosine over all permitted chunks, BM25 with IDF over all permitted chunks."""

    def __init__(self) -> None:
        self._points: dict[ChunkId, ChunkPoint] = {}

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Write chunks."""
        require_finite(point.dense for point in points)
        self._points.update((point.id, point) for point in points)

    async def describe(self, document: str, access: Access, category: str | None, updated: date | None) -> None:
        """Replace the access and metadata of one document's chunks."""
        for point in self._of(access.tenant, document):
            self._points[point.id] = replace(point, access=access, category=category, updated=updated)

    async def delete(self, tenant: str, document: str, *, keep: str | None = None) -> int:
        """Remove a document's chunks but those of version `keep`; how many went."""
        gone = {point.id for point in self._of(tenant, document) if point.ref.version != keep}
        self._points = {chunk: point for chunk, point in self._points.items() if chunk not in gone}
        return len(gone)

    async def score(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
        """Score every permitted chunk."""
        require_finite([query.dense])
        permitted = {chunk: point for chunk, point in self._points.items() if access.permits(point.access)}
        idf = _idf(permitted.values())
        wanted = {chunk: point for chunk, point in permitted.items() if _inside(point, narrowing)}
        cosine = {chunk: _cosine(query.dense, point.dense) for chunk, point in wanted.items()}
        bm25 = {chunk: _bm25(query, point, idf) for chunk, point in wanted.items()}
        dense = _best(cosine.items(), query.limit)
        sparse = _best(((chunk, score) for chunk, score in bm25.items() if score > 0), query.limit)
        return Legs(dense, sparse, {chunk: cosine[chunk] for chunk, _ in (*dense, *sparse)})

    async def fetch(self, chunks: Sequence[ChunkId], access: AccessFilter) -> Fetched:
        """Read chunks and check each."""
        points = [self._points[chunk] for chunk in chunks if chunk in self._points]
        return screen((ChunkHit(point.id, point.ref, point.access) for point in points), access)

    async def holds(self, tenant: str, document: str) -> int:
        """Chunks held of one document."""
        return len(self._of(tenant, document))

    async def count(self) -> int:
        """All chunks held."""
        return len(self._points)

    async def verify(self, dimensions: int) -> None:
        """A dict takes vectors of any length: look at those it holds."""
        if wrong := {len(point.dense) for point in self._points.values()} - {dimensions}:
            raise StoreError(f"the index holds vectors of {sorted(wrong)} dimensions, and not of {dimensions}")

    async def flush(self) -> None:
        """Memory has nothing to flush."""

    async def optimize(self) -> None:
        """A dict has nothing to merge."""

    async def rewrite(self) -> str:
        """What was deleted left with its entry."""
        return "held in memory: what was deleted is gone"

    async def tidy(self) -> bool:
        """What was deleted takes nothing."""
        return False

    async def residue(self, needles: Sequence[bytes]) -> Residue:
        """There is no file to look into."""
        return Residue(0, 0)

    async def close(self) -> None:
        """Nothing is held open."""

    def _of(self, tenant: str, document: str) -> list[ChunkPoint]:
        own = (tenant, document)
        return [point for point in self._points.values() if (point.access.tenant, point.ref.document) == own]


def _inside(point: ChunkPoint, narrowing: Narrowing) -> bool:
    if narrowing.category and point.category not in narrowing.category:
        return False
    after, before = narrowing.updated_after, narrowing.updated_before
    if after is None and before is None:
        return True
    updated = point.updated
    return updated is not None and (after is None or updated >= after) and (before is None or updated <= before)


def _idf(points: Iterable[ChunkPoint]) -> dict[int, float]:
    held = [set(point.sparse.indices) for point in points]
    frequency = Counter(term for terms in held for term in terms)
    return {term: math.log(1 + (len(held) - n + 0.5) / (n + 0.5)) for term, n in frequency.items()}


def _bm25(query: HybridQuery, point: ChunkPoint, idf: dict[int, float]) -> float:
    weights = dict(zip(point.sparse.indices, point.sparse.values, strict=True))
    asked = zip(query.sparse.indices, query.sparse.values, strict=True)
    return sum(value * weights.get(term, 0.0) * idf.get(term, 0.0) for term, value in asked)


def _cosine(left: list[float], right: list[float]) -> float:
    norm = math.hypot(*left) * math.hypot(*right)
    return sum(a * b for a, b in zip(left, right, strict=True)) / norm if norm else 0.0


def _best(scored: Iterable[tuple[ChunkId, float]], limit: int) -> list[tuple[ChunkId, float]]:
    return ranked(scored)[:limit]
