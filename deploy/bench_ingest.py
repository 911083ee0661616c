"""What taking documents in costs: against the embedder alone, again without changes, and a change of access."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy.ingesting import OpenIndexes
from deploy.pinboard import read_pinboard
from deploy.sampling import DOCUMENTS
from deploy.settings import Settings
from retrieval.acl import Access
from retrieval.catalog import Catalog
from retrieval.documents import Documents
from retrieval.embed import Embedder, open_embedder
from retrieval.index import IndexRecipe
from retrieval.ingest.sandbox import ParserPool
from retrieval.ingest.sources import FolderSource
from retrieval.ingest.sync import synchronise
from retrieval.live import LiveIndex
from retrieval.models.likeness import Likeness
from retrieval.newdocument import NewDocument
from retrieval.opening import Place, open_live

_LONG_CHUNKS, _CHANGES, _RUNS = 1_000, 10, 3
Figures = dict[str, float | int]


@dataclass(frozen=True, slots=True)
class _Workshop:
    catalog: Catalog
    index: LiveIndex
    documents: Documents


def measure_ingestion(settings: Settings) -> dict[str, Figures]:
    """The sample corpus under the pinned recipe; all in one run, so that ratios hold on a shared machine."""
    board = read_pinboard(settings.releases)
    return asyncio.run(_measure(board.recipes[board.pins.index.stable]))


async def _measure(recipe: IndexRecipe) -> dict[str, Figures]:
    runs = [await _ingest(recipe) for _ in range(_RUNS)]
    best = max(runs, key=lambda run: run["pipeline throughput, share of the embedder's alone"])
    return {
        f"ingesting the sample corpus, best of {_RUNS} runs": best,
        f"change of access on a document of {_LONG_CHUNKS} chunks": await _regrant(recipe),
    }


async def _ingest(recipe: IndexRecipe) -> Figures:
    """The embedder is asked for the very texts that the pipeline embeds, all at once: the best that it can do."""
    async with _workshop(recipe) as (shop, texts):
        shop.index.embedder.embed(["warm up"])
        texts.clear()
        source = FolderSource(DOCUMENTS)
        first = await _timed(lambda: synchronise(source, shop.documents, _silent))
        chunks = list(texts)
        shop.index.embedder.forget()  # it remembers what the pipeline has just embedded
        alone = _clock(lambda: shop.index.embedder.embed(chunks))
        again = await _timed(lambda: synchronise(source, shop.documents, _silent))
        if shop.index.embedded != len(chunks):
            raise RuntimeError("an unchanged corpus was embedded again")
        return {
            "chunks": len(chunks),
            "embedder alone, seconds": alone,
            "whole pipeline, seconds": first,
            "pipeline throughput, share of the embedder's alone": alone / first,
            "again without changes, seconds": again,
            "times faster without changes": first / again,
        }


async def _regrant(recipe: IndexRecipe) -> Figures:
    """Acknowledged means committed in the catalog and durable in every open index version."""
    async with _workshop(recipe) as (shop, _):
        await shop.documents.put([_long_document(recipe)])
        taken = []
        for number in range(_CHANGES):
            access = Access("bench", frozenset({f"group:g{number}"}))
            taken.append(await _timed(partial(shop.documents.grant, "bench", "long.md", access)))
        held = await shop.catalog.holding(recipe.name, "bench", "long.md")
        return {
            "chunks": held.chunks if held else 0,
            "acknowledged, median ms": sorted(taken)[_CHANGES // 2] * 1e3,
            "acknowledged, worst ms": max(taken) * 1e3,
        }


def _long_document(recipe: IndexRecipe) -> NewDocument:
    """Sections that each fill a chunk."""
    words = " ".join(f"word{n % 97}" for n in range(recipe.chunker.budget // 3))
    text = "\n\n".join(f"# Section {number}\n\n{words}." for number in range(_LONG_CHUNKS))
    return NewDocument("long.md", "long.md", text.encode(), Access("bench", frozenset({"group:all"})), "bench")


@asynccontextmanager
async def _workshop(recipe: IndexRecipe) -> AsyncIterator[tuple[_Workshop, list[str]]]:
    """An empty catalog and index, and the texts that will be embedded for it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        catalog = await stack.enter_async_context(Catalog.open(folder / "catalog.db"))
        parser = stack.enter_context(ParserPool())
        index = await open_live(recipe, Place(folder / "indexes"), catalog, create=True, parser=parser)
        stack.push_async_callback(index.close)
        texts: list[str] = []
        index.model = _Recording(open_embedder(recipe.embedder), texts)
        yield _Workshop(catalog, index, Documents(catalog, OpenIndexes(index, []), parser)), texts


@dataclass(frozen=True, slots=True)
class _Recording:
    """The recipe's embedder, which notes what it was given."""

    inner: Embedder
    texts: list[str]

    @property
    def dimensions(self) -> int:
        return self.inner.dimensions

    @property
    def max_tokens(self) -> int:
        return self.inner.max_tokens

    def count_tokens(self, text: str) -> int:
        return self.inner.count_tokens(text)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts.extend(texts)
        return self.inner.embed(texts)

    async def embed_query(self, text: str, *, scope: str = "") -> list[float]:
        return await self.inner.embed_query(text, scope=scope)

    @property
    def compares(self) -> bool:
        return self.inner.compares

    async def compare(
        self, question: str, passages: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[Likeness]:
        return await self.inner.compare(question, passages, scope=scope, since=since)

    @property
    def age(self) -> int:
        return self.inner.age

    def forget(self) -> None:
        self.inner.forget()

    def close(self) -> None:
        self.inner.close()


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def _clock(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _silent(_done: int, _total: int, _what: str) -> None:
    """Nobody watches."""
