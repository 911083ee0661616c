"""The ChunkStore on the embedded Qdrant engine: one shard directory per index version, owned by one process.

The engine holds the GIL for a whole call, so threads would gain nothing: queries run in the event loop for their
millisecond or two, and `optimize` belongs in a process that serves nobody.
"""

import fcntl
import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import IO, TypeAlias, TypeVar, cast
from uuid import UUID

import qdrant_edge as qe

from retrieval import payload
from retrieval.acl import Access, AccessFilter
from retrieval.errors import StoreError, StoreLocked
from retrieval.fusion import ChunkId, Legs
from retrieval.store import ChunkPoint, Fetched, HybridQuery, Narrowing, SparseVector, require_finite, screen

_DENSE, _SPARSE = "dense", "bm25"
Answer = TypeVar("Answer")
Condition: TypeAlias = (
    qe.FieldCondition
    | qe.IsEmptyCondition
    | qe.IsNullCondition
    | qe.HasIdCondition
    | qe.HasVectorCondition
    | qe.NestedCondition
    | qe.Filter
)


class EdgeStore:
    """Flat and exact: no HNSW graph, because a graph loses recall under an access filter."""

    def __init__(self, shard: qe.EdgeShard, lock: IO[str]) -> None:
        self._shard = shard
        self._lock = lock

    @classmethod
    def open(cls, directory: Path, dimensions: int) -> "EdgeStore":
        """Open or create the shard in `directory`; StoreLocked when another process has it."""
        lock = _lock(directory)
        path = directory / "shard"
        try:
            shard = _engine(lambda: _load(path) if path.exists() else _create(path, dimensions))
        except StoreError:
            lock.close()
            raise
        return cls(shard, lock)

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Write chunks."""
        require_finite(point.dense for point in points)
        self._update(qe.UpdateOperation.upsert_points([_point(point) for point in points]))

    async def describe(self, document: str, access: Access, category: str | None, updated: date | None) -> None:
        """Replace the access and metadata fields of one document's chunks."""
        chosen = qe.Filter(must=_document(access.tenant, document))
        self._update(qe.UpdateOperation.set_payload_by_filter(chosen, payload.description(access, category, updated)))

    async def delete(self, tenant: str, document: str, *, keep: str | None = None) -> None:
        """Remove a document's chunks but those of version `keep`."""
        kept = [] if keep is None else [_match(payload.VERSION, keep)]
        chosen = qe.Filter(must=_document(tenant, document), must_not=kept)
        self._update(qe.UpdateOperation.delete_points_by_filter(chosen))

    async def score(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
        """Score both legs in one batch, then the cosine of what only BM25 found."""
        require_finite([query.dense])
        permitted, wanted = _permitted(access), _narrowed(access, narrowing)
        exact = qe.SearchParams(exact=True)
        scoped = qe.SearchParams(idf=qe.IdfParams(corpus=permitted))
        dense, sparse = self._query(
            qe.QueryRequest(query.limit, query=_nearest(query.dense, _DENSE), filter=wanted, params=exact),
            qe.QueryRequest(query.limit, query=_nearest(_sparse(query.sparse), _SPARSE), filter=wanted, params=scoped),
        )
        cosine = dict(dense)
        if missing := {chunk for chunk, _ in sparse if chunk not in cosine}:
            among = _permitted(access, qe.HasIdCondition(set(missing)))
            nearest = _nearest(query.dense, _DENSE)
            (rest,) = self._query(qe.QueryRequest(len(missing), query=nearest, filter=among, params=exact))
            cosine.update(rest)
        return Legs(dense, sparse, cosine)

    async def fetch(self, chunks: Sequence[ChunkId], access: AccessFilter) -> Fetched:
        """Read chunks and check each."""
        wanted: list[int | UUID | str] = list(chunks)
        records = _engine(lambda: self._shard.retrieve(wanted, with_payload=True, with_vector=False))
        return screen((payload.hit(cast("int", record.id), record.payload) for record in records), access)

    async def count(self) -> int:
        """All chunks held."""
        return _engine(lambda: self._shard.count(qe.CountRequest(exact=True)))

    async def flush(self) -> None:
        """Make writes durable."""
        _engine(self._shard.flush)

    async def optimize(self) -> None:
        """Merge segments; holds the GIL for seconds on a large index."""
        _engine(self._shard.optimize)

    async def close(self) -> None:
        """Flush and release the directory."""
        _engine(self._shard.close)
        self._lock.close()

    def _update(self, operation: qe.UpdateOperation) -> None:
        _engine(lambda: self._shard.update(operation))

    def _query(self, *requests: qe.QueryRequest) -> list[list[tuple[ChunkId, float]]]:
        answers = _engine(lambda: self._shard.query_batch(qe.QueryBatchRequest(list(requests))))
        return [[(cast("int", hit.id), hit.score) for hit in hits] for hits in answers]


def _engine(call: Callable[[], Answer]) -> Answer:
    """The engine raises plain Exception for everything, so this is the one place that may catch it."""
    try:
        return call()
    except Exception as error:
        raise StoreError(f"the embedded engine refused: {error}") from error


def _lock(directory: Path) -> IO[str]:
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreLocked(
            f"index {directory.name!r} is open in another process (a running gateway or ingestion): stop it first"
        ) from error
    return lock


def _load(path: Path) -> qe.EdgeShard:
    return qe.EdgeShard.load(str(path))


def _create(path: Path, dimensions: int) -> qe.EdgeShard:
    """Made under another name first: a shard that is there has its configuration and all its indexes."""
    draft = path.with_name(f"{path.name}.draft")
    for unfinished in (draft, path):
        shutil.rmtree(unfinished, ignore_errors=True)
    draft.mkdir()
    config = qe.EdgeConfig(
        vectors={_DENSE: qe.EdgeVectorParams(size=dimensions, distance=qe.Distance.Cosine)},
        sparse_vectors={_SPARSE: qe.EdgeSparseVectorParams(modifier=qe.Modifier.Idf)},
        hnsw_config=qe.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000),
    )
    shard = qe.EdgeShard.create(str(draft), config)
    tenant = qe.KeywordIndexParams(is_tenant=True)
    shard.update(qe.UpdateOperation.create_field_index(payload.TENANT, tenant))
    for field in payload.KEYWORDS:
        shard.update(qe.UpdateOperation.create_field_index(field, qe.PayloadSchemaType.Keyword))
    shard.update(qe.UpdateOperation.create_field_index(payload.UPDATED, qe.PayloadSchemaType.Datetime))
    shard.close()
    draft.rename(path)
    return _load(path)


def _match(key: str, value: str) -> Condition:
    return qe.FieldCondition(key=key, match=qe.MatchValue(value))


def _match_any(key: str, values: Iterable[str]) -> Condition:
    return qe.FieldCondition(key=key, match=qe.MatchAny(sorted(values)))


def _document(tenant: str, document: str) -> list[Condition]:
    return [_match(payload.TENANT, tenant), _match(payload.DOCUMENT, document)]


def _permitted(access: AccessFilter, *narrower: Condition) -> qe.Filter:
    """The access filter with whatever narrows it further: conditions can only be ANDed, and it is always there.

    One flat filter: the engine plans nested ones worse.
    """
    return qe.Filter(
        must=[_match(payload.TENANT, access.tenant), _match_any(payload.ALLOW, access.grants), *narrower],
        must_not=[_match_any(payload.DENY, access.grants)],
    )


def _narrowed(access: AccessFilter, narrowing: Narrowing) -> qe.Filter:
    own: list[Condition] = []
    if narrowing.category:
        own.append(_match_any(payload.CATEGORY, narrowing.category))
    if narrowing.updated_after or narrowing.updated_before:
        first, last = payload.instant(narrowing.updated_after), payload.instant(narrowing.updated_before)
        own.append(qe.FieldCondition(key=payload.UPDATED, range=qe.RangeDateTime(gte=first, lte=last)))
    return _permitted(access, *own)


def _nearest(vector: list[float] | qe.SparseVector, using: str) -> qe.Query:
    return qe.Query.Nearest(vector, using=using)


def _sparse(vector: SparseVector) -> qe.SparseVector:
    return qe.SparseVector(vector.indices, vector.values)


def _point(point: ChunkPoint) -> qe.Point:
    vectors: dict[str, list[float] | qe.SparseVector | list[list[float]]] = {
        _DENSE: point.dense,
        _SPARSE: _sparse(point.sparse),
    }
    return qe.Point(point.id, vectors, payload.point_payload(point))
