"""The catalog alone decides which passages exist, are current and may be seen."""

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import pytest

from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.catalog import Catalog, Content, Document, Indexed
from retrieval.errors import CatalogError
from retrieval.outline import Place
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
    with pytest.raises(CatalogError, match=r"'catalog\.db' has schema 99"):
        async with Catalog.open(path):
            pass


def test_two_processes_may_make_a_catalog_at_once(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from retrieval.catalog import Catalog\n"
        "async def make(path):\n"
        "    async with Catalog.open(path) as catalog: await catalog.check()\n"
        "sys.stdin.read()\n"
        "for name in range(20): asyncio.run(make(Path(sys.argv[1]) / f'{name}.db'))\n"
    )
    making = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for one in making:
        assert one.stdin is not None
        one.stdin.close()
        one.stdin = None
    assert [one.communicate()[1] for one in making] == [b"", b""]


async def test_a_catalog_whose_making_died_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.db"
    with monkeypatch.context() as patch:
        patch.setattr("retrieval.catalog._SCHEMA", "no number")
        with pytest.raises(CatalogError, match=r"'catalog\.db' does not answer"):
            async with Catalog.open(path):
                pass
    async with Catalog.open(path) as catalog:
        await catalog.put(PAGE, CONTENT)
        assert await read(catalog, ref(0, 5)) == ["Grüße"]


async def test_origins_are_kept_and_told(catalog: Catalog) -> None:
    await catalog.put(replace(PAGE, origin="handbook"), CONTENT)
    await catalog.put(replace(PAGE, access=replace(STAFF, tenant="other"), origin="wiki"), CONTENT)
    assert await catalog.origins() == {("acme", "doc"): "handbook", ("other", "doc"): "wiki"}


BLOCKS = [
    {"kind": "heading", "start": 0, "end": 5, "heading": ["Grüße"], "page": 1},
    {"kind": "paragraph", "start": 8, "end": 20, "heading": ["Grüße"], "page": 1},
    {"kind": "paragraph", "start": 22, "end": 39, "heading": ["Grüße", "More"], "page": 2},
]


async def test_passages_say_where_their_words_stand(catalog: Catalog) -> None:
    await catalog.put(PAGE, replace(CONTENT, blocks=msgspec.json.encode(BLOCKS)))
    await catalog.put(replace(PAGE, id="plain"), replace(CONTENT, blocks=b""))
    refs = [ref(0, 5, document="plain"), ref(10, 39), ref(20, 39), ref(22, 39)]
    passages = await catalog.read(refs, reader("staff"), "blocks-1")
    first, second = Place(10, ("Grüße",), 1), Place(22, ("Grüße", "More"), 2)
    assert [one.places for one in passages] == [(), (first, second), (replace(first, start=20), second), (second,)]


@pytest.mark.parametrize("blocks", [b"[{", b"{}", b'[{"start": 0}]', b'[{"start": "0", "heading": [], "page": null}]'])
async def test_damaged_blocks_are_a_catalog_error(catalog: Catalog, blocks: bytes) -> None:
    await catalog.put(PAGE, replace(CONTENT, blocks=blocks))
    with pytest.raises(CatalogError, match="ingest the document again"):
        await catalog.read([ref(0, 5)], reader("staff"), "blocks-1")


async def test_a_catalog_that_lost_a_table_is_not_ready(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    async with Catalog.open(path) as catalog:
        await catalog.check()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TABLE contents")
        with pytest.raises(CatalogError):
            await catalog.check()
