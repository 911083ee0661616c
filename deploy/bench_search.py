"""Hybrid search with an access filter over 50,000 chunks on the embedded engine, and what its parts cost."""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import quantiles

from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.catalog import Catalog, Content, Document
from retrieval.edge_store import EdgeStore
from retrieval.fusion import fuse
from retrieval.index import Bm25, Fusion
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef, HybridQuery, Narrowing

CHUNKS, PER_DOCUMENT, DIMENSIONS, TOPICS = 50_000, 100, 384, 200
QUERIES, LIMIT, CANDIDATES = 400, 10, 100
_FUSION = Fusion("convex", 0.5, 0.5)
_LENGTH = 400


class _Synthetic:
    """Clustered vectors and Zipf-distributed words, five tenants of twenty groups, from one seed."""

    def __init__(self) -> None:
        self._rng = random.Random(50_000)  # noqa: S311 - synthetic data
        self._bm25 = Bm25Encoder(Bm25(1.2, 0.75, 60.0, "english"))
        self._words = [f"term{n}" for n in range(4_000)]
        self._weights = [1 / (n + 1) for n in range(len(self._words))]
        self._topics = [self._gaussian(1.0) for _ in range(TOPICS)]

    def _gaussian(self, spread: float) -> list[float]:
        return [self._rng.gauss(0.0, spread) for _ in range(DIMENSIONS)]

    def vector(self) -> list[float]:
        topic = self._rng.choice(self._topics)
        return [a + b for a, b in zip(topic, self._gaussian(0.7), strict=True)]

    def query(self) -> HybridQuery:
        words = " ".join(self._rng.choices(self._words, self._weights, k=6))
        return HybridQuery(self.vector(), self._bm25.query(words), CANDIDATES)

    def documents(self) -> Iterator[tuple[Document, Content, list[ChunkPoint]]]:
        for number in range(CHUNKS // PER_DOCUMENT):
            tenant = f"tenant{number % 5}"
            allow = frozenset(f"group:g{group}" for group in self._rng.sample(range(20), 5))
            access = Access(tenant, allow)
            document = Document(f"doc{number}", f"sha256:{number}", f"Document {number}", "", None, None, None, access)
            parts = [" ".join(self._rng.choices(self._words, self._weights, k=60)) for _ in range(PER_DOCUMENT)]
            text = "".join(part.ljust(_LENGTH)[:_LENGTH] for part in parts)
            points = [self._point(document, n * _LENGTH, part) for n, part in enumerate(parts)]
            yield document, Content("synthetic", text, b""), points

    def _point(self, document: Document, start: int, part: str) -> ChunkPoint:
        ref = ChunkRef(document.id, document.version, start, start + _LENGTH, ("Heading",), None)
        return ChunkPoint(ref, document.access, None, None, self.vector(), self._bm25.document(part))


def measure_search() -> dict[str, dict[str, float | int]]:
    """Milliseconds per query by how many chunks the caller may see; embedding is not part of any."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> dict[str, dict[str, float | int]]:
    synthetic = _Synthetic()
    store = EdgeStore.open(folder / "idx", DIMENSIONS)
    async with Catalog.open(folder / "catalog.db") as catalog:
        allowed = await _fill(synthetic, store, catalog)
        figures = {}
        for groups in (1, 2, 4, 20):
            access = access_filter(Principal("tenant0", "u", frozenset(f"g{n}" for n in range(groups)), frozenset()))
            permitted = PER_DOCUMENT * sum(access.permits(one) for one in allowed)
            section = f"hybrid search over {CHUNKS} chunks, {permitted} of them permitted"
            figures[section] = await _time(synthetic, store, catalog, access)
    await store.close()
    return figures


async def _fill(synthetic: _Synthetic, store: EdgeStore, catalog: Catalog) -> list[Access]:
    sys.stdout.write(f"building {CHUNKS} synthetic chunks\n")
    allowed = []
    documents = synthetic.documents()
    while batch := list(islice(documents, 20)):
        await store.upsert([point for _, _, points in batch for point in points])
        for document, content, _ in batch:
            await catalog.put(document, content)
            allowed.append(document.access)
    await store.optimize()
    await store.flush()
    return allowed


async def _time(
    synthetic: _Synthetic, store: EdgeStore, catalog: Catalog, access: AccessFilter
) -> dict[str, float | int]:
    """One line after the other what `Finder.find` does once the question is embedded, with a clock between them."""
    scoring, searching, reading = [], [], []
    for query in [synthetic.query() for _ in range(QUERIES)]:
        started = time.perf_counter()
        legs = await store.score(query, access, Narrowing())
        scored = time.perf_counter()
        best = fuse(legs, _FUSION)[:LIMIT]
        fetched = await store.fetch([one.chunk for one in best], access)
        searched = time.perf_counter()
        passages = await catalog.read([hit.ref for hit in fetched.hits], access, "synthetic")
        read = time.perf_counter()
        if len(passages) != LIMIT:
            raise RuntimeError(f"{len(passages)} passages came back, {LIMIT} were due")
        scoring.append(scored - started)
        searching.append(searched - started)
        reading.append(read - searched)
    finding = [search + read for search, read in zip(searching, reading, strict=True)]
    return {
        "hybrid search with access filter and second check, p50 ms": _at(searching, 50),
        "hybrid search with access filter and second check, p99 ms": _at(searching, 99),
        "of it the engine's scoring of both legs, p50 ms": _at(scoring, 50),
        f"then the catalog's authority read of {LIMIT} passages, p50 ms": _at(reading, 50),
        f"then the catalog's authority read of {LIMIT} passages, p99 ms": _at(reading, 99),
        "all of finding but the embedding, p50 ms": _at(finding, 50),
        "all of finding but the embedding, p99 ms": _at(finding, 99),
    }


def _at(seconds: list[float], percent: int) -> float:
    return 1_000 * quantiles(seconds, n=100)[percent - 1]
