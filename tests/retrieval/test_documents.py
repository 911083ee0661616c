"""Documents come, change, lose readers and go: what is acknowledged is true in every open index version."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrieval.acl import Access
from retrieval.catalog import Catalog
from retrieval.errors import CannotRevert, CatalogError, DocumentMissing, StoreError
from retrieval.store import ChunkStore
from tests.retrieval.shelf import HANNEKE, HR, RECIPE, STAFF, WIDER, new, shelf

REFUND, LATER = "Refunds are paid within 45 days.", "Refunds are paid within 30 days."


async def test_a_document_is_found_once_its_put_returns(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        (outcome,) = await made.documents.put([new("refunds.md", f"# Refunds\n\n{REFUND}\n")])
        (found,) = await made.find("refunds")
        known = await made.catalog.get("acme", "refunds.md")
        assert (outcome.status, outcome.chunks, outcome.sequence) == ("added", 1, 1)
        assert known is not None
        assert (known.version, known.title) == (outcome.version, "Refunds")
        assert REFUND in found.passage.text
        await made.index.require_whole()
        assert not await made.index.behind()


async def test_the_same_again_is_unchanged_and_costs_no_parsing(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND)])
        (outcome,) = await made.documents.put([new("a.md", REFUND)])
        assert (outcome.status, made.parser.parsed, made.index.embedded) == ("unchanged", 1, 1)


async def test_an_update_replaces_every_old_chunk(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", "\n\n".join(f"# Part {n}\n\n{REFUND} {'word ' * 15}" for n in range(9)))])
        (outcome,) = await made.documents.put([new("a.md", LATER)])
        texts = [found.passage.text for found in await made.find("refunds paid within days")]
        assert (outcome.status, texts) == ("updated", [LATER])
        assert await made.index.store.count() == 1


async def test_a_reader_sees_the_old_version_or_the_new_one_and_never_neither(tmp_path: Path) -> None:
    """Between every two steps of an update somebody asks."""
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND)])
        seen: list[list[str]] = []
        made.index.store = _Watched(made.index.store, lambda: made.find("refunds paid"), seen)
        await made.documents.put([new("a.md", LATER)])
        assert len(seen) >= 4
        assert all(texts in ([REFUND], [LATER]) for texts in seen)
        assert seen[0] == [REFUND]
        assert seen[-1] == [LATER]


async def test_a_change_of_access_embeds_nothing_and_is_true_everywhere_at_once(tmp_path: Path) -> None:
    async with shelf(tmp_path, RECIPE, WIDER) as made:
        await made.documents.put([new("a.md", REFUND)])
        await made.open.indexes[1].follow()
        embedded = [index.embedded for index in made.open.indexes]
        await made.documents.grant("acme", "a.md", HR)
        for index in made.open.indexes:
            assert await made.shown("refunds", index=index) == set()
            assert await made.shown("refunds", HANNEKE, index) == {"a.md"}
            assert await _carried(index.store, HANNEKE) == HR
        assert [index.embedded for index in made.open.indexes] == embedded
        assert (await made.catalog.sequences())["acme"].required == 2


async def test_granting_what_is_granted_does_not_pass_for_having_the_content(tmp_path: Path) -> None:
    """The other version has not followed yet: the change that gave access is the one that brought the document."""
    async with shelf(tmp_path, RECIPE, WIDER) as made:
        await made.documents.put([new("a.md", REFUND)])
        await made.documents.grant("acme", "a.md", STAFF)
        _, wider = made.open.indexes
        await wider.follow()
        assert await made.shown("refunds", index=wider) == {"a.md"}


async def test_a_change_by_another_process_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite nothing keeps two processes from writing: each counts its own changes alone as taken."""
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND), new("b.md", REFUND)])
        for change in ("grant", "put"):
            real = getattr(made.catalog, change)

            async def both(*args: Any, real: Any = real, **named: Any) -> Any:
                await elsewhere.grant("acme", "b.md", HR if real.__name__ == "grant" else STAFF)
                return await real(*args, **named)

            async with Catalog.open(tmp_path / "catalog.db") as elsewhere:
                with monkeypatch.context() as racing:
                    racing.setattr(made.catalog, change, both)
                    if change == "grant":
                        await made.documents.grant("acme", "a.md", HR)
                    else:
                        await made.documents.put([new("a.md", LATER, HR)])
            assert await made.index.behind(), change
            await made.index.follow()


async def test_a_deletion_is_counted_probed_and_true_everywhere_at_once(tmp_path: Path) -> None:
    async with shelf(tmp_path, RECIPE, WIDER) as made:
        await made.documents.put([new("a.md", f"# One\n\n{REFUND} {'word ' * 20}\n\n# Two\n\n{LATER} {'word ' * 20}")])
        await made.open.indexes[1].follow()
        gone = await made.documents.delete("acme", "a.md")
        assert gone.chunks >= 2
        for index in made.open.indexes:
            assert await index.store.holds("acme", "a.md") == 0
            assert await made.shown("refunds", index=index) == set()
        with pytest.raises(DocumentMissing):
            await made.documents.delete("acme", "a.md")
        assert await made.catalog.history("acme", "a.md") == []


async def test_what_a_deleted_document_had_replaced_answers_again_and_is_named(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("old.md", REFUND), new("new.md", LATER, supersedes="old.md")])
        assert await made.shown("refunds paid") == {"new.md"}
        gone = await made.documents.delete("acme", "new.md")
        assert gone.restored == ["old.md"]
        assert await made.shown("refunds paid") == {"old.md"}


async def test_access_taken_away_while_content_was_on_its_way_stays_taken_away(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND, Access("acme", frozenset({"group:staff", "group:hr"})))])
        handed_in = {"acme": await made.catalog.sequence("acme")}
        await made.documents.grant("acme", "a.md", HR)
        await made.documents.put([new("a.md", LATER)], accepted=handed_in)
        await made.documents.put([new("a.md", LATER)], accepted=handed_in)
        assert await made.shown("refunds") == set()
        assert await made.shown("refunds", HANNEKE) == set()


async def test_a_document_deleted_while_content_was_on_its_way_stays_deleted(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND)])
        handed_in = {"acme": await made.catalog.sequence("acme")}
        await made.documents.delete("acme", "a.md")
        (outcome,) = await made.documents.put([new("a.md", LATER)], accepted=handed_in)
        assert (outcome.status, outcome.code) == ("refused", "changed_meanwhile")
        assert await made.shown("refunds") == set()
        (again,) = await made.documents.put([new("a.md", LATER)])
        assert again.status == "added"


async def test_one_refused_document_holds_up_none_of_the_others(tmp_path: Path) -> None:
    nobody, wrong = Access("acme", frozenset()), Access("acme", frozenset({"staff"}))
    handed_in = [
        new("a.md", REFUND),
        new("nobody.md", REFUND, nobody),
        new("wrong.md", REFUND, wrong),
        new("self.md", REFUND, supersedes="self.md"),
        new("../escape.md", REFUND),
        new("broken.pdf", "this is no PDF"),
        new("link.md", REFUND, source="javascript:alert(1)"),
        new("back.md", REFUND, source="/\\a.example/x"),
        new("b.md", LATER),
    ]
    async with shelf(tmp_path) as made:
        outcomes = await made.documents.put(handed_in)
        statuses = [outcome.status for outcome in outcomes]
        assert statuses == ["added", *["refused"] * 4, "failed", *["refused"] * 2, "added"]
        assert all(outcome.reason for outcome in outcomes[1:8])
        assert await made.shown("refunds") == {"a.md", "b.md"}


async def test_a_document_belongs_to_the_source_it_came_from(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND, origin="handbook")])
        (outcome,) = await made.documents.put([new("a.md", LATER)])
        assert (outcome.status, outcome.code) == ("refused", "origin_conflict")
        assert [one.id for one in await made.documents.known("handbook")] == ["a.md"]


async def test_a_document_handed_in_twice_at_once_ends_as_the_later_one(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        outcomes = await made.documents.put([new("a.md", REFUND), new("b.md", "Else."), new("a.md", LATER)])
        assert {outcome.status for outcome in outcomes} == {"added", "updated"}
        assert next(found.passage.text for found in await made.find("refunds")) == LATER


async def test_reverting_restores_content_under_the_access_of_now(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND, title="First")])
        await made.documents.put([new("a.md", LATER, title="Second")])
        await made.documents.grant("acme", "a.md", HR)
        outcome = await made.documents.revert("acme", "a.md")
        (found,) = await made.find("refunds", HANNEKE)
        assert outcome.status == "updated"
        assert (found.passage.text, found.passage.title) == (REFUND, "First")
        assert await made.shown("refunds") == set()
        (again,) = await made.documents.put([new("a.md", LATER, HR, title="Second")])
        assert again.status == "updated"


async def test_a_deletion_is_never_reverted_nor_what_was_before_it(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND)])
        await made.documents.delete("acme", "a.md")
        with pytest.raises(DocumentMissing):
            await made.documents.revert("acme", "a.md")
        await made.documents.put([new("a.md", LATER)])
        with pytest.raises(CannotRevert):
            await made.documents.revert("acme", "a.md")


async def test_reverting_an_ingestion_leaves_what_was_new_or_changed_since(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND), new("b.md", REFUND)])
        await made.documents.put([new(name, LATER) for name in ("a.md", "b.md", "c.md")], ingestion="ing_1")
        await made.documents.put([new("b.md", "Refunds are gone.")])
        outcomes = {one.document: one for one in await made.documents.revert_ingestion("acme", "ing_1")}
        assert outcomes["a.md"].status == "updated"
        assert [outcomes[name].code for name in ("b.md", "c.md")] == ["cannot_revert"] * 2
        assert {found.passage.text for found in await made.find("refunds")} >= {REFUND, LATER, "Refunds are gone."}


async def test_a_change_that_an_index_could_not_take_is_finished_by_asking_again(tmp_path: Path) -> None:
    """The catalog went first: nobody is shown the document, though the change was not acknowledged."""
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND)])
        store = made.index.store
        made.index.store = _Broken(store)
        with pytest.raises(StoreError):
            await made.documents.delete("acme", "a.md")
        made.index.store = store
        assert await made.shown("refunds") == set()
        assert await store.holds("acme", "a.md") == 1
        assert (await made.documents.delete("acme", "a.md")).chunks == 1
        with pytest.raises(DocumentMissing):
            await made.documents.delete("acme", "a.md")


@pytest.mark.parametrize("before", [None, "An older text."])
@pytest.mark.parametrize("after", [LATER, "An older text."])
async def test_chunks_that_the_catalog_never_named_leave_with_the_next_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    """They were durable when the catalog failed; a version that holds more than is noted would not open again."""

    async def gone(*_: object, **__: object) -> None:
        raise CatalogError("the catalog database does not answer")

    async with shelf(tmp_path) as made:
        if before is not None:
            await made.documents.put([new("a.md", before)])
        with monkeypatch.context() as broken:
            broken.setattr(made.catalog, "put", gone)
            with pytest.raises(CatalogError):
                await made.documents.put([new("a.md", f"# One\n\n{REFUND}\n\n# Two\n\n{'word ' * 40}")])
        (outcome,) = await made.documents.put([replace(new("a.md", after), category="policy")])
        assert outcome.status == ("updated" if before else "added")
        await made.index.require_whole()
        assert {found.passage.text for found in await made.find("refunds text")} == {after}


async def test_new_dates_and_categories_are_told_without_embedding(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", REFUND)])
        (outcome,) = await made.documents.put([replace(new("a.md", REFUND), category="policy")])
        (found,) = await made.find("refunds")
        assert (outcome.status, found.passage.category, made.index.embedded) == ("updated", "policy", 1)


class _Watched:
    """Asks a question before and after every call to a store."""

    def __init__(self, inner: ChunkStore, ask: Any, seen: list[list[str]]) -> None:
        self._inner, self._ask, self._seen, self._asking = inner, ask, seen, False

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if name == "close":
            return call

        async def watched(*args: Any, **named: Any) -> Any:
            if self._asking:
                return await call(*args, **named)
            await self._look()
            result = await call(*args, **named)
            await self._look()
            return result

        return watched

    async def _look(self) -> None:
        self._asking = True
        self._seen.append([found.passage.text for found in await self._ask()])
        self._asking = False


class _Broken:
    """A store that takes nothing away."""

    def __init__(self, inner: ChunkStore) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "delete":
            raise StoreError("the vector store does not answer")
        return getattr(self._inner, name)


async def _carried(store: ChunkStore, who: Any) -> Access:
    """The access that an index's own chunks of the one document carry."""
    from retrieval.acl import access_filter
    from retrieval.embed import HashEmbedder
    from retrieval.sparse import Bm25Encoder
    from retrieval.store import HybridQuery, Narrowing

    query = HybridQuery(HashEmbedder(64).embed(["refunds"])[0], Bm25Encoder(RECIPE.bm25).query("refunds"), 10)
    legs = await store.score(query, access_filter(who), Narrowing())
    (hit,) = (await store.fetch([chunk for chunk, _ in legs.dense], access_filter(who))).hits
    assert STAFF.tenant == hit.access.tenant
    return hit.access
