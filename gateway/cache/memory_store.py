"""Answers in this process: those last asked for, within a number of bytes, and none beyond its time."""

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import TypeAlias

from gateway.cache.store import Kept
from retrieval.residue import Residue

_AROUND = 1_024  # bytes of Python's around an answer, and around each document that it is found by
_FEW = 64
_Key: TypeAlias = tuple[str, str]  # a tenant, and the name of an answer or a document of theirs


class MemoryStore:
    """Gives up first what was not asked for the longest."""

    def __init__(self, most: int, *, now: Callable[[], float] = time.time) -> None:
        """`most` is in bytes, of all answers together."""
        self._most = most
        self._now = now
        self._held: OrderedDict[_Key, Kept] = OrderedDict()
        self._by_document: dict[_Key, set[_Key]] = {}
        self._ends: list[tuple[float, _Key]] = []
        self.bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._held)

    async def get(self, tenant: str, name: str) -> Kept | None:
        kept = self._held.get((tenant, name))
        if kept is None or kept.until <= self._now():
            return None
        self._held.move_to_end((tenant, name))
        return kept

    async def put(self, kept: Kept) -> None:
        key = kept.tenant, kept.name
        self._drop(key)
        self.sweep()
        size = _size(kept)
        if size > self._most:
            return
        while self.bytes + size > self._most:
            self._drop(next(iter(self._held)))
            self.evicted += 1
        self._held[key] = kept
        self.bytes += size
        for document in kept.documents:
            self._by_document.setdefault((kept.tenant, document), set()).add(key)
        self._ends_at(key, kept.until)

    async def drop(self, tenant: str, name: str) -> None:
        self._drop((tenant, name))

    async def purge(self, tenant: str, documents: Collection[str]) -> int:
        found = set[_Key]().union(*(self._by_document.get((tenant, document), ()) for document in documents))
        for key in found:
            self._drop(key)
        return len(found)

    async def residue(self, tenant: str, needles: Collection[bytes]) -> Residue:
        held = [one.value for one in self._held.values() if one.tenant == tenant]
        found = sum(any(needle in value for value in held) for needle in set(needles))
        return Residue(sum(map(len, held)), found)

    async def close(self) -> None:
        """There is nothing to finish."""

    def sweep(self) -> None:
        """Let go of what nobody may be given any more."""
        now = self._now()
        while self._ends and self._ends[0][0] <= now:
            _, key = heapq.heappop(self._ends)
            kept = self._held.get(key)
            if kept is not None and kept.until <= now:
                self._drop(key)

    def _ends_at(self, key: _Key, until: float) -> None:
        """Ends of what is gone already are left where they are, until they are most of them."""
        heapq.heappush(self._ends, (until, key))
        if len(self._ends) > 2 * len(self._held) + _FEW:
            self._ends = [(one.until, held) for held, one in self._held.items()]
            heapq.heapify(self._ends)

    def _drop(self, key: _Key) -> None:
        kept = self._held.pop(key, None)
        if kept is None:
            return
        self.bytes -= _size(kept)
        for document in kept.documents:
            filed = self._by_document[kept.tenant, document]
            filed.discard(key)
            if not filed:
                del self._by_document[kept.tenant, document]


def _size(kept: Kept) -> int:
    return len(kept.value) + _AROUND * (1 + len(kept.documents))
