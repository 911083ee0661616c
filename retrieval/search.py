"""The finding: embed, score both legs, fuse, check access twice, show repetitions once, rerank, return the words."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from retrieval.acl import AccessFilter
from retrieval.catalog import Catalog, Passage
from retrieval.duplicates import Groups
from retrieval.embed import Embedder
from retrieval.errors import RerankerUnavailable
from retrieval.freshness import is_old, utc_today
from retrieval.fusion import Candidate, ChunkId, fuse
from retrieval.index import IndexRecipe
from retrieval.rerank import Reranker
from retrieval.sparse import Bm25Encoder
from retrieval.store import HybridQuery, Narrowing, Searchable

_WIDEN = 4
_PATIENCE = 8
# Passages read beyond those that are shown: a newer one of the same words may have scored a little less.
_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A passage with what each stage thought of it; `rerank` is None where no reranker spoke.

    Where passages repeat each other the newest stands here, with the scores of the best. `old` by its category's rule.
    """

    passage: Passage
    score: float
    cosine: float
    bm25: float
    rerank: float | None
    old: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """`confidence` is that of the best passage, 0.0 where there are none. Timings are seconds per stage.

    `violations` counts chunks whose own access fields forbid the caller although the store returned them;
    `stale` counts chunks that the catalog dropped (changed, superseded, expired, revoked or gone); `collapsed` counts
    permitted passages that only repeated another one.
    """

    passages: tuple[Found, ...]
    confidence: float
    timings: dict[str, float]
    violations: int
    stale: int
    degraded: bool
    collapsed: int = 0


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
        self._name = recipe.name
        self._today = today
        self._embedder = embedder
        self._sparse = Bm25Encoder(recipe.bm25)
        self._store = store
        self._catalog = catalog
        self._reranker = reranker

    async def find(
        self, question: str, access: AccessFilter, narrowing: Narrowing, *, limit: int, rerank_within: float = 0.5
    ) -> Findings:
        """The best `limit` passages that `access` permits and the catalog confirms."""
        clock = _Clock()
        dense = await self._embedder.embed_query(question)
        query = HybridQuery(dense, self._sparse.query(question), max(self._recipe.candidates, limit))
        clock.lap("embed")
        wanted = max(limit, self._recipe.reranker.pairs if self._recipe.reranker else 0)
        gathered = await self._gather(query, access, narrowing, wanted + (_AHEAD if self._recipe.collapse else 0))
        merged = [self._merged(*group, gathered.today) for group in gathered.groups.merged()]
        clock.lap("search")
        found, degraded = await self._rerank(question, merged[:wanted], rerank_within)
        clock.lap("rerank")
        best = tuple(found[:limit])
        confidence = max((self._confidence(question, one) for one in best), default=0.0)
        return Findings(
            passages=best,
            confidence=confidence,
            timings=clock.laps,
            violations=gathered.violations,
            stale=gathered.stale,
            degraded=degraded,
            collapsed=gathered.permitted - len(merged),
        )

    def _confidence(self, question: str, found: Found) -> float:
        """How much one passage looks like evidence: its cosine, blended with the share of the question's words it has.

        Neither depends on what else the caller may see, so that one threshold serves everybody.
        """
        share = self._recipe.abstain_coverage
        if not share:
            return found.cosine
        asked = set(self._sparse.query(question).indices)
        passage = found.passage
        held = self._sparse.document(" ".join((passage.title, *passage.ref.heading, passage.text))).indices
        covered = len(asked.intersection(held)) / len(asked) if asked else 0.0
        return (1 - share) * found.cosine + share * covered

    def _merged(self, best: Found, shown: Found, today: date) -> Found:
        passage = shown.passage
        return replace(
            best, passage=passage, old=is_old(passage.category, passage.updated, self._recipe.freshness, today)
        )

    async def _gather(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing, wanted: int) -> "_Gathered":
        """Walk down the fused order until `wanted` passages that differ passed every check.

        A document that was replaced between the scores and the catalog's word has other chunks by now: where that may
        be so, scores are asked for again, until the catalog did not change meanwhile. The dense leg scores every
        permitted chunk, so when it comes back short there is nothing more to widen to.
        """
        sequence, patience = None, _PATIENCE
        while True:
            legs = await self._store.score(query, access, narrowing)
            gathered = await self._check(fuse(legs, self._recipe.fusion), access, wanted)
            if len(gathered.groups) >= wanted:
                return gathered
            before = sequence
            sequence = await self._catalog.sequence(access.tenant) if gathered.dropped and patience else before
            if sequence != before:
                patience -= 1
            elif len(legs.dense) < query.limit:
                return gathered
            else:
                query = replace(query, limit=query.limit * _WIDEN)

    async def _check(self, order: Sequence[Candidate], access: AccessFilter, wanted: int) -> "_Gathered":
        gathered = _Gathered(self._today(), Groups(self._recipe.collapse))
        for start in range(0, max(1, len(order)), wanted):
            for found in await self._confirm(order[start : start + wanted], access, gathered):
                gathered.permitted += 1
                gathered.groups.add(found)
                if len(gathered.groups) >= wanted:
                    return gathered
        return gathered

    async def _confirm(self, page: Sequence[Candidate], access: AccessFilter, gathered: "_Gathered") -> list[Found]:
        """Check the index's own access fields again, then let the catalog decide."""
        fetched = await self._store.fetch([one.chunk for one in page], access)
        refs = {hit.id: hit.ref for hit in fetched.hits}
        scored = {refs[one.chunk]: one for one in page if one.chunk in refs}
        passages = await self._catalog.read(
            list(scored), access, self._recipe.parser, index=self._name, today=gathered.today
        )
        found = [(passage, scored[passage.ref]) for passage in passages]
        gathered.violations += fetched.forbidden
        gathered.dropped |= {one.chunk for one in page} - {one.chunk for _, one in found}
        return [Found(passage, one.score, one.cosine, one.bm25, None) for passage, one in found]

    async def _rerank(self, question: str, found: list[Found], within: float) -> tuple[list[Found], bool]:
        """Reorder while there is time; past the deadline, or without a reranker, the fused order stands, degraded."""
        if self._reranker is None or len(found) < 2:
            return found, False
        try:
            async with asyncio.timeout(within):
                scores = await self._reranker.rerank(question, [one.passage.text for one in found])
        except (TimeoutError, RerankerUnavailable):
            return found, True
        scored = [replace(one, rerank=score) for one, score in zip(found, scores, strict=True)]
        return sorted(scored, key=lambda one: -(one.rerank or 0.0)), False


@dataclass(slots=True)
class _Gathered:
    today: date
    groups: Groups[Found]
    permitted: int = 0
    violations: int = 0
    dropped: set[ChunkId] = field(default_factory=set)

    @property
    def stale(self) -> int:
        """Chunks that the catalog dropped, or that were gone when they were to be read."""
        return len(self.dropped) - self.violations


class _Clock:
    """Seconds since the previous lap, by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now
