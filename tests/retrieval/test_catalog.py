"""The catalog alone decides which passages exist, are current and may be seen."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.catalog import Catalog, Content, Document, Indexed
from retrieval.errors import CatalogError
from retrieval.store import ChunkRef

TEXT = "Grüße 👋 from the handbook.\nSecond line."
STAFF = Access("acme", frozenset({"group:staff"}))
PAGE = Document("doc", "sha256:1", "Handbook", "doc.md", "handbook", date(2026, 1, 2), None, STAFF)
CONTENT = Content("blocks-1", TEXT, b"[]")


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    async with Catalog.open(tmp_path / "catalog.db") as opened:
        yield opened


def reader(*groups: str, tenant: str = "acme") -> AccessFilter:
    return access_filter(Principal(tenant, "u", frozenset(groups), frozenset()))


def ref(start: int, end: int, *, document: str = "doc", version: str = "sha256:1") -> ChunkRef:
    return ChunkRef(document, version, start, end, (), None)


async def read(catalog: Catalog, *refs: ChunkRef, access: AccessFilter | None = None) -> list[str]:
    return [one.text for one in await catalog.read(refs, access or reader("staff"), "blocks-1")]


async def test_spans_are_code_points_and_order_is_kept(catalog: Catalog) -> None:
    await catalog.put(PAGE, CONTENT)
    assert await read(catalog, ref(27, 39), ref(0, 7), ref(6, 7)) == [TEXT[27:39], "Grüße 👋", "👋"]
    (passage,) = await catalog.read([ref(0, 5)], reader("staff"), "blocks-1")
    assert (passage.title, passage.category, passage.updated) == ("Handbook", "handbook", date(2026, 1, 2))


async def test_the_catalogs_access_decides(catalog: Catalog) -> None:
    await catalog.put(PAGE, CONTENT)
    assert await read(catalog, ref(0, 5), access=reader("hr")) == []
    assert await read(catalog, ref(0, 5), access=reader("staff", tenant="other")) == []
    await catalog.describe(replace(PAGE, access=replace(STAFF, deny=frozenset({"user:u"}))))
    assert await read(catalog, ref(0, 5)) == []


async def test_only_the_current_version_is_shown(catalog: Catalog) -> None:
    await catalog.put(PAGE, CONTENT)
    await catalog.put(replace(PAGE, version="sha256:2"), replace(CONTENT, text="new"))
    assert await read(catalog, ref(0, 3), ref(0, 3, version="sha256:2")) == ["new"]
    assert await catalog.text("acme", "doc", "sha256:1", "blocks-1") == TEXT


async def test_a_superseded_document_does_not_answer(catalog: Catalog) -> None:
    await catalog.put(PAGE, CONTENT)
    await catalog.put(replace(PAGE, id="newer", supersedes="doc"), CONTENT)
    assert await read(catalog, ref(0, 5), ref(0, 5, document="newer")) == ["Grüße"]
    await catalog.put(replace(PAGE, id="elsewhere", supersedes="newer", access=replace(STAFF, tenant="other")), CONTENT)
    assert await read(catalog, ref(0, 5, document="newer")) == ["Grüße"], "another tenant's document supersedes nothing"


async def test_unknown_documents_and_other_parsers_give_nothing(catalog: Catalog) -> None:
    await catalog.put(PAGE, CONTENT)
    assert await read(catalog, ref(0, 5, document="gone")) == []
    assert await catalog.read([ref(0, 5)], reader("staff"), "blocks-2") == []
    assert await catalog.read([], reader("staff"), "blocks-1") == []


async def test_every_change_raises_its_tenants_sequence(catalog: Catalog) -> None:
    await catalog.put(PAGE, CONTENT)
    await catalog.describe(PAGE)
    await catalog.put(replace(PAGE, access=replace(STAFF, tenant="other")), CONTENT)
    assert await catalog.watermark() == {"acme": 2, "other": 1}


async def test_what_an_index_holds_is_remembered_until_forgotten(catalog: Catalog) -> None:
    await catalog.mark_indexed("idx", "acme", "doc", Indexed("d", 3, 120.0))
    await catalog.mark_indexed("idx", "acme", "doc", Indexed("e", 4, 130.0))
    await catalog.mark_indexed("idx-2", "acme", "doc", Indexed("e", 4, 130.0))
    assert await catalog.indexed("idx") == {("acme", "doc"): Indexed("e", 4, 130.0)}
    await catalog.forget_index("idx")
    assert (await catalog.indexed("idx"), len(await catalog.indexed("idx-2"))) == ({}, 1)


async def test_a_broken_database_is_a_catalog_error(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"this is no database, and it is long enough to be looked at" * 20)
    with pytest.raises(CatalogError, match="catalog database"):
        async with Catalog.open(tmp_path / "catalog.db"):
            pass


async def test_a_catalog_of_another_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    async with Catalog.open(path) as catalog:
        await catalog.put(PAGE, CONTENT)
    async with Catalog.open(path) as catalog:
        assert await read(catalog, ref(0, 5)) == ["Grüße"]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(CatalogError, match="schema 99"):
        async with Catalog.open(path):
            pass
