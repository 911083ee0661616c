"""The ChunkStore on a Qdrant server (or qdrant-client's local mode): one collection per index version."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from grpc import RpcError
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException

from retrieval import payload
from retrieval.acl import Access, AccessFilter
from retrieval.errors import StoreError
from retrieval.fusion import ChunkId, Legs
from retrieval.residue import Residue
from retrieval.store import ChunkPoint, Fetched, HybridQuery, Narrowing, ranked, require_finite, screen

_DENSE, _SPARSE = "dense", "bm25"


class QdrantStore:
    """Scoped IDF needs a server of 1.19 or later; `create` makes the collection with its payload indexes first."""

    def __init__(self, client: AsyncQdrantClient, collection: str) -> None:
        self._client = client
        self._collection = collection

    async def create(self, dimensions: int) -> None:
        """Make the collection if it is not there; payload indexes stand before any point arrives."""
        with _mapped():
            if await self._client.collection_exists(self._collection):
                return
            dense = {_DENSE: models.VectorParams(size=dimensions, distance=models.Distance.COSINE)}
            sparse = {_SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)}
            await self._client.create_collection(self._collection, dense, sparse)
            for field, schema in _payload_schema().items():
                await self._client.create_payload_index(self._collection, field, schema)

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Write chunks."""
        require_finite(point.dense for point in points)
        with _mapped():
            await self._client.upsert(self._collection, [_point(point) for point in points], wait=True)

    async def describe(self, document: str, access: Access, category: str | None, updated: date | None) -> None:
        """Replace the access and metadata fields of one document's chunks."""
        chosen = models.Filter(must=_document(access.tenant, document))
        fields = payload.description(access, category, updated)
        with _mapped():
            await self._client.set_payload(
                self._collection, fields, chosen, wait=True, ordering=models.WriteOrdering.STRONG
            )

    async def delete(self, tenant: str, document: str, *, keep: str | None = None) -> int:
        """Remove a document's chunks but those of version `keep`; how many went."""
        kept: list[models.Condition] = [] if keep is None else [_match(payload.VERSION, keep)]
        chosen = models.Filter(must=_document(tenant, document), must_not=kept)
        going = await self._count(chosen)
        selected = models.FilterSelector(filter=chosen)
        with _mapped():
            await self._client.delete(self._collection, selected, wait=True, ordering=models.WriteOrdering.STRONG)
        return going - await self._count(chosen)

    async def score(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
        """Score both legs in one batch, then the cosine of what only BM25 found."""
        require_finite([query.dense])
        permitted, wanted = _permitted(access), _narrowed(access, narrowing)
        exact = models.SearchParams(exact=True)
        scoped = models.SearchParams(idf=models.IdfCorpusParams(corpus=permitted))
        sparse_query = models.SparseVector(indices=query.sparse.indices, values=query.sparse.values)
        dense, sparse = await self._query(
            models.QueryRequest(query=query.dense, using=_DENSE, filter=wanted, params=exact, limit=query.limit),
            models.QueryRequest(query=sparse_query, using=_SPARSE, filter=wanted, params=scoped, limit=query.limit),
        )
        cosine = dict(dense)
        if missing := {chunk for chunk, _ in sparse if chunk not in cosine}:
            among = _permitted(access, models.HasIdCondition(has_id=list(missing)))
            (rest,) = await self._query(
                models.QueryRequest(query=query.dense, using=_DENSE, filter=among, params=exact, limit=len(missing))
            )
            cosine.update(rest)
        return Legs(dense, sparse, cosine)

    async def fetch(self, chunks: Sequence[ChunkId], access: AccessFilter) -> Fetched:
        """Read chunks and check each."""
        if not chunks:
            return Fetched((), 0)
        with _mapped():
            records = await self._client.retrieve(self._collection, list(chunks), with_payload=True)
        return screen((payload.hit(int(record.id), record.payload) for record in records), access)

    async def holds(self, tenant: str, document: str) -> int:
        """Chunks held of one document."""
        return await self._count(models.Filter(must=_document(tenant, document)))

    async def count(self) -> int:
        """All chunks held."""
        return await self._count(None)

    async def _count(self, chosen: models.Filter | None) -> int:
        with _mapped():
            return (await self._client.count(self._collection, chosen, exact=True)).count

    async def verify(self, dimensions: int) -> None:
        """Look at the collection as the server describes it."""

    async def rewrite(self) -> str:
        """A server drops bytes in its own time."""
        return "the server drops deleted bytes when it next merges their segment, and with the collection at the latest"

    async def residue(self, needles: Sequence[bytes]) -> Residue:
        """Nobody can look into a server's files from here."""
        return Residue(None, 0)

    async def flush(self) -> None:
        """Every write already waited to be durable."""

    async def optimize(self) -> None:
        """The server optimises on its own."""

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def _query(self, *requests: models.QueryRequest) -> list[list[tuple[ChunkId, float]]]:
        with _mapped():
            answers = await self._client.query_batch_points(self._collection, list(requests))
        return [ranked((int(hit.id), hit.score) for hit in answer.points) for answer in answers]


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (ApiException, RpcError) as error:
        raise StoreError(f"the vector store does not answer: {type(error).__name__}") from error
    except ValueError as error:
        raise StoreError(f"the vector store refused: {error}") from error


def _payload_schema() -> dict[str, models.PayloadSchemaType | models.KeywordIndexParams]:
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    keywords = dict.fromkeys(payload.KEYWORDS, models.PayloadSchemaType.KEYWORD)
    return {payload.TENANT: tenant, **keywords, payload.UPDATED: models.PayloadSchemaType.DATETIME}


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
        must_not=[_match_any(payload.DENY, access.grants)],
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
    vectors: dict[str, Any] = {_DENSE: point.dense, _SPARSE: sparse}
    return models.PointStruct(id=point.id, vector=vectors, payload=payload.point_payload(point))
