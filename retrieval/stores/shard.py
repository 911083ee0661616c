"""The files of one embedded shard: made whole or not at all, replaced whole or not at all, owned by one process."""

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TypeAlias, TypeVar, cast

import qdrant_edge as qe

from retrieval.durable import sync_folder
from retrieval.errors import StoreError, StoreLocked
from retrieval.fusion import ChunkId
from retrieval.stores import payload

DENSE, SPARSE = "dense", "bm25"
# A shard is made as a draft, and has taken its place under its own name. One that replaces another waits as `next` once
# it is whole, while the other steps aside to `past`: whenever this dies, `open_shard` finds a whole one.
_SHARD, _DRAFT, _NEXT, _PAST = "shard", "shard.draft", "shard.next", "shard.past"
_SEGMENTS = "segments"  # of a shard, a folder for each
_BATCH, _PAGE = 256, 2_000
_Placed: TypeAlias = tuple[payload.Place, ChunkId]
Answer = TypeVar("Answer")


def engine(call: Callable[[], Answer]) -> Answer:
    """The engine raises plain Exception for everything, so this is the one place that may catch it."""
    try:
        return call()
    except Exception as error:
        raise StoreError(f"the embedded engine refused: {error}") from error


def lock(directory: Path) -> IO[str]:
    """Own the directory until the file returned is closed; StoreLocked when another process does."""
    directory.mkdir(parents=True, exist_ok=True)
    held = (directory / "lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        held.close()
        raise StoreLocked(
            f"index {directory.name!r} is open in another process (a running gateway or ingestion): stop it first"
        ) from error
    return held


def open_shard(directory: Path, dimensions: int) -> qe.EdgeShard:
    """The shard of an owned directory, made if there is none; Exception when it holds other vectors than asked for."""
    _settle(directory)
    if not (directory / _SHARD).exists():
        _draft(directory, dimensions).close()
        _move(directory, _DRAFT, _SHARD)
    return _load(directory, dimensions)


def made_for(directory: Path) -> int | None:
    """Dimensions of the vectors that a directory's shard was made for; None where no shard was ever finished."""
    for name in (_SHARD, _NEXT):
        if (config := directory / name / "edge_config.json").exists():
            return int(json.loads(config.read_bytes())["vectors"][DENSE]["size"])
    return None


async def copy(shard: qe.EdgeShard, directory: Path, dimensions: int) -> None:
    """Write every live point into a new shard, in batches between which others have their turn.

    Neighbours in a document become neighbours on disk: in the order of their ids, a search takes nearly twice as long.
    """
    draft = engine(lambda: _draft(directory, dimensions))
    try:
        order = await _order(shard)
        for start in range(0, len(order), _BATCH):
            engine(partial(_copy_batch, shard, draft, order[start : start + _BATCH]))
            await asyncio.sleep(0)
        engine(draft.flush)
        _require_whole(_held(shard), _held(draft))
    except BaseException:
        engine(draft.close)
        shutil.rmtree(directory / _DRAFT, ignore_errors=True)  # maybe for want of room
        raise
    engine(draft.close)


def replace(shard: qe.EdgeShard, directory: Path, dimensions: int) -> qe.EdgeShard:
    """Close a shard and put its copy in its place; nothing of the old one is left."""
    _move(directory, _DRAFT, _NEXT)
    shard.close()
    _move(directory, _SHARD, _PAST)
    _move(directory, _NEXT, _SHARD)
    _settle(directory)
    return _load(directory, dimensions)


def require_indexes(shard: qe.EdgeShard) -> None:
    """StoreError when a field that filters read has no payload index, or the tenant's is not marked as such."""
    schema = shard.info().payload_schema
    if missing := {payload.TENANT, payload.UPDATED, *payload.KEYWORDS} - schema.keys():
        raise StoreError(f"the shard has no payload index on {', '.join(sorted(missing))}: build the index anew")
    if not getattr(schema[payload.TENANT].params, "is_tenant", False):
        raise StoreError(f"the shard's payload index on {payload.TENANT!r} is not a tenant index: build the index anew")


def _settle(directory: Path) -> None:
    """Finish what was begun: a copy that had its place cleared takes it, and whatever else lies about goes."""
    if (directory / _NEXT).exists() and not (directory / _SHARD).exists():
        _move(directory, _NEXT, _SHARD)
    for leftover in (_DRAFT, _NEXT, _PAST):
        if (directory / leftover).exists():
            shutil.rmtree(directory / leftover)
    sync_folder(directory)


def _move(directory: Path, name: str, to: str) -> None:
    (directory / name).rename(directory / to)
    sync_folder(directory)


def _load(directory: Path, dimensions: int) -> qe.EdgeShard:
    place = directory / _SHARD
    return qe.EdgeShard.load(str(place), _config(dimensions, _threads(len(list((place / _SEGMENTS).iterdir())))))


def _threads(segments: int) -> int:
    """One for each segment but the last, which is small: of a single one the engine searches in the caller's thread.

    Handing a search of some thousand chunks to another thread and back takes a tenth of its time.
    """
    return max(1, min(segments - 1, os.cpu_count() or 1))


def _config(dimensions: int, threads: int = 1) -> qe.EdgeConfig:
    return qe.EdgeConfig(
        max_search_threads=threads,
        vectors={DENSE: qe.EdgeVectorParams(size=dimensions, distance=qe.Distance.Cosine)},
        sparse_vectors={SPARSE: qe.EdgeSparseVectorParams(modifier=qe.Modifier.Idf)},
        hnsw_config=qe.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000),
    )


def _draft(directory: Path, dimensions: int) -> qe.EdgeShard:
    """An empty shard, not yet under its name, with its configuration and all its payload indexes."""
    path = directory / _DRAFT
    if path.exists():
        shutil.rmtree(path)
    path.mkdir()
    shard = qe.EdgeShard.create(str(path), _config(dimensions))
    tenant = qe.KeywordIndexParams(is_tenant=True)
    shard.update(qe.UpdateOperation.create_field_index(payload.TENANT, tenant))
    for field in payload.KEYWORDS:
        shard.update(qe.UpdateOperation.create_field_index(field, qe.PayloadSchemaType.Keyword))
    shard.update(qe.UpdateOperation.create_field_index(payload.UPDATED, qe.PayloadSchemaType.Datetime))
    return shard


async def _order(shard: qe.EdgeShard) -> list[ChunkId]:
    """All points, by tenant, document, version and place in it."""
    found, following = engine(partial(_page, shard, None))
    while following is not None:
        await asyncio.sleep(0)
        page, following = engine(partial(_page, shard, following))
        found += page
    return [chunk for _, chunk in sorted(found)]


def _page(shard: qe.EdgeShard, offset: ChunkId | None) -> tuple[list[_Placed], ChunkId | None]:
    request = qe.ScrollRequest(offset=offset, limit=_PAGE, with_payload=list(payload.PLACE))
    records, following = shard.scroll(request)
    placed = [(payload.place(record.payload), cast("ChunkId", record.id)) for record in records]
    return placed, cast("ChunkId | None", following)


def _copy_batch(shard: qe.EdgeShard, draft: qe.EdgeShard, chosen: Sequence[ChunkId]) -> None:
    held = {record.id: record for record in shard.retrieve(list(chosen), with_payload=True, with_vector=True)}
    for chunk in chosen:
        point = qe.Point(chunk, held[chunk].vector or {}, held[chunk].payload)
        draft.update(qe.UpdateOperation.upsert_points([point]))


def _held(shard: qe.EdgeShard) -> int:
    return engine(lambda: shard.count(qe.CountRequest(exact=True)))


def _require_whole(held: int, copied: int) -> None:
    if held != copied:
        raise StoreError(f"the copy of a shard holds {copied} chunks and not {held}: somebody wrote meanwhile")
