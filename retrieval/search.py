"""The finding: embed, score both legs, fuse, check access twice, show repetitions once, rerank, return the words."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from retrieval.acl import AccessFilter, PermissionScope
from retrieval.catalog import Catalog, Passage
from retrieval.confidence import Confidence
from retrieval.embed import Embedder
from retrieval.errors import RerankerUnavailable
from retrieval.findings import Findings, Found
from retrieval.gathering import Gatherer
from retrieval.index import IndexRecipe
from retrieval.passages.freshness import utc_today
from retrieval.passages.packing import pack
from retrieval.rerank import Reranker
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkRef, HybridQuery, Narrowing, Searchable

# Questions gathered for at once: with more, each turn of the event loop would be so long that all else waits for it.
_AT_ONCE = 3
# Where neighbours become one passage, more of them are needed for as many passages.
_NEIGHBOURS = 2


class Finder:
    """Finds under one index version; every argument belongs to that version but `today`, the day in UTC."""

    def __init__(
        self,
        recipe: IndexRecipe,
        embedder: Embedder,
        store: Searchable,
        catalog: Catalog,
        reranker: Reranker | None = None,
        *,
        today: Callable[[], date] = utc_today,
    ) -> None:
        self._recipe = recipe
        self._embedder = embedder
        self._sparse = Bm25Encoder(recipe.bm25)
        self._catalog = catalog
        self._gatherer = Gatherer(recipe, store, catalog, today)
        self._gathering = asyncio.Semaphore(_AT_ONCE)
        self._confidence = Confidence(recipe, embedder, self._sparse)
        self._reranker = reranker

    async def find(
        self,
        question: str,
        access: AccessFilter,
        narrowing: Narrowing,
        *,
        limit: int,
        rerank_within: float = 0.5,
        deadline: float = math.inf,
        earlier: Sequence[str] = (),
        confident: bool = True,
        known: PermissionScope | None = None,
    ) -> Findings:
        """The best `limit` passages that `access` permits and the catalog confirms.

        What the `earlier` questions of the same conversation find, newest last, stays a candidate. A reranker has
        `rerank_within` seconds, and at most half of those until the `deadline` (by the event loop's clock), which the
        rest needs more. Unless it is to be `confident`, confidence is 0.0 and costs nothing. With whom it may share
        what is embedded for it is asked of the catalog where it is not `known`.
        """
        scope = (known or await self._catalog.scope(access)).key
        clock, since = _Clock(), self._embedder.age
        wanted = max(limit * (_NEIGHBOURS if self._recipe.packing else 1), self._pairs)
        query, *before = await asyncio.gather(*(self._query(one, scope, wanted) for one in (question, *earlier)))
        clock.lap("embed")
        async with self._gathering:
            gathered = await self._gatherer.gather(query, before, access, narrowing, wanted)
        merged = list(gathered.merged(self._recipe.freshness))
        clock.lap("search")
        work = _Work(question, scope, since)
        found, degraded = await self._rerank(work, merged[:wanted], min(rerank_within, _half_until(deadline)))
        clock.lap("rerank")
        packed = await self._packed(found, gathered.windows, limit)
        clock.lap("pack")
        chunks = [one for one, _ in packed] if confident else []
        confidence, surest = await self._confidence.of(question, chunks, self._worded, scope=scope, since=since)
        clock.lap("confidence")
        return Findings(
            passages=tuple(replace(one, passage=passage, rank=n) for n, (one, passage) in enumerate(packed, start=1)),
            confidence=confidence,
            category=surest.passage.category if surest else None,
            timings=clock.laps,
            violations=gathered.violations,
            stale=gathered.stale,
            degraded=degraded,
            collapsed=gathered.permitted - len(merged),
        )

    @property
    def _pairs(self) -> int:
        return self._recipe.reranker.pairs if self._recipe.reranker and self._reranker else 0

    async def _query(self, question: str, scope: str, wanted: int) -> HybridQuery:
        dense = await self._embedder.embed_query(question, scope=scope)
        return HybridQuery(dense, self._sparse.query(question), max(self._recipe.candidates, wanted))

    async def _rerank(self, work: "_Work", found: list[Found], within: float) -> tuple[list[Found], bool]:
        """Reorder the first pairs while there is time; past the deadline the fused order stands, degraded.

        Both opinions are scaled from the worst to the best of the pairs, so that each counts as the recipe says.
        """
        rule, pairs = self._recipe.reranker, found[: self._pairs]
        if rule is None or self._reranker is None or len(pairs) < 2 or pairs[0].score - pairs[1].score >= rule.margin:
            return found, False
        try:
            async with asyncio.timeout(within):
                texts = [self._worded(one) for one in pairs]
                scores = await self._reranker.rerank(work.question, texts, scope=work.scope, since=work.since)
        except (TimeoutError, RerankerUnavailable):
            return found, True
        fused = _scaled([one.score for one in pairs])
        order = [
            ((1 - rule.blend) * first + rule.blend * second, replace(one, rerank=score))
            for one, score, first, second in zip(pairs, scores, fused, _scaled(scores), strict=True)
        ]
        order.sort(key=lambda ranked: -ranked[0])
        return [one for _, one in order] + found[len(pairs) :], False

    def _worded(self, found: Found) -> str:
        """A chunk's words below what stands above them, much as they were embedded."""
        passage, ref = found.passage, found.passage.ref
        titled = self._recipe.chunker.context == "heading"
        path = " > ".join(dict.fromkeys(filter(None, (passage.title, *ref.heading)))) if titled else ""
        return "\n".join(filter(None, (path, ref.header, passage.text)))

    async def _packed(
        self, found: Sequence[Found], windows: Mapping[ChunkRef, Passage], limit: int
    ) -> list[tuple[Found, Passage]]:
        """Each best chunk with what is shown of it; growing counts tokens, for which some embedders ask a server."""
        packing, count = self._recipe.packing, self._embedder.count_tokens
        if packing is None:
            return [(one, one.passage) for one in found[:limit]]
        if not packing.grow:
            return pack(found, windows, packing, limit=limit, count_tokens=count)
        return await asyncio.to_thread(pack, found, windows, packing, limit=limit, count_tokens=count)


@dataclass(frozen=True, slots=True)
class _Work:
    """A question, on whose behalf, and the embedder's age before anything was read for it."""

    question: str
    scope: str
    since: int


def _half_until(deadline: float) -> float:
    return (deadline - asyncio.get_running_loop().time()) / 2


def _scaled(scores: Sequence[float]) -> list[float]:
    """From 0 for the worst to 1 for the best; all 0 where none is better."""
    low, high = min(scores), max(scores)
    return [(score - low) / ((high - low) or 1.0) for score in scores]


class _Clock:
    """Seconds since the previous lap, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
