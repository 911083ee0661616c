"""Answers go with the documents that they were made from, whichever process changes those."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.typing import EventDict

from gateway.cache.following import Following
from gateway.cache.memory_store import MemoryStore
from gateway.cache.store import ANY, CacheUnavailable, Kept
from retrieval.acl import Access
from retrieval.catalog import Catalog, Content, Document, Entry

STAFF = frozenset({"group:staff"})


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    async with Catalog.open(tmp_path / "catalog.db") as opened:
        yield opened


def entry(document: str, tenant: str = "acme", text: str = "words") -> Entry:
    return Entry(
        Document(document, f"sha256:{text}", document, document, None, None, None, Access(tenant, STAFF)),
        Content("parser", text, b"[]"),
        text.encode(),
    )


async def filled() -> MemoryStore:
    store = MemoryStore(1 << 20, now=lambda: 0.0)
    for tenant, document in (("acme", "a"), ("acme", "b"), ("other", "a")):
        await store.put(Kept(tenant, document, frozenset({document, ANY}), 60.0, b"words"))
    return store


async def test_what_changes_takes_its_answers_along(catalog: Catalog) -> None:
    await catalog.put([entry("a"), entry("b"), entry("a", "other")])
    store, gone = await filled(), list[int]()
    following = Following(catalog, store, gone.append, store.sweep)
    await following.look()
    assert (len(store), gone) == (3, []), "what was there before is no change"
    await catalog.grant("acme", "a", Access("acme", frozenset({"group:hr"})))
    await following.look()
    assert (len(store), gone) == (2, [1])
    assert await store.get("acme", "b") is not None
    await catalog.delete("other", "a")
    await catalog.put([entry("b", text="other words")])
    await following.look()
    assert (len(store), sum(gone)) == (0, 3)


async def test_a_tenants_first_document_is_a_change(catalog: Catalog) -> None:
    store, gone = await filled(), list[int]()
    following = Following(catalog, store, gone.append, store.sweep)
    await following.look()
    await catalog.put([entry("a")])
    await following.look()
    assert gone == [1]


class Away(MemoryStore):
    """Cannot be reached at first."""

    tries = 0

    async def purge(self, tenant: str, documents: object) -> int:
        self.tries += 1
        if self.tries < 3:
            raise CacheUnavailable("Redis does not answer: ConnectionError")
        return 1


async def test_what_could_not_be_let_go_of_is_tried_again(catalog: Catalog, logged: list[EventDict]) -> None:
    store, gone = Away(1 << 20), list[int]()
    following = Following(catalog, store, gone.append, store.sweep)
    await following.look()
    await catalog.put([entry("a")])
    for _ in range(2):
        with pytest.raises(CacheUnavailable):
            await following.look()
    await following.look()
    assert gone == [1]
