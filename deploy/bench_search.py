"""Hybrid search with an access filter over 50,000 chunks on the embedded engine, and what its parts cost."""

import asyncio
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path

import msgspec

from deploy.bench_corpus import CHUNKS, DIMENSIONS, Synthetic, SyntheticDocument, milliseconds
from deploy.pinboard import read_pinboard
from deploy.settings import Settings
from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.catalog import Catalog, Content, Document, Entry
from retrieval.embed import Embedder
from retrieval.fusion import fuse
from retrieval.index import Fusion, IndexRecipe
from retrieval.opening import place_of
from retrieval.rerank import Reranker
from retrieval.search import Finder
from retrieval.store import Narrowing
from retrieval.stores.edge_store import EdgeStore

PER_DOCUMENT = 100
QUERIES, LIMIT, CANDIDATES = 400, 10, 100
FOUND, _WARM = 100, 5
AUTHORITY = 20
_FUSION = Fusion("convex", 0.5, 0.5)
_PARSER, _INDEX, _TODAY = "synthetic", "idx-bench", date(2026, 11, 21)


def measure_search(settings: Settings) -> dict[str, dict[str, float | int]]:
    """Milliseconds per query by how many chunks the caller may see, and of finding as the stable version does it."""
    board = read_pinboard(settings.releases)
    recipe = board.recipes[board.pins.index.stable]
    place = place_of(settings)
    with tempfile.TemporaryDirectory() as folder, closing(place.embedders.open(recipe.embedder)) as model:
        reranker = place.rerankers.open(recipe.reranker, model) if recipe.reranker else None
        finding = _Finding(msgspec.structs.replace(recipe, parser=_PARSER), model, reranker)
        return asyncio.run(_measure(Path(folder), finding))


@dataclass(frozen=True, slots=True)
class _Finding:
    """The stable version's, over the synthetic corpus."""

    recipe: IndexRecipe
    embedder: Embedder
    reranker: Reranker | None


async def _measure(folder: Path, stable: _Finding) -> dict[str, dict[str, float | int]]:
    synthetic = Synthetic()
    store = EdgeStore.open(folder / "idx", DIMENSIONS)
    async with Catalog.open(folder / "catalog.db") as catalog:
        allowed = await _fill(synthetic, store, catalog)
        figures = {}
        for groups in (1, 2, 4, 20):
            access = _member(groups)
            permitted = PER_DOCUMENT * sum(access.permits(one) for one in allowed)
            section = f"hybrid search over {CHUNKS} chunks, {permitted} of them permitted"
            figures[section] = await _time(synthetic, store, catalog, access)
        figures |= await _time_finding(synthetic, store, catalog, stable)
        section = f"authority read of {AUTHORITY} passages of {CHUNKS} chunks, SQLite"
        figures[section] = await _time_authority(synthetic, store, catalog, _member(20))
    await store.close()
    return figures


async def _time_finding(
    synthetic: Synthetic, store: EdgeStore, catalog: Catalog, stable: _Finding
) -> dict[str, dict[str, float | int]]:
    """All of finding, each question for the first time: with the tokens of passages compared, and without.

    The two take turns, and each has questions of its own, so that neither finds what the other has left in memory.
    """
    plain = msgspec.structs.replace(stable.recipe, reranker=None, abstain_weakest=0.0)
    finders = {
        "by the stable version, comparing no tokens": Finder(plain, stable.embedder, store, catalog),
        "by the stable version": Finder(stable.recipe, stable.embedder, store, catalog, stable.reranker),
    }
    taken: dict[str, list[float]] = {name: [] for name in finders}
    access, degraded = _member(20), 0
    for number in range(2 * (_WARM + FOUND)):
        name = list(finders)[number % 2]
        started = time.perf_counter()
        findings = await finders[name].find(synthetic.question(), access, Narrowing(), limit=plain.passages)
        if number >= 2 * _WARM:
            taken[name].append(time.perf_counter() - started)
            degraded += findings.degraded
    rows: dict[str, float | int] = {}
    for name, seconds in taken.items():
        rows |= {f"{name}, p{percent} ms": milliseconds(seconds, percent) for percent in (50, 99)}
    return {f"finding over {CHUNKS} chunks, embedding included": rows | {"not reranked in time": degraded}}


def _member(groups: int) -> AccessFilter:
    return access_filter(Principal("tenant0", "u", frozenset(f"g{n}" for n in range(groups)), frozenset()))


async def _time_authority(
    synthetic: Synthetic, store: EdgeStore, catalog: Catalog, access: AccessFilter
) -> dict[str, float | int]:
    """As many passages as an answer could want, each from wherever it stands."""
    taken = []
    for query in [synthetic.query(CANDIDATES) for _ in range(QUERIES)]:
        best = fuse(await store.score(query, access, Narrowing()), _FUSION)[:AUTHORITY]
        refs = [hit.ref for hit in (await store.fetch([one.chunk for one in best], access)).hits]
        started = time.perf_counter()
        passages = await catalog.read(refs, access, _PARSER, index=_INDEX, today=_TODAY)
        taken.append(time.perf_counter() - started)
        if len(passages) != AUTHORITY:
            raise RuntimeError(f"{len(passages)} passages came back, {AUTHORITY} were due")
    return {"p50 ms": milliseconds(taken, 50), "p99 ms": milliseconds(taken, 99)}


async def _fill(synthetic: Synthetic, store: EdgeStore, catalog: Catalog) -> list[Access]:
    sys.stdout.write(f"building {CHUNKS} synthetic chunks\n")
    allowed = []
    number = CHUNKS // PER_DOCUMENT
    documents = synthetic.documents(number, PER_DOCUMENT, lambda n: Access(f"tenant{n % 5}", synthetic.groups(5)))
    while batch := list(islice(documents, 20)):
        await store.upsert([point for one in batch for point in one.points])
        await catalog.put([_entry(one) for one in batch])
        allowed += [one.access for one in batch]
    await store.optimize()
    await store.flush()
    return allowed


def _entry(made: SyntheticDocument) -> Entry:
    document = Document(made.id, made.version, made.id, "", None, None, None, made.access)
    return Entry(document, Content(_PARSER, made.text, b""), made.text.encode())


async def _time(
    synthetic: Synthetic, store: EdgeStore, catalog: Catalog, access: AccessFilter
) -> dict[str, float | int]:
    """One line after the other what `Finder.find` does once the question is embedded, with a clock between them."""
    scoring, searching, reading = [], [], []
    for query in [synthetic.query(CANDIDATES) for _ in range(QUERIES)]:
        started = time.perf_counter()
        legs = await store.score(query, access, Narrowing())
        scored = time.perf_counter()
        best = fuse(legs, _FUSION)[:LIMIT]
        fetched = await store.fetch([one.chunk for one in best], access)
        searched = time.perf_counter()
        passages = await catalog.read([hit.ref for hit in fetched.hits], access, _PARSER, index=_INDEX, today=_TODAY)
        read = time.perf_counter()
        if len(passages) != LIMIT:
            raise RuntimeError(f"{len(passages)} passages came back, {LIMIT} were due")
        scoring.append(scored - started)
        searching.append(searched - started)
        reading.append(read - searched)
    finding = [search + read for search, read in zip(searching, reading, strict=True)]
    return {
        "hybrid search with access filter and second check, p50 ms": milliseconds(searching, 50),
        "hybrid search with access filter and second check, p99 ms": milliseconds(searching, 99),
        "of it the engine's scoring of both legs, p50 ms": milliseconds(scoring, 50),
        f"then the catalog's authority read of {LIMIT} passages, p50 ms": milliseconds(reading, 50),
        f"then the catalog's authority read of {LIMIT} passages, p99 ms": milliseconds(reading, 99),
        "all of finding but the embedding, p50 ms": milliseconds(finding, 50),
        "all of finding but the embedding, p99 ms": milliseconds(finding, 99),
    }
