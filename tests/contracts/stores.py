"""Stores to test with: every kind behind one opener, and the small chunks, callers and questions that go in."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest

from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.store import ChunkPoint, ChunkRef, ChunkStore, HybridQuery, Narrowing, SparseVector
from retrieval.stores.edge_store import EdgeStore
from retrieval.stores.memory_store import MemoryStore
from retrieval.stores.qdrant_store import QdrantStore
from tests.contracts.qdrant_double import running

DIMENSIONS = 8
ANYTHING = Narrowing()
QUIET = [  # what local mode says of itself, and the client of a key sent in clear to a server on the same machine
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning"),
    pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection:UserWarning"),
]
LIVE, LIVE_KEY = os.environ.get("TWINPIN_TEST_QDRANT_URL"), os.environ.get("TWINPIN_TEST_QDRANT_KEY")
_NO_SERVER = pytest.mark.skipif(not LIVE, reason="TWINPIN_TEST_QDRANT_URL names no Qdrant server (its gRPC port)")
KINDS = ["memory", "edge", "local", "double", pytest.param("server", marks=_NO_SERVER)]


@asynccontextmanager
async def opened(kind: str, tmp_path: Path) -> AsyncIterator[ChunkStore]:
    """An empty store: "double" is a server's wire format over local mode, "server" is a real server."""
    async with AsyncExitStack() as stack:
        if kind in ("memory", "edge"):
            made = MemoryStore() if kind == "memory" else EdgeStore.open(tmp_path / "idx", DIMENSIONS)
            stack.push_async_callback(made.close)
            yield made
        else:
            url = (await stack.enter_async_context(running())).url if kind == "double" else LIVE or ":memory:"
            yield await stack.enter_async_context(_remote(":memory:" if kind == "local" else url))


@asynccontextmanager
async def _remote(url: str) -> AsyncIterator[QdrantStore]:
    """A collection of its own, that is dropped at the end."""
    made = await QdrantStore.open(url, f"test-{uuid4().hex}", DIMENSIONS, LIVE_KEY)
    try:
        yield made
    finally:
        await made.drop()
        await made.close()


def reader(tenant: str, *groups: str, subject: str = "u") -> AccessFilter:
    return access_filter(Principal(tenant, subject, frozenset(groups), frozenset()))


def point(
    document: str,
    access: Access,
    *,
    words: tuple[int, ...] = (1,),
    start: int = 0,
    version: str = "sha256:1",
    category: str | None = None,
    updated: date | None = None,
) -> ChunkPoint:
    dense = [0.0] * DIMENSIONS
    for word in words:
        dense[word % DIMENSIONS] += 1.0
    ref = ChunkRef(document, version, start, start + 10, ("Heading", "Deeper"), 3)
    return ChunkPoint(ref, access, category, updated, dense, SparseVector(list(words), [1.0] * len(words)))


def asks(*words: int, limit: int = 10) -> HybridQuery:
    dense = [0.001] * DIMENSIONS
    for word in words:
        dense[word % DIMENSIONS] += 1.0
    return HybridQuery(dense, SparseVector(list(words), [1.0] * len(words)), limit)


STAFF = Access("acme", frozenset({"group:staff"}))
HR = Access("acme", frozenset({"group:hr"}))
OTHER = Access("other", frozenset({"group:staff"}))


async def found(
    store: ChunkStore, query: HybridQuery, access: AccessFilter, narrowing: Narrowing = ANYTHING
) -> set[str]:
    legs = await store.score(query, access, narrowing)
    ids = {chunk for chunk, _ in (*legs.dense, *legs.sparse)}
    assert ids == set(legs.cosine)
    fetched = await store.fetch(list(ids), access)
    assert fetched.forbidden == 0
    return {hit.ref.document for hit in fetched.hits}
