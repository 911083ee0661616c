"""An index version follows the catalog: from nothing, after a pause, after a crash, under another recipe."""

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from retrieval.acl import Access
from retrieval.building import build
from retrieval.catalog import Catalog, Content, Document
from retrieval.embed import Embedders, HashEmbedder
from retrieval.errors import IndexNotSealed, RecipeError, StoreError, StoreLocked
from retrieval.index import Chunker
from retrieval.live import LiveIndex, closing, silent
from retrieval.newdocument import NewDocument
from retrieval.opening import dormant, drop_index, open_live
from retrieval.preflight import Check, passed, preflight
from retrieval.stores.memory_store import MemoryStore
from tests.retrieval.shelf import ANA, HANNEKE, HR, RECIPE, STAFF, WIDER, Shelf, new, shelf

OTHER = Access("other", frozenset({"group:staff"}))


def corpus(count: int = 12) -> list[NewDocument]:
    access = (STAFF, HR, OTHER)
    return [new(f"doc-{n}.md", f"# Part {n}\n\nRefund rule {n}: {'word ' * 30}", access[n % 3]) for n in range(count)]


async def test_a_version_is_built_from_the_catalog_alone_and_finds_what_the_first_one_does(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(corpus())
        parsed = made.parser.parsed
        manifest, followed = await build(WIDER, made.place, made.catalog, made.parser, silent)
        assert (manifest.documents, followed.documents) == (12, 12)
        assert manifest.chunks < await made.index.store.count()
        assert manifest.watermark == {"acme": 8, "other": 4}
        assert made.parser.parsed == parsed
        wider = await open_live(WIDER, made.place, made.catalog)
        for who in (ANA, HANNEKE):
            assert await made.shown("refund rule", who, wider) == await made.shown("refund rule", who)
        await wider.close()


async def test_a_build_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(corpus())
        first = await open_live(WIDER, made.place, made.catalog, create=True)
        first.model = _Dying(after=1)
        with pytest.raises(RuntimeError, match="killed"):
            await first.follow()
        await first.close()
        _, followed = await build(WIDER, made.place, made.catalog, made.parser, silent)
        assert followed.documents == 4, "one tenant's documents were in"
        async with closing(await open_live(WIDER, made.place, made.catalog)) as again:
            assert passed(await preflight(again))


async def test_following_embeds_only_what_changed_and_hears_of_everything(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(corpus())
        await build(WIDER, made.place, made.catalog, made.parser, silent)
        await made.documents.put([new("doc-0.md", "# Part 0\n\nRefund rule: changed.")])
        await made.documents.grant("acme", "doc-3.md", HR)
        await made.documents.delete("acme", "doc-6.md")
        async with closing(await open_live(WIDER, made.place, made.catalog)) as wider:
            assert await wider.behind()
            followed = await wider.follow()
            assert (followed.documents, followed.embedded) == (3, 1)
            assert not await wider.behind()
            assert await made.shown("refund rule", ANA, wider) == {"doc-0.md", "doc-9.md"}
            assert await wider.store.holds("acme", "doc-6.md") == 0
            await wider.require_whole()


async def test_what_a_crash_left_half_written_is_mended_by_the_next_follow(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(corpus(3))
        (half,) = await made.index.prepare([await _stored(made, "acme", "doc-0.md")])
        await made.index.stage([half], {("acme", "doc-0.md"): half.document})
        await made.index.store.delete("acme", "doc-0.md")
        with pytest.raises(StoreError, match="twinpin index build"):
            await made.index.require_whole()
        await made.index.follow()
        await made.index.require_whole()
        assert await made.shown("refund rule") == {"doc-0.md"}


async def test_an_index_whose_files_are_gone_is_built_anew(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(corpus(3))
    shutil.rmtree(tmp_path / "indexes")
    async with shelf(tmp_path) as again:
        assert await again.shown("refund rule") == {"doc-0.md"}
        assert passed(await preflight(again.index))


async def test_an_unbuilt_a_foreign_and_a_locked_version_are_refused(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        with pytest.raises(IndexNotSealed, match="twinpin index build"):
            await open_live(WIDER, made.place, made.catalog)
        with pytest.raises(StoreLocked):
            await open_live(RECIPE, made.place, made.catalog)
        unknown = msgspec.structs.replace(RECIPE, chunker=Chunker("tree-9", 20, "heading"))
        with pytest.raises(RecipeError, match="tree-9"):
            await open_live(unknown, made.place, made.catalog, create=True)
        empty = msgspec.structs.replace(RECIPE, chunker=Chunker("tree-2", 20, "heading", {"csv": 0}))
        with pytest.raises(RecipeError, match="without room"):
            await open_live(empty, made.place, made.catalog, create=True)


async def test_a_dropped_version_leaves_nothing(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(corpus(3))
        await build(WIDER, made.place, made.catalog, made.parser, silent)
        assert [name for name, *_ in await dormant(made.place, made.catalog, [RECIPE.name])] == [WIDER.name]
        with pytest.raises(StoreLocked):
            await drop_index(RECIPE.name, made.place, made.catalog)
        await drop_index(WIDER.name, made.place, made.catalog)
        assert not made.place.folder(WIDER.name).exists()
        assert await made.catalog.manifest(WIDER.name) is None
        assert await made.catalog.held(WIDER.name) == {}
        assert await dormant(made.place, made.catalog, [RECIPE.name]) == []


async def test_a_version_that_is_closed_twice_gives_its_models_back_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[threading.Thread] = []
    monkeypatch.setattr(HashEmbedder, "close", lambda _: closed.append(threading.current_thread()))
    async with Catalog.open(tmp_path / "catalog.db") as catalog:
        embedders = Embedders()
        one, other = (LiveIndex(RECIPE, MemoryStore(), catalog, embedders=embedders) for _ in range(2))
        assert one.embedder is other.embedder
        await one.close()
        await one.close()
        assert closed == []
        await other.close()
        assert len(closed) == 1
        assert closed != [threading.current_thread()], "which may take a while"


async def test_the_preflight_catches_what_it_looks_for(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(corpus())
        assert passed(await preflight(made.index))
        store = made.index.store
        await store.describe("doc-1.md", Access("acme", frozenset({"group:staff", "group:hr"})), None, None)
        assert _failed(await preflight(made.index)) == {"shows nobody what is not theirs"}
        await store.describe("doc-1.md", HR, None, None)
        await store.delete("acme", "doc-0.md")
        assert "holds what the catalog noted" in _failed(await preflight(made.index))
        await made.catalog.grant("acme", "doc-3.md", HR)
        assert "has heard of every deletion and change of access" not in _failed(await preflight(made.index))
        await made.catalog.require("acme", await made.catalog.sequence("acme"))
        assert "has heard of every deletion and change of access" in _failed(await preflight(made.index))


async def test_the_preflight_tells_a_version_that_nothing_can_be_found_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shelf(tmp_path, msgspec.structs.replace(RECIPE, abstain_weakest=0.3)) as made:
        await made.documents.put(corpus())
        assert passed(await preflight(made.index))
        monkeypatch.setattr(HashEmbedder, "compares", property(lambda _: False))
        assert _failed(await preflight(made.index)) == {"can find as its recipe says"}


async def test_the_preflight_is_not_passed_by_showing_nothing_to_anybody(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put(corpus())
        assert passed(await preflight(made.index))
        for one in corpus():
            nobody = Access(one.access.tenant, frozenset())
            await made.index.store.describe(one.id, nobody, None, None)
        failed = [check.name for check in await preflight(made.index) if not check.passed]
        assert failed == ["shows nobody what is not theirs"]


async def test_two_writers_do_not_lose_each_others_documents(tmp_path: Path) -> None:
    async with shelf(tmp_path, RECIPE, WIDER) as made:
        await asyncio.gather(
            *(made.documents.put([one]) for one in corpus()),
            made.open.indexes[1].follow(),
            *(made.documents.put([new("same.md", f"Refund rule same {n}.")]) for n in range(5)),
        )
        await made.open.indexes[1].follow()
        for index in made.open.indexes:
            assert passed(await preflight(index))
        assert (await made.catalog.sequences())["acme"].value == 8 + 5


def _failed(checks: Sequence[Check]) -> set[str]:
    return {check.name for check in checks if not check.passed}


class _Dying(HashEmbedder):
    """An embedder whose process is killed after some batches."""

    def __init__(self, after: int) -> None:
        super().__init__(64)
        self._left = after

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if not self._left:
            raise RuntimeError("killed")
        self._left -= 1
        return super().embed(texts)


async def _stored(made: Shelf, tenant: str, name: str) -> tuple[Document, Content]:
    known = await made.catalog.get(tenant, name)
    assert known is not None
    content = await made.catalog.content(tenant, name, known.version, RECIPE.parser)
    assert content is not None
    return known, content
