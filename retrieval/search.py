"""The finding: embed, score both legs, fuse, check access twice, show repetitions once, rerank, return the words."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from retrieval.acl import AccessFilter
from retrieval.catalog import Catalog, Passage
from retrieval.confidence import Confidence
from retrieval.embed import Embedder
from retrieval.errors import RerankerUnavailable
from retrieval.findings import Findings, Found
from retrieval.freshness import utc_today
from retrieval.gathering import Gatherer
from retrieval.index import IndexRecipe
from retrieval.packing import pack
from retrieval.rerank import Reranker
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkRef, HybridQuery, Narrowing, Searchable

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
        self._gatherer = Gatherer(recipe, store, catalog, today)
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
        earlier: Sequence[str] = (),
    ) -> Findings:
        """The best `limit` passages that `access` permits and the catalog confirms.

        What the `earlier` questions of the same conversation find, newest last, stays a candidate. A reranker has
        `rerank_within` seconds.
        """
        clock = _Clock()
        wanted = max(limit * (_NEIGHBOURS if self._recipe.packing else 1), self._pairs)
        query, *before = await asyncio.gather(*(self._query(one, wanted) for one in (question, *earlier)))
        clock.lap("embed")
        gathered = await self._gatherer.gather(query, before, access, narrowing, wanted)
        merged = list(gathered.merged(self._recipe.freshness))
        clock.lap("search")
        found, degraded = await self._rerank(question, merged[:wanted], rerank_within)
        confidence = await self._confidence.of(question, found[:limit], self._worded)
        clock.lap("rerank")
        return Findings(
            passages=tuple(self._packed(found, gathered.windows, limit)),
            confidence=confidence,
            timings=clock.laps,
            violations=gathered.violations,
            stale=gathered.stale,
            degraded=degraded,
            collapsed=gathered.permitted - len(merged),
        )

    @property
    def _pairs(self) -> int:
        return self._recipe.reranker.pairs if self._recipe.reranker and self._reranker else 0

    async def _query(self, question: str, wanted: int) -> HybridQuery:
        dense = await self._embedder.embed_query(question)
        return HybridQuery(dense, self._sparse.query(question), max(self._recipe.candidates, wanted))

    async def _rerank(self, question: str, found: list[Found], within: float) -> tuple[list[Found], bool]:
        """Reorder the first pairs while there is time; past the deadline the fused order stands, degraded.

        Both opinions are scaled from the worst to the best of the pairs, so that each counts as the recipe says.
        """
        rule, pairs = self._recipe.reranker, found[: self._pairs]
        if rule is None or self._reranker is None or len(pairs) < 2 or pairs[0].score - pairs[1].score >= rule.margin:
            return found, False
        try:
            async with asyncio.timeout(within):
                scores = await self._reranker.rerank(question, [self._worded(one) for one in pairs])
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

    def _packed(self, found: Sequence[Found], windows: Mapping[ChunkRef, Passage], limit: int) -> list[Found]:
        if self._recipe.packing is None:
            return list(found[:limit])
        packed = pack(found, windows, self._recipe.packing, limit=limit, count_tokens=self._embedder.count_tokens)
        return [replace(one, passage=passage) for one, passage in packed]


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
