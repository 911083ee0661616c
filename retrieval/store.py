"""The ChunkStore protocol: vectors and access fields of one index version; every read takes an AccessFilter.

A store holds no text. A chunk is a span of a document version, and the catalog alone turns it into words.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from retrieval.acl import Access, AccessFilter
from retrieval.errors import StoreError
from retrieval.fusion import ChunkId, Legs
from retrieval.residue import Residue


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Term ids and their weights, equally long."""

    indices: list[int]
    values: list[float]


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """Where a chunk's text is: code points `start` to `end` of the stored text of one document version.

    `header` is the first row of the table that it goes on with, empty where it holds that row itself or no table.
    """

    document: str
    version: str
    start: int
    end: int
    heading: tuple[str, ...]
    page: int | None
    header: str = ""


@dataclass(frozen=True, slots=True)
class ChunkPoint:
    """A chunk as it is written: its place, its document's access and metadata, and both vectors."""

    ref: ChunkRef
    access: Access
    category: str | None
    updated: date | None
    dense: list[float]
    sparse: SparseVector

    @property
    def id(self) -> ChunkId:
        """Derived from tenant, document, version and span, so that writing it again changes nothing."""
        ref = self.ref
        parts = (self.access.tenant, ref.document, ref.version, str(ref.start), str(ref.end))
        return int.from_bytes(hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class ChunkHit:
    """A chunk as it is read back, with the access fields the index holds, for the second check."""

    id: ChunkId
    ref: ChunkRef
    access: Access


@dataclass(frozen=True, slots=True)
class Fetched:
    """Chunks read back. `forbidden` counts those whose own access fields forbid the reader: any is an incident."""

    hits: tuple[ChunkHit, ...]
    forbidden: int


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A caller's own filter: it can only narrow. Another type than AccessFilter, so that it cannot replace it.

    `updated_after` and `updated_before` are inclusive; a document without the field never matches.
    """

    category: tuple[str, ...] = ()
    updated_after: date | None = None
    updated_before: date | None = None


@dataclass(frozen=True, slots=True)
class HybridQuery:
    """One question as both vectors; `limit` is per leg."""

    dense: list[float]
    sparse: SparseVector
    limit: int


class Searchable(Protocol):
    """What finding asks of a store. Errors: StoreError when it cannot answer."""

    async def score(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
        """Score both legs over permitted chunks only; BM25's statistics count permitted chunks only."""
        ...

    async def fetch(self, chunks: Sequence[ChunkId], access: AccessFilter) -> Fetched:
        """Read the named chunks, in any order, each checked in Python against its own access fields (`screen`)."""
        ...


class ChunkStore(Searchable, Protocol):
    """Vectors of one index version. Errors: StoreError when it cannot answer."""

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Write chunks; durable after `flush`."""
        ...

    async def describe(self, document: str, access: Access, category: str | None, updated: date | None) -> None:
        """Replace the access and metadata fields of all chunks of one document, without touching vectors."""
        ...

    async def delete(self, tenant: str, document: str, *, keep: str | None = None) -> int:
        """Remove a document's chunks, but not those of version `keep`; how many went."""
        ...

    async def holds(self, tenant: str, document: str) -> int:
        """Chunks held of one document, whatever their version and access."""
        ...

    async def count(self) -> int:
        """All chunks held, of every tenant."""
        ...

    async def verify(self, dimensions: int) -> None:
        """StoreError naming what does not fit: vectors of other dimensions, BM25 without IDF, a field without index."""
        ...

    async def flush(self) -> None:
        """Make every earlier write durable."""
        ...

    async def optimize(self) -> None:
        """Merge and index segments; may take seconds and belongs in a process that serves nobody."""
        ...

    async def rewrite(self) -> str:
        """Let go of the bytes of what was deleted; what was done, in words for a receipt.

        Nobody may write meanwhile; reads go on, and find the same before and after.
        """
        ...

    async def tidy(self) -> bool:
        """Rewrite once deleted chunks take much, and more than those that are held; whether it did.

        Nobody may write meanwhile; reads go on.
        """
        ...

    async def residue(self, needles: Sequence[bytes]) -> Residue:
        """How many of `needles` can still be read in the store's files."""
        ...

    async def close(self) -> None:
        """Flush and release the store."""
        ...


def screen(hits: Iterable[ChunkHit], access: AccessFilter) -> Fetched:
    """The second check: a store that returned a forbidden chunk is caught here, and nothing of the chunk goes on."""
    held = tuple(hits)
    permitted = tuple(hit for hit in held if access.permits(hit.access))
    return Fetched(permitted, len(held) - len(permitted))


def require_gone(left: int) -> None:
    """A deletion that leaves something behind is none."""
    if left:
        raise StoreError(f"{left} chunks are still there after their deletion: delete them again")


def require_finite(vectors: Iterable[Sequence[float]]) -> None:
    """Engines accept NaN and score it, so nothing with NaN or infinity may reach one."""
    if not all(math.isfinite(sum(vector)) for vector in vectors):
        raise StoreError("a vector holds NaN or infinity: the embedder is broken")
