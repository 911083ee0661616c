"""A store as if it did not hold some documents, to see what finding is worth where the answer is missing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from retrieval.acl import AccessFilter
from retrieval.fusion import ChunkId, Legs
from retrieval.store import Fetched, HybridQuery, Narrowing, Searchable


@dataclass(frozen=True, slots=True)
class Withheld:
    """Finds in `store` past the `documents` of the caller's tenant; `chunks` is how many of them it holds at most."""

    store: Searchable
    documents: Collection[str]
    chunks: int

    async def score(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
        """Both legs without these documents, as long as they would be."""
        legs = await self.store.score(replace(query, limit=query.limit + self.chunks), access, narrowing)
        hits = (await self.store.fetch(list(legs.cosine), access)).hits
        gone = {hit.id for hit in hits if hit.ref.document in self.documents}
        dense, sparse = (_without(leg, gone)[: query.limit] for leg in (legs.dense, legs.sparse))
        kept = {chunk for chunk, _ in (*dense, *sparse)}
        return replace(
            legs, dense=dense, sparse=sparse, cosine={one: legs.cosine[one] for one in kept & set(legs.cosine)}
        )

    async def fetch(self, chunks: Sequence[ChunkId], access: AccessFilter) -> Fetched:
        """Read chunks that were scored."""
        return await self.store.fetch(chunks, access)


def _without(leg: Sequence[tuple[ChunkId, float]], gone: Collection[ChunkId]) -> list[tuple[ChunkId, float]]:
    return [(chunk, score) for chunk, score in leg if chunk not in gone]
