"""Gathering: down the fused order, through three checks of access, until there are enough passages that differ."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from retrieval.acl import AccessFilter
from retrieval.catalog import Catalog, Passage
from retrieval.findings import Found
from retrieval.fusion import Candidate, ChunkId, carry, fuse
from retrieval.index import IndexRecipe
from retrieval.passages.duplicates import Groups
from retrieval.passages.freshness import is_old
from retrieval.passages.packing import narrowed, window
from retrieval.store import ChunkRef, HybridQuery, Narrowing, Searchable

_WIDEN = 4
_PATIENCE = 8
# Passages read beyond those that are shown: a newer one of the same words may have scored a little less.
_AHEAD = 4


class Gatherer:
    """Gathers under one index version; `today` is the day in UTC."""

    def __init__(self, recipe: IndexRecipe, store: Searchable, catalog: Catalog, today: Callable[[], date]) -> None:
        self._recipe = recipe
        self._name = recipe.name
        self._store = store
        self._catalog = catalog
        self._today = today
        self._ahead = _AHEAD if recipe.collapse else 0

    async def gather(
        self,
        query: HybridQuery,
        earlier: Sequence[HybridQuery],
        access: AccessFilter,
        narrowing: Narrowing,
        wanted: int,
    ) -> "Gathered":
        """`wanted` passages that differ, or all there are; as many of each `earlier` query are candidates, too.

        A document that was replaced between the scores and the catalog's word has other chunks by now: where that may
        be so, scores are asked for again, until the catalog did not change meanwhile. The dense leg scores every
        permitted chunk, so when it comes back short there is nothing more to widen to.
        """
        carried = [(await self._order(one, access, narrowing))[0][:wanted] for one in earlier]
        sequence, patience, wanted = None, _PATIENCE, wanted + self._ahead
        while True:
            order, complete = await self._order(query, access, narrowing)
            gathered = await self._check(carry(order, carried), access, wanted)
            if len(gathered.groups) >= wanted:
                return gathered
            before = sequence
            sequence = await self._catalog.sequence(access.tenant) if gathered.dropped and patience else before
            if sequence != before:
                patience -= 1
            elif complete:
                return gathered
            else:
                query = replace(query, limit=query.limit * _WIDEN)

    async def _order(
        self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing
    ) -> tuple[list[Candidate], bool]:
        """The fused order, and whether it has every permitted chunk."""
        legs = await self._store.score(query, access, narrowing)
        return fuse(legs, self._recipe.fusion), len(legs.dense) < query.limit

    async def _check(self, order: Sequence[Candidate], access: AccessFilter, wanted: int) -> "Gathered":
        gathered = Gathered(self._today(), Groups(self._recipe.collapse))
        for start in range(0, max(1, len(order)), wanted):
            for found in await self._confirm(order[start : start + wanted], access, gathered):
                gathered.permitted += 1
                gathered.groups.add(found)
                if len(gathered.groups) >= wanted:
                    return gathered
        return gathered

    async def _confirm(self, page: Sequence[Candidate], access: AccessFilter, gathered: "Gathered") -> list[Found]:
        """Check the index's own access fields again, then let the catalog decide."""
        fetched = await self._store.fetch([one.chunk for one in page], access)
        refs = {hit.id: hit.ref for hit in fetched.hits}
        scored = {self._reach(refs[one.chunk]): one for one in page if one.chunk in refs}
        read = await self._catalog.read(
            list(scored), access, self._recipe.parser, index=self._name, today=gathered.today
        )
        kept = [scored[passage.ref] for passage in read]
        gathered.violations += fetched.forbidden
        gathered.dropped |= {one.chunk for one in page} - {one.chunk for one in kept}
        return [
            Found(gathered.take(passage, refs[one.chunk]), one.score, one.cosine, one.bm25, None)
            for passage, one in zip(read, kept, strict=True)
        ]

    def _reach(self, ref: ChunkRef) -> ChunkRef:
        """What is read for a chunk: more than itself where passages are packed."""
        return window(ref, self._recipe.packing) if self._recipe.packing else ref


@dataclass(slots=True)
class Gathered:
    """Passages by what they say; for each chunk in `windows` what was read around it."""

    today: date
    groups: Groups[Found]
    windows: dict[ChunkRef, Passage] = field(default_factory=dict)
    permitted: int = 0
    violations: int = 0
    dropped: set[ChunkId] = field(default_factory=set)

    @property
    def stale(self) -> int:
        """Chunks that the catalog dropped, or that were gone when they were to be read."""
        return len(self.dropped) - self.violations

    def take(self, read: Passage, ref: ChunkRef) -> Passage:
        """The chunk at `ref`, out of what was read for it."""
        self.windows[ref] = read
        return read if read.ref == ref else narrowed(read, ref)

    def merged(self, freshness: dict[str, int]) -> Iterator[Found]:
        """One passage for all that repeat each other, best first."""
        for best, shown in self.groups.merged():
            passage = shown.passage
            yield replace(best, passage=passage, old=is_old(passage.category, passage.updated, freshness, self.today))
