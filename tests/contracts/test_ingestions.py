"""What was accepted waits durably until it is settled, on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest

from retrieval.catalog import Catalog
from retrieval.sql.ingestions import Ingestions, Item, ItemState, Settled, new_id
from tests.contracts.documents import entry, page


@pytest.fixture
def ingestions(catalog: Catalog) -> Ingestions:
    return Ingestions(catalog)


async def test_what_was_accepted_waits_in_turn_until_it_is_settled(ingestions: Ingestions) -> None:
    first = await ingestions.accept("acme", "user:u", [("a", b"1"), ("b", b"2")])
    second = await ingestions.accept("other", "user:v", [("a", b"3")])
    one, three, two = await ingestions.waiting(10)
    assert [one, two] == [Item(first, 0, "acme", "a", b"1", 0), Item(first, 1, "acme", "b", b"2", 0)]
    assert three == Item(second, 0, "other", "a", b"3", 0)
    assert await ingestions.waiting(2) == [one, three], "they stay until they are settled"
    await ingestions.settle([Settled(first, 0, "added", None, "sha256:1", 4, 7), Settled(second, 0, "refused", "why")])
    assert await ingestions.waiting(10) == [two]


async def test_progress_is_told_to_its_tenant(ingestions: Ingestions) -> None:
    ingestion = await ingestions.accept("acme", "user:u", [("a", b"1"), ("b", b"2"), ("c", b"3")])
    await ingestions.settle([Settled(ingestion, 1, "added", None, "sha256:1", 4, 7)])
    progress = await ingestions.progress("acme", ingestion)
    assert progress is not None
    assert (progress.id, progress.state, progress.counts) == (ingestion, "running", {"waiting": 2, "added": 1})
    assert progress.items[:2] == (ItemState("a", "waiting"), ItemState("b", "added", None, "sha256:1", 7))
    await ingestions.settle([Settled(ingestion, n, "failed", "broken") for n in (2, 0)])
    progress = await ingestions.progress("acme", ingestion)
    assert progress is not None
    assert (progress.state, progress.counts) == ("done", {"failed": 2, "added": 1})
    assert progress.items[2] == ItemState("c", "failed", "broken")
    assert await ingestions.progress("other", ingestion) is None
    assert await ingestions.progress("acme", new_id(0)) is None


async def test_an_ingestion_of_nothing_is_done(ingestions: Ingestions) -> None:
    progress = await ingestions.progress("acme", await ingestions.accept("acme", "user:u", []))
    assert progress is not None
    assert (progress.state, progress.counts, progress.items) == ("done", {}, ())


async def test_what_waits_is_there_after_opening_again(where: Path | str) -> None:
    async with Catalog.open(where) as catalog:
        ingestion = await Ingestions(catalog).accept("acme", "user:u", [("a", b"\x00\xff")])
    async with Catalog.open(where) as catalog:
        assert await Ingestions(catalog).waiting(5) == [Item(ingestion, 0, "acme", "a", b"\x00\xff", 0)]


async def test_a_deletion_wins_over_what_waited_before_it(catalog: Catalog, ingestions: Ingestions) -> None:
    await catalog.put([entry(page("a")), entry(page("b"))])
    early = await ingestions.accept("acme", "user:u", [("a", b"1"), ("b", b"2")])
    assert {one.accepted for one in await ingestions.waiting(5)} == {2}
    assert await catalog.delete("acme", "a") == 3
    late = await ingestions.accept("acme", "user:u", [("a", b"3")])
    assert [(one.ingestion, one.document, one.accepted) for one in await ingestions.waiting(5)] == [
        (early, "b", 2),
        (late, "a", 3),
    ]
    progress = await ingestions.progress("acme", early)
    assert progress is not None
    assert (progress.items[0].status, progress.items[0].reason) == (
        "gone",
        "the document was deleted while this waited",
    )


async def test_what_waits_for_an_erased_document_is_forgotten(catalog: Catalog, ingestions: Ingestions) -> None:
    ingestion = await ingestions.accept("acme", "user:u", [("a", b"1"), ("b", b"2")])
    await ingestions.settle([Settled(ingestion, 1, "added", None, "sha256:1", 1, 1)])
    for document in ("a", "b"):
        await ingestions.forget("acme", document)
        await ingestions.forget("other", document)
    assert await ingestions.waiting(5) == []
    progress = await ingestions.progress("acme", ingestion)
    assert progress is not None
    assert [one.status for one in progress.items] == ["gone", "added"], "what is settled stays so"


def test_ids_sort_by_time() -> None:
    ids = [new_id(milliseconds) for milliseconds in (0, 1, 31, 32, 10**12, 10**12 + 1, 2**48 - 1)]
    assert ids == sorted(ids)
    assert {len(one) for one in ids} == {30}
    assert len({new_id(5) for _ in range(100)}) == 100
