"""The ChunkStore on a Qdrant server (or qdrant-client's local mode): one collection per index version."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from qdrant_client import AsyncQdrantClient, models

from retrieval.acl import Access, AccessFilter
from retrieval.errors import StoreError
from retrieval.fusion import ChunkId, Legs, ranked
from retrieval.residue import Residue
from retrieval.store import ChunkPoint, Fetched, HybridQuery, Narrowing, require_finite, require_gone, screen
from retrieval.stores import payload
from retrieval.stores import qdrant_server as server
from retrieval.stores.qdrant_server import DENSE, LOCAL, MOST, READ_SECONDS, SPARSE, mapped

_STRONG = models.WriteOrdering.STRONG
_BATCH = 500


class QdrantStore:
    """Every query carries the access filter at its root; none has a prefetch that would need one of its own.

    A leg holds at most `MOST` chunks, however many were asked for.
    """

    def __init__(self, client: AsyncQdrantClient, collection: str, *, local: bool) -> None:
        self._client = client
        self._collection = collection
        self._local = local

    @classmethod
    async def open(
        cls, url: str, collection: str, dimensions: int, api_key: str | None = None, *, create: bool = True
    ) -> "QdrantStore":
        """Connect over gRPC to `http[s]://host[:port]`, or be a collection in memory (":memory:").

        StoreError when the server is too old or the name an alias, when the collection does not fit, and when it is
        missing and not to be created.
        """
        where = None if url == LOCAL else server.endpoint(url)
        client = AsyncQdrantClient(LOCAL) if where is None else server.connect(where, api_key)
        store = cls(client, collection, local=where is None)
        try:
            await store._prepare(dimensions, create=create)
        except StoreError as error:
            await client.close()
            raise StoreError(f"{error} (collection {collection!r}, {where or 'in memory'})") from error
        return store

    @classmethod
    async def discard(cls, url: str, collection: str, api_key: str | None = None) -> bool:
        """Remove a collection without opening it: it may be half built; whether there was one."""
        client = server.connect(server.endpoint(url), api_key)
        try:
            await server.require_physical(client, collection)
            return await cls(client, collection, local=False).drop()
        finally:
            await client.close()

    async def _prepare(self, dimensions: int, *, create: bool) -> None:
        await server.require_version(self._client)
        await server.require_physical(self._client, self._collection)
        if create:
            await server.create(self._client, self._collection, dimensions, indexed=not self._local)
        await self.verify(dimensions)

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Write chunks."""
        require_finite(point.dense for point in points)
        for start in range(0, len(points), _BATCH):
            batch = [_point(point) for point in points[start : start + _BATCH]]
            with mapped():
                done = await self._client.upsert(self._collection, batch, wait=True, ordering=_STRONG)
            _require_done(done)

    async def describe(self, document: str, access: Access, category: str | None, updated: date | None) -> None:
        """Replace the access and metadata fields of one document's chunks."""
        chosen = models.Filter(must=_document(access.tenant, document))
        fields = payload.description(access, category, updated)
        with mapped():
            done = await self._client.set_payload(self._collection, fields, chosen, wait=True, ordering=_STRONG)
        _require_done(done)

    async def delete(self, tenant: str, document: str, *, keep: str | None = None) -> int:
        """Remove a document's chunks but those of version `keep`; how many went."""
        kept: list[models.Condition] = [] if keep is None else [_match(payload.VERSION, keep)]
        chosen = models.Filter(must=_document(tenant, document), must_not=kept)
        going = await self._count(chosen)
        selected = models.FilterSelector(filter=chosen)
        with mapped():
            done = await self._client.delete(self._collection, selected, wait=True, ordering=_STRONG)
        _require_done(done)
        require_gone(await self._count(chosen))
        return going

    async def score(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
        """Score both legs in one batch, then the cosine of what only BM25 found."""
        require_finite([query.dense])
        permitted, wanted, limit = _permitted(access), _narrowed(access, narrowing), min(query.limit, MOST)
        exact = models.SearchParams(exact=True)
        scoped = models.SearchParams(idf=models.IdfCorpusParams(corpus=permitted))
        sparse_query = models.SparseVector(indices=query.sparse.indices, values=query.sparse.values)
        dense, sparse = await self._query(
            models.QueryRequest(query=query.dense, using=DENSE, filter=wanted, params=exact, limit=limit),
            models.QueryRequest(query=sparse_query, using=SPARSE, filter=wanted, params=scoped, limit=limit),
        )
        cosine = dict(dense)
        if missing := {chunk for chunk, _ in sparse if chunk not in cosine}:
            among = _permitted(access, models.HasIdCondition(has_id=list(missing)))
            (rest,) = await self._query(
                models.QueryRequest(query=query.dense, using=DENSE, filter=among, params=exact, limit=len(missing))
            )
            cosine.update(rest)
        return Legs(dense, sparse, cosine)

    async def fetch(self, chunks: Sequence[ChunkId], access: AccessFilter) -> Fetched:
        """Read chunks and check each."""
        if not chunks:
            return Fetched((), 0)
        with mapped():
            records = await self._client.retrieve(
                self._collection, list(chunks), with_payload=True, timeout=READ_SECONDS
            )
            held = [(int(record.id), record.payload) for record in records]
        return screen((payload.hit(chunk, fields) for chunk, fields in held), access)

    async def holds(self, tenant: str, document: str) -> int:
        """Chunks held of one document."""
        return await self._count(models.Filter(must=_document(tenant, document)))

    async def count(self) -> int:
        """All chunks held."""
        return await self._count(None)

    async def verify(self, dimensions: int) -> None:
        """The server's version, and the collection as the server describes it."""
        await server.require_version(self._client)
        await server.require_shape(self._client, self._collection, dimensions, indexed=not self._local)

    async def flush(self) -> None:
        """Every write already waited to be durable."""

    async def optimize(self) -> None:
        """The server optimises on its own."""

    async def rewrite(self) -> str:
        """A server merges segments and cuts its log in its own time, and nobody can make it."""
        return "deleted for every reader; the server lets go of the bytes when it merges their segment"

    async def tidy(self) -> bool:
        """The server's optimizer does."""
        return False

    async def residue(self, needles: Sequence[bytes]) -> Residue:
        """Nobody can look into a server's files from here; local mode has none."""
        return Residue(0 if self._local else None, 0)

    async def drop(self) -> bool:
        """Remove the collection with everything in it; whether there was one."""
        with mapped():
            return await self._client.delete_collection(self._collection)

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def _count(self, chosen: models.Filter | None) -> int:
        with mapped():
            counted = await self._client.count(self._collection, chosen, exact=True, timeout=READ_SECONDS)
        return counted.count

    async def _query(self, *requests: models.QueryRequest) -> list[list[tuple[ChunkId, float]]]:
        with mapped():
            answers = await self._client.query_batch_points(self._collection, list(requests), timeout=READ_SECONDS)
            found = [ranked((int(hit.id), hit.score) for hit in answer.points) for answer in answers]
        if len(found) != len(requests):
            raise StoreError(f"the vector store answered {len(found)} of {len(requests)} queries")
        return found


def _require_done(result: models.UpdateResult) -> None:
    if result.status != models.UpdateStatus.COMPLETED:
        raise StoreError(f"the vector store has not applied a write yet ({result.status}): write it again")


def _match(key: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _match_any(key: str, values: Iterable[str]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=sorted(values)))


def _document(tenant: str, document: str) -> list[models.Condition]:
    return [_match(payload.TENANT, tenant), _match(payload.DOCUMENT, document)]


def _permitted(access: AccessFilter, *narrower: models.Condition) -> models.Filter:
    """The access filter with whatever narrows it further: conditions can only be ANDed, and it is always there.

    One flat filter: the engine plans nested ones worse.
    """
    return models.Filter(
        must=[_match(payload.TENANT, access.tenant), _match_any(payload.ALLOW, access.grants), *narrower],
        must_not=[_match_any(payload.DENY, access.denied_as)],
    )


def _narrowed(access: AccessFilter, narrowing: Narrowing) -> models.Filter:
    own: list[models.Condition] = []
    if narrowing.category:
        own.append(_match_any(payload.CATEGORY, narrowing.category))
    if narrowing.updated_after or narrowing.updated_before:
        dates = models.DatetimeRange(gte=narrowing.updated_after, lte=narrowing.updated_before)
        own.append(models.FieldCondition(key=payload.UPDATED, range=dates))
    return _permitted(access, *own)


def _point(point: ChunkPoint) -> models.PointStruct:
    sparse = models.SparseVector(indices=point.sparse.indices, values=point.sparse.values)
    vectors: dict[str, Any] = {DENSE: point.dense, SPARSE: sparse}
    return models.PointStruct(id=point.id, vector=vectors, payload=payload.point_payload(point))
