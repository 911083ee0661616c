"""The ChunkStore on the embedded Qdrant engine: one shard directory per index version, owned by one process.

The engine holds the GIL for a whole call, so threads would gain nothing: queries run in the event loop for their
millisecond or two, and `optimize` belongs in a process that serves nobody.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import IO, TypeAlias, cast
from uuid import UUID

import qdrant_edge as qe

from retrieval.acl import Access, AccessFilter
from retrieval.errors import StoreError
from retrieval.fusion import ChunkId, Legs, ranked
from retrieval.residue import Residue, scan
from retrieval.store import (
    ChunkPoint,
    Fetched,
    HybridQuery,
    Narrowing,
    SparseVector,
    require_finite,
    require_gone,
    screen,
)
from retrieval.stores import payload
from retrieval.stores import shard as files
from retrieval.stores.shard import DENSE, SPARSE, engine

_CONDITIONS = 1024  # kept: a caller's come with each query, and to make one takes longer than to look it up
_TURN = 64  # chunks written at a stretch: some milliseconds
_MANY = 1_024  # deleted chunks, which go on taking some 7 KiB of memory each
_MOST = 20_000  # chunks whose copying takes seconds: revocations and flips wait for it
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

    def __init__(self, shard: qe.EdgeShard, directory: Path, dimensions: int, lock: IO[str]) -> None:
        self._shard = shard
        self._directory = directory
        self._dimensions = dimensions
        self._lock = lock
        self._gone = 0

    @classmethod
    def open(cls, directory: Path, dimensions: int) -> "EdgeStore":
        """Open or create the shard in `directory`; StoreLocked when another process has it.

        StoreError when its vectors have other dimensions, or its BM25 has no IDF.
        """
        lock = files.lock(directory)
        try:
            shard = engine(lambda: files.open_shard(directory, dimensions))
        except StoreError:
            lock.close()
            raise
        return cls(shard, directory, dimensions, lock)

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Write chunks one by one: the engine shuffles what it gets at once, and in that order adds up BM25's terms.

        Readers have their turn in between.
        """
        require_finite(point.dense for point in points)
        for n, point in enumerate(points, 1):
            self._update(qe.UpdateOperation.upsert_points([_point(point)]))
            if n % _TURN == 0:
                await asyncio.sleep(0)

    async def describe(self, document: str, access: Access, category: str | None, updated: date | None) -> None:
        """Replace the access and metadata fields of one document's chunks."""
        chosen = qe.Filter(must=_document(access.tenant, document))
        self._update(qe.UpdateOperation.set_payload_by_filter(chosen, payload.description(access, category, updated)))

    async def delete(self, tenant: str, document: str, *, keep: str | None = None) -> int:
        """Remove a document's chunks but those of version `keep`; how many went."""
        kept = [] if keep is None else [_match(payload.VERSION, keep)]
        chosen = qe.Filter(must=_document(tenant, document), must_not=kept)
        going = self._count(chosen)
        self._update(qe.UpdateOperation.delete_points_by_filter(chosen))
        require_gone(self._count(chosen))
        self._gone += going
        return going

    async def score(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
        """Score both legs in one batch, then the cosine of what only BM25 found."""
        require_finite([query.dense])
        permitted, wanted = _permitted(access), _narrowed(access, narrowing)
        exact = qe.SearchParams(exact=True)
        scoped = qe.SearchParams(idf=qe.IdfParams(corpus=permitted))
        dense, sparse = self._query(
            qe.QueryRequest(query.limit, query=_nearest(query.dense, DENSE), filter=wanted, params=exact),
            qe.QueryRequest(query.limit, query=_nearest(_sparse(query.sparse), SPARSE), filter=wanted, params=scoped),
        )
        cosine = dict(dense)
        if missing := {chunk for chunk, _ in sparse if chunk not in cosine}:
            among = _permitted(access, qe.HasIdCondition(set(missing)))
            nearest = _nearest(query.dense, DENSE)
            (rest,) = self._query(qe.QueryRequest(len(missing), query=nearest, filter=among, params=exact))
            cosine.update(rest)
        return Legs(dense, sparse, cosine)

    async def fetch(self, chunks: Sequence[ChunkId], access: AccessFilter) -> Fetched:
        """Read chunks and check each."""
        wanted: list[int | UUID | str] = list(chunks)
        records = engine(lambda: self._shard.retrieve(wanted, with_payload=True, with_vector=False))
        return screen((payload.hit(cast("int", record.id), record.payload) for record in records), access)

    async def holds(self, tenant: str, document: str) -> int:
        """Chunks held of one document."""
        return self._count(qe.Filter(must=_document(tenant, document)))

    async def count(self) -> int:
        """All chunks held."""
        return self._count(None)

    async def verify(self, dimensions: int) -> None:
        """Opening checked the vectors that the shard was opened for."""
        if dimensions != self._dimensions:
            raise StoreError(f"the index holds vectors of {self._dimensions} dimensions, and not of {dimensions}")
        engine(lambda: files.require_indexes(self._shard))

    async def flush(self) -> None:
        """Make writes durable."""
        engine(self._shard.flush)

    async def optimize(self) -> None:
        """Merge segments; holds the GIL for seconds on a large index."""
        engine(self._shard.optimize)

    async def rewrite(self) -> str:
        """Copy what lives into a shard of its own, which takes the place of this one."""
        self._gone = 0  # also when it fails: it is not tried again at once
        await files.copy(self._shard, self._directory, self._dimensions)
        self._shard = engine(lambda: files.replace(self._shard, self._directory, self._dimensions))
        return f"{await self.count()} chunks copied into new files; the old payload storage and write-ahead log removed"

    async def tidy(self) -> bool:
        """The engine uses no place again, and merging segments gives none back."""
        if self._gone < _MANY or await self.count() > min(self._gone, _MOST):
            return False
        await self.rewrite()
        return True

    async def residue(self, needles: Sequence[bytes]) -> Residue:
        """Scan every file of the index; in a thread, as it takes a second a gigabyte."""
        return await asyncio.to_thread(_scan, self._directory, needles)

    async def close(self) -> None:
        """Flush and release the directory."""
        engine(self._shard.close)
        self._lock.close()

    def _count(self, chosen: qe.Filter | None) -> int:
        return engine(lambda: self._shard.count(qe.CountRequest(exact=True, filter=chosen)))

    def _update(self, operation: qe.UpdateOperation) -> None:
        engine(lambda: self._shard.update(operation))

    def _query(self, *requests: qe.QueryRequest) -> list[list[tuple[ChunkId, float]]]:
        answers = engine(lambda: self._shard.query_batch(qe.QueryBatchRequest(list(requests))))
        return [ranked(cast("list[tuple[ChunkId, float]]", [(hit.id, hit.score) for hit in hits])) for hits in answers]


def _scan(directory: Path, needles: Sequence[bytes]) -> Residue:
    try:
        return scan([path for path in directory.rglob("*") if path.is_file()], needles)
    except OSError as error:
        raise StoreError(f"index {directory.name!r} cannot be scanned: {error.strerror}") from error


@lru_cache(maxsize=_CONDITIONS)
def _match(key: str, value: str) -> Condition:
    return qe.FieldCondition(key=key, match=qe.MatchValue(value))


@lru_cache(maxsize=_CONDITIONS)
def _match_any(key: str, values: Collection[str]) -> Condition:
    return qe.FieldCondition(key=key, match=qe.MatchAny(sorted(values)))


def _document(tenant: str, document: str) -> list[Condition]:
    return [_match(payload.TENANT, tenant), _match(payload.DOCUMENT, document)]


def _permitted(access: AccessFilter, *narrower: Condition) -> qe.Filter:
    """The access filter with whatever narrows it further: conditions can only be ANDed, and it is always there.

    One flat filter: the engine plans nested ones worse.
    """
    return qe.Filter(
        must=[_match(payload.TENANT, access.tenant), _match_any(payload.ALLOW, access.grants), *narrower],
        must_not=[_match_any(payload.DENY, access.denied_as)],
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
        DENSE: point.dense,
        SPARSE: _sparse(point.sparse),
    }
    return qe.Point(point.id, vectors, payload.point_payload(point))
