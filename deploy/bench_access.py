"""What access filters cost and lose: recall against an exact scan, hybrid against dense search, a change of access."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np

from deploy.bench_corpus import CHUNKS, DIMENSIONS, Synthetic, milliseconds
from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.fusion import ChunkId, Legs, fuse
from retrieval.index import Fusion
from retrieval.store import ChunkPoint, HybridQuery, Narrowing, SparseVector
from retrieval.stores.edge_store import EdgeStore

PER_DOCUMENT, LARGE = 10, 1_000
QUERIES, CANDIDATES, BEST, SHOWN, CHANGES = 200, 100, 50, 10, 40
_FUSION = Fusion("convex", 0.5, 0.5)
_WORDLESS = SparseVector([], [])
# A caller's one group, and of how many documents it sees one: 30 %, 1 % and 0.1 % of everything.
_GROUPS = {"third": (10, 3), "hundredth": (100, 1), "thousandth": (1_000, 1)}


class ExactScan:
    """Every permitted chunk scored by definition, in double precision."""

    def __init__(self, points: Sequence[ChunkPoint]) -> None:
        vectors = np.array([point.dense for point in points])
        self._vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self._points = points
        self._ids = np.array([point.id for point in points], dtype=np.uint64)
        self._weights: dict[int, dict[int, float]] = {}
        for row, point in enumerate(points):
            for term, weight in zip(point.sparse.indices, point.sparse.values, strict=True):
                self._weights.setdefault(term, {})[row] = weight

    def permitted(self, access: AccessFilter) -> np.ndarray:
        """Which rows the caller may see."""
        return np.array([access.permits(point.access) for point in self._points])

    def legs(self, query: HybridQuery, permitted: np.ndarray) -> Legs:
        """What a store should have scored."""
        asked = np.array(query.dense)
        cosine = np.where(permitted, self._vectors @ (asked / np.linalg.norm(asked)), -np.inf)
        bm25 = self._bm25(query.sparse, permitted)
        dense, sparse = self._best(cosine, query.limit), self._best(np.where(bm25 > 0, bm25, -np.inf), query.limit)
        scored = dict(zip(self._ids.tolist(), cosine.tolist(), strict=True))
        return Legs(dense, sparse, {chunk: scored[chunk] for chunk, _ in (*dense, *sparse)})

    def _bm25(self, asked: SparseVector, permitted: np.ndarray) -> np.ndarray:
        scores = np.zeros(len(self._points))
        for term in asked.indices:
            held = {row: weight for row, weight in self._weights.get(term, {}).items() if permitted[row]}
            idf = np.log(1 + (permitted.sum() - len(held) + 0.5) / (len(held) + 0.5))
            scores[list(held)] += idf * np.array(list(held.values()))
        return scores

    def _best(self, scores: np.ndarray, limit: int) -> list[tuple[ChunkId, float]]:
        rows = np.lexsort((self._ids, -scores))[:limit]
        return [(int(self._ids[row]), float(scores[row])) for row in rows if scores[row] > -np.inf]


def measure_access() -> dict[str, dict[str, float | int]]:
    """One section per share of chunks that the caller may see, and one for a change of access."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> dict[str, dict[str, float | int]]:
    synthetic = Synthetic()
    store = EdgeStore.open(folder / "idx", DIMENSIONS)
    scan = ExactScan(await _fill(synthetic, store))
    figures = {}
    for group, (every, sees) in _GROUPS.items():
        access = access_filter(Principal("tenant0", "u", frozenset({group}), frozenset()))
        section = f"search over {CHUNKS} chunks of which the caller may see {100 * sees / every:g} %"
        queries = [synthetic.query(CANDIDATES) for _ in range(QUERIES)]
        figures[section] = {**await _recall(store, scan, queries, access), **await _times(store, queries, access)}
    figures[f"a change of access on a document of {LARGE} chunks"] = await _changes(synthetic, store)
    await store.close()
    return figures


async def _fill(synthetic: Synthetic, store: EdgeStore) -> list[ChunkPoint]:
    sys.stdout.write(f"building {CHUNKS} synthetic chunks\n")
    documents = synthetic.documents(CHUNKS // PER_DOCUMENT, PER_DOCUMENT, lambda n: _access(n, synthetic))
    points = [point for document in documents for point in document.points]
    await store.upsert(points)
    await store.optimize()
    await store.flush()
    return points


def _access(number: int, synthetic: Synthetic) -> Access:
    """Three fifths of all documents are the caller's tenant's; each has five groups of twenty besides."""
    seen = {f"group:{group}" for group, (every, sees) in _GROUPS.items() if number % every < sees}
    return Access("tenant0" if number % 10 < 6 else f"tenant{number % 10 - 5}", synthetic.groups(5) | seen)


async def _recall(
    store: EdgeStore, scan: ExactScan, queries: Sequence[HybridQuery], access: AccessFilter
) -> dict[str, float | int]:
    permitted = scan.permitted(access)
    dense, sparse, fused = [], [], []
    for query in queries[: QUERIES // 2]:
        found, wanted = await store.score(query, access, Narrowing()), scan.legs(query, permitted)
        dense.append(_share(found.dense, wanted.dense))
        sparse.append(_share(found.sparse, wanted.sparse))
        fused.append(_share(_fused(found), _fused(wanted)))
    return {
        "chunks that the caller may see": int(permitted.sum()),
        f"dense leg, recall@{BEST} of an exact scan": mean(dense),
        f"dense leg, recall@{BEST} of an exact scan, worst question": min(dense),
        f"BM25 leg, recall@{BEST} of an exact scan": mean(sparse),
        f"BM25 leg, recall@{BEST} of an exact scan, worst question": min(sparse),
        f"both fused, recall@{BEST} of an exact scan": mean(fused),
    }


def _fused(legs: Legs) -> list[tuple[ChunkId, float]]:
    return [(one.chunk, one.score) for one in fuse(legs, _FUSION)]


def _share(found: Sequence[tuple[ChunkId, float]], wanted: Sequence[tuple[ChunkId, float]]) -> float:
    """Of the best that there are; whatever scores as high as the last of them is as good as it."""
    if not wanted:
        return 1.0
    due = min(BEST, len(wanted))
    last = wanted[due - 1][1] - 1e-5 * abs(wanted[due - 1][1])
    good = {chunk for chunk, score in wanted if score >= last}
    return len(good & {chunk for chunk, _ in found[:BEST]}) / due


async def _times(store: EdgeStore, queries: Sequence[HybridQuery], access: AccessFilter) -> dict[str, float | int]:
    """Hybrid and dense in turns, so that whatever else the machine does slows both."""
    hybrid, dense = [], []
    for query in queries:
        hybrid.append(await _search(store, query, access))
        dense.append(await _search(store, replace(query, sparse=_WORDLESS), access))
    return {
        "hybrid with access filter and second check, p50 ms": milliseconds(hybrid, 50),
        "hybrid with access filter and second check, p99 ms": milliseconds(hybrid, 99),
        "dense only with the same filter and check, p50 ms": milliseconds(dense, 50),
        "hybrid over dense only, p50": milliseconds(hybrid, 50) / milliseconds(dense, 50),
    }


async def _search(store: EdgeStore, query: HybridQuery, access: AccessFilter) -> float:
    started = time.perf_counter()
    legs = await store.score(query, access, Narrowing())
    await store.fetch([one.chunk for one in fuse(legs, _FUSION)[:SHOWN]], access)
    return time.perf_counter() - started


async def _changes(synthetic: Synthetic, store: EdgeStore) -> dict[str, float | int]:
    lists = [Access("tenant0", frozenset({f"group:{name}"})) for name in ("before", "after")]
    await store.upsert(synthetic.document("large", LARGE, lists[0]).points)
    await store.flush()
    took = []
    for n in range(CHANGES):
        started = time.perf_counter()
        await store.describe("large", lists[n % 2], None, None)
        await store.flush()
        took.append(time.perf_counter() - started)
    return {
        "in the index, durable, p50 ms": milliseconds(took, 50),
        "in the index, durable, slowest ms": 1_000 * max(took),
    }
