"""The record book and what leads into it, on SQLite and on PostgreSQL."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
import structlog

from retrieval.catalog import Catalog
from retrieval.errors import CatalogError, ReceiptInvalid
from retrieval.layout import Layout
from retrieval.records.book import Book, Wanted, first
from retrieval.records.erased import ERASURE, erased_by
from retrieval.records.forgetting import Forgetting
from retrieval.records.record import Kept, Record, part
from retrieval.records.retention import Retention
from retrieval.records.store import RecordStore, known_heads
from retrieval.sql.tables import erased_people, record_batches, records
from tests.contracts.documents import entry, page
from tests.retrieval.records.samples import START, answer


class Folder(Layout):
    """Where a test keeps its data."""

    def __init__(self, data: Path) -> None:
        self.data = data


@pytest.fixture
def book(catalog: Catalog) -> Book:
    return Book(catalog.database)


def ids(found: list[Kept]) -> list[str]:
    return [one.record.id for one in found]


def said(number: int, about: str, kind: str = "feedback", **changed: Any) -> Record:
    return answer(number, id=f"fb_{number:04}", kind=kind, about=about, **changed)


async def spoken(book: Book) -> dict[str, Record]:
    """All but the records of erasures."""
    return {one.record.id: one.record for one in await book.listing(Wanted()) if one.record.kind != ERASURE}


async def taken(book: Book) -> list[tuple[list[str], list[str]]]:
    """Records and parts, by erasure."""
    told = [erased_by(one.record) for one in await book.listing(Wanted(kind=ERASURE))]
    return [(sorted(ids), sorted(parts)) for ids, parts in told]


async def test_a_record_comes_back_as_it_was(book: Book) -> None:
    one = answer(1, review=True, documents=('a "quoted" id', "ü/ß.md"), about="ans_0000")
    await book.append([one])
    found = await book.get(one.id)
    assert found is not None
    assert found.record == one
    assert await book.get("ans_none") is None


async def test_batches_are_chained_and_nothing_is_added_twice(book: Book) -> None:
    first = await book.append([answer(n) for n in range(3)])
    second = await book.append([answer(n) for n in range(1, 5)])
    assert first is not None
    assert second is not None
    assert (first.size, second.size, second.previous) == (3, 2, first.digest)
    assert await book.append([answer(n) for n in range(5)]) is None
    assert await book.append([]) is None
    checker, fault = await book.verify([first.head, second.head])
    assert (checker.records, fault, checker.head) == (5, None, await book.head())


async def test_writers_at_once_make_one_chain(book: Book) -> None:
    await asyncio.gather(*(book.append([answer(10 * n + m) for m in range(4)]) for n in range(12)))
    checker, fault = await book.verify()
    assert (checker.records, checker.head.sequence, fault) == (48, 12, None)


async def test_what_is_changed_behind_its_back_is_found(book: Book) -> None:
    for n in range(4):
        await book.append([answer(2 * n), answer(2 * n + 1)])
    head = await book.head()
    changed = part({"outcome": "review"})
    async with book.database.begin() as connection:
        await connection.execute(sa.update(records).where(records.c.id == "ans_0005").values(facts=changed))
    _, fault = await book.verify()
    assert fault is not None
    assert (fault.batch, fault.record) == (3, "ans_0005")
    async with book.database.begin() as connection:
        await connection.execute(sa.delete(records).where(records.c.batch >= 3))
        await connection.execute(sa.delete(record_batches).where(record_batches.c.sequence >= 3))
    assert (await book.verify())[1] is None, "a chain alone does not know how long it was"
    _, fault = await book.verify([head])
    assert fault is not None
    assert fault.batch == 3


async def test_what_was_taken_behind_its_back_is_not_taken_for_an_erasure(catalog: Catalog, book: Book) -> None:
    await book.append([answer(n) for n in (1, 2)])
    await Forgetting(catalog.database).older("answer", START + timedelta(days=1), words_only=True)
    assert (await book.verify())[1] is None
    async with book.database.begin() as connection:
        await connection.execute(sa.update(records).where(records.c.id == "ans_0002").values(facts=None))
    _, fault = await book.verify()
    assert fault is not None
    assert (fault.record, "facts" in fault.told, "words" in fault.told) == ("ans_0002", True, False)


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("changed", [{"documents": '["another.md"]'}, {"subject": "bob"}, {"digests": "- -"}])
async def test_what_goes_with_a_part_is_told_when_it_is_changed(
    book: Book, changed: dict[str, str], bare: bool
) -> None:
    parts: dict[str, Any] = {"person": None, "subject": None, "sources": None, "documents": ()} if bare else {}
    await book.append([answer(1, **parts)])
    async with book.database.begin() as connection:
        await connection.execute(sa.update(records).values(changed))
    _, fault = await book.verify()
    assert fault is not None
    assert fault.record == "ans_0001"


async def test_the_time_of_a_batch_is_chained(book: Book) -> None:
    await book.append([answer(1)])
    async with book.database.begin() as connection:
        await connection.execute(sa.update(record_batches).values(at=START))
    assert (await book.verify())[1] is not None


async def test_the_first_of_its_kind_stands(book: Book) -> None:
    await book.append([answer(1)])
    standing, batch = await book.append_unless(said(2, "ans_0001", "decision"), first)
    assert standing is None
    assert batch is not None
    standing, batch = await book.append_unless(said(3, "ans_0001", "decision"), first)
    assert standing is not None
    assert (standing.record.id, batch) == ("fb_0002", None)
    assert (await book.append_unless(said(4, "ans_0001", "feedback"), first))[0] is None
    assert ids(await book.about("ans_0001")) == ["fb_0002", "fb_0004"]


async def test_of_many_at_once_one_decides(book: Book) -> None:
    await book.append([answer(1)])
    done = await asyncio.gather(*(book.append_unless(said(n, "ans_0001", "decision"), first) for n in range(2, 12)))
    assert len([batch for _, batch in done if batch]) == 1
    assert len({standing.record.id for standing, _ in done if standing}) == 1


async def test_what_awaits_a_review_is_paged_oldest_first(book: Book) -> None:
    await book.append([answer(n, review=n % 2 == 0) for n in (6, 2, 4, 1, 8)])
    await book.append([answer(3, review=True, tenant="other"), said(9, "ans_0004", "decision")])
    first = await book.awaiting("acme", None, 2)
    assert ids(first) == ["ans_0002", "ans_0006"]
    last = first[-1].record
    assert ids(await book.awaiting("acme", (last.created, last.id), 2)) == ["ans_0008"]
    assert ids(await book.awaiting("other", None, 9)) == ["ans_0003"]


async def test_a_listing_is_bounded_in_every_way(book: Book) -> None:
    await book.append([answer(n, tenant="acme" if n % 2 else "other") for n in range(10)])
    await book.append([said(20, "ans_0001")])
    since, until = START + timedelta(seconds=2), START + timedelta(seconds=7)
    assert ids(await book.listing(Wanted("acme", since, until))) == ["ans_0003", "ans_0005"]
    assert ids(await book.listing(Wanted(kind="feedback"))) == ["fb_0020"]
    page = await book.listing(Wanted(limit=4))
    after = (page[-1].record.created, page[-1].record.id)
    assert ids(await book.listing(Wanted(after=after, limit=2))) == ["ans_0004", "ans_0005"]


async def test_erasing_a_document_takes_what_was_said_and_read_of_it(catalog: Catalog, book: Book) -> None:
    quoting = part({"question": 'Is it true that "refunds" take 45 days?'})
    await book.append(
        [
            answer(1),
            answer(2, documents=("handbook.pdf",), words=quoting),
            answer(3, documents=("handbook.pdf",)),
            answer(4, tenant="other"),
            answer(5, documents=('odd "policies/refunds.md"',)),
            said(6, "ans_0001"),
        ]
    )
    gone = await Forgetting(catalog.database).document("acme", "policies/refunds.md", ['"refunds" take 45'])
    assert gone == 3
    assert await taken(book) == [(["ans_0001", "ans_0002", "fb_0006"], ["sources", "words"])]
    left = await spoken(book)
    assert {name for name, one in left.items() if one.words is None} == {"ans_0001", "ans_0002", "fb_0006"}
    assert left["ans_0001"].sources is None
    assert left["ans_0001"].documents == ()
    assert left["ans_0001"].facts is not None
    assert left["ans_0001"].subject == "ana"
    assert (await book.verify([await book.head()]))[1] is None


async def test_what_was_under_way_while_its_document_was_erased_comes_without_words(
    catalog: Catalog, book: Book
) -> None:
    await catalog.put([entry(page("a"))])
    await catalog.delete("acme", "a", erased=True)
    before, after = START - timedelta(days=3650), START + timedelta(days=36500)
    made = [answer(1, documents=("a",), created=before), answer(2, documents=("a",), created=after)]
    await book.append([*made, answer(3, documents=("a",), created=before, tenant="other")])
    left = await spoken(book)
    assert {name for name, one in left.items() if one.words is None} == {"ans_0001"}
    assert (await book.verify())[1] is None


async def test_erasing_a_person_takes_who_they_were_and_what_they_said(catalog: Catalog, book: Book) -> None:
    await book.append(
        [answer(1), answer(2, subject="bob"), answer(3, tenant="other"), said(4, "ans_0001", subject="rev")]
    )
    assert await Forgetting(catalog.database).subject("acme", "ana") == 2
    left = await spoken(book)
    assert (left["ans_0001"].subject, left["ans_0001"].person, left["ans_0001"].words) == (None, None, None)
    assert left["ans_0001"].sources is not None
    assert (left["fb_0004"].subject, left["fb_0004"].words) == ("rev", None)
    assert all(left[name].words for name in ("ans_0002", "ans_0003"))
    assert (await book.verify())[1] is None


async def test_a_person_whom_an_app_named_goes_too_and_nobody_with_a_name_like_theirs(
    book: Book, catalog: Catalog
) -> None:
    users = ('ana "u', "ana", "ana-maria", 'x","user":"ana')
    made = [answer(n, subject="app", person=part({"user": user})) for n, user in enumerate(users)]
    await book.append([*made, said(9, "ans_0001", subject="rev")])
    assert await Forgetting(catalog.database).subject("acme", "ana") == 2
    left = {one.record.id: one.record for one in await book.listing(Wanted()) if one.record.kind != "erasure"}
    assert {name for name, one in left.items() if one.words is None} == {"ans_0001", "fb_0009"}
    assert {name for name, one in left.items() if one.person is None and one.kind == "answer"} == {"ans_0001"}
    assert await Forgetting(catalog.database).subject("acme", 'ana "u') == 1
    assert (await book.verify())[1] is None


async def test_what_was_under_way_while_its_person_was_erased_comes_without_them(catalog: Catalog, book: Book) -> None:
    """By their own credential or an app's, and what others said of that; what is made later, and of others, stays."""
    before, after = START - timedelta(days=3650), START + timedelta(days=36500)
    await book.append([answer(1, created=before)])
    assert await Forgetting(catalog.database).subject("acme", "ana") == 1
    named = answer(3, subject="app", person=part({"user": "ana"}), created=before)
    kept = [
        answer(4, created=after),
        answer(5, created=before, tenant="other"),
        answer(6, subject="bob", created=before),
        said(7, "ans_0001", subject="rev", created=after),
        said(8, "ans_0006", subject="rev", created=before),
    ]
    remarks = [said(9, "ans_0001", subject="rev", created=before), said(10, "ans_0003", subject="rev", created=before)]
    await book.append([answer(2, created=before), named, *kept, *remarks])
    left = await spoken(book)
    nobody = {name for name, one in left.items() if (one.subject, one.person) == (None, None)}
    assert nobody == {"ans_0001", "ans_0002", "ans_0003"}
    assert {name for name, one in left.items() if one.words is None} == nobody | {"fb_0009", "fb_0010"}
    assert left["ans_0002"].sources is not None
    assert [left[one.id] for one in kept] == kept
    assert (await book.verify([await book.head()]))[1] is None


async def test_what_came_too_late_for_a_person_and_a_document_comes_without_both(catalog: Catalog, book: Book) -> None:
    await catalog.put([entry(page("a"))])
    await catalog.delete("acme", "a", erased=True)
    await Forgetting(catalog.database).subject("acme", "ana")
    await book.append([answer(1, documents=("a",), created=START - timedelta(days=3650))])
    left = (await spoken(book))["ans_0001"]
    assert (left.person, left.sources, left.words, left.documents) == (None, None, None, ())
    assert left.facts is not None
    assert (await book.verify())[1] is None


async def test_that_a_person_was_erased_names_nobody_and_is_forgotten_in_time(catalog: Catalog, book: Book) -> None:
    forgetting = Forgetting(catalog.database)
    await forgetting.subject("acme", "ana")
    async with catalog.database.connect() as connection:
        (stone,) = (await connection.execute(sa.select(erased_people))).all()
    assert stone.tenant == "acme"
    assert "ana" not in (stone.digest, stone.salt)
    await Retention({}, {}).apply(forgetting, stone.at + timedelta(days=29))
    await book.append([answer(1, created=START - timedelta(days=3650))])
    await Retention({}, {}).apply(forgetting, stone.at + timedelta(days=31))
    await book.append([answer(2, created=START - timedelta(days=3650))])
    left = await spoken(book)
    assert (left["ans_0001"].subject, left["ans_0002"].subject) == (None, "ana")


async def test_what_is_too_old_goes_by_kind_and_leaves_the_chain(
    catalog: Catalog, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.records.forgetting.AT_ONCE", 3)
    days = [answer(n, created=START + timedelta(days=n)) for n in range(10)]
    await book.append([*days, said(50, "ans_0001", created=START)])
    kept = Retention(whole={"answer": 8, "feedback": 0}, words={"answer": 4})
    forgetting = Forgetting(catalog.database)
    now = START + timedelta(days=10, seconds=1)
    assert await kept.apply(forgetting, now) == 7 + 3
    assert await kept.apply(forgetting, now) == 0
    left = await spoken(book)
    assert {name for name, one in left.items() if one.facts is None} == {"ans_0000", "ans_0001", "ans_0002"}
    assert {name for name, one in left.items() if one.words} == {"ans_0007", "ans_0008", "ans_0009", "fb_0050"}
    assert (await book.verify())[1] is None


async def test_what_is_gone_already_is_not_looked_at_again(tmp_path: Path) -> None:
    async with Catalog.open(tmp_path / "catalog.db") as catalog, catalog.database.connect() as connection:
        for part_name in ("facts", "words"):
            old = f"SELECT id FROM records WHERE kind = 'answer' AND created < '2026' AND {part_name} IS NOT NULL"
            plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {old} ORDER BY id LIMIT 500")).all()
            assert f"USING INDEX records_with_{part_name} (kind=? AND created<?)" in str(plan)


async def test_no_list_and_no_retention_sorts_or_reads_what_it_does_not_show(tmp_path: Path) -> None:
    """Whatever is looked for begins at its place in an index, and the index has the order that is wanted."""
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        if statement.startswith("SELECT records.") and "LIMIT" in statement:
            asked.append((statement, values))

    after = (START, "ans_0001")
    async with Catalog.open(tmp_path / "catalog.db") as catalog:
        book = Book(catalog.database)
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            await book.awaiting("acme", after, 50)
            await book.listing(Wanted("acme", after=after))
            await book.listing(Wanted(after=after))
            await Forgetting(catalog.database).older("answer", START)
            await Forgetting(catalog.database).older("answer", START, words_only=True)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)
        async with catalog.database.connect() as connection:
            explained = [
                str((await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)).all())
                for statement, values in asked
            ]
    wanted = (
        "records_for_review (tenant=? AND (created,id)>(?,?))",
        "records_created (tenant=? AND (created,id)>(?,?))",
        "records_time ((created,id)>(?,?))",
        "records_with_facts (kind=? AND created<?)",
        "records_with_words (kind=? AND created<?)",
    )
    for plan, index in zip(explained, wanted, strict=True):
        assert f"INDEX {index}" in plan
        assert "TEMP B-TREE" not in plan


async def test_the_spool_is_moved_once_whatever_happens_between(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off between SQL's commit and the spool letting go, the same is moved again and added once."""
    async with RecordStore.open(catalog, Folder(tmp_path), 1 << 20) as store:
        for n in range(6):
            await store.spool.keep(answer(n))
        taken = await store.spool.take(4)
        assert taken is not None
        await store.book.append(taken.records)
    async with RecordStore.open(catalog, Folder(tmp_path), 1 << 20) as store:
        store.spool.put(answer(6))
        await store.settle()
        assert store.spool.used == 0
        checker, fault = await store.book.verify(await known_heads(store))
        assert (checker.records, fault) == (7, None)
        assert [one.sequence for one in await known_heads(store)] == [3], "what comes later is in another segment"


async def test_an_answer_is_found_as_soon_as_it_was_acknowledged(catalog: Catalog, tmp_path: Path) -> None:
    async with RecordStore.open(catalog, Folder(tmp_path), 1 << 20) as store:
        await store.spool.keep(answer(1))
        found = await store.find("ans_0001")
        assert found is not None
        assert found.record.id == "ans_0001"
        assert await store.find("ans_0002") is None


async def test_a_head_that_was_not_written_in_time_is_written_with_the_next_move(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError("no")

    async with RecordStore.open(catalog, Folder(tmp_path), 1 << 20) as store:
        await store.spool.keep(answer(1))
        with monkeypatch.context() as broken:
            broken.setattr("os.fsync", fails)
            with pytest.raises(CatalogError, match="head of the records"):
                await store.settle()
        assert await known_heads(store) == []
        await store.settle()
        assert await known_heads(store) == [await store.book.head()]


async def test_settling_ends_while_more_comes_than_is_moved(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.records.store._AT_ONCE", 1)
    async with RecordStore.open(catalog, Folder(tmp_path), 64 << 20) as store:

        async def load(start: int) -> None:
            for number in range(start, start + 1_000_000):
                await store.spool.keep(answer(number))
                await asyncio.sleep(0.002)

        await store.spool.keep(answer(1))
        loading = [asyncio.create_task(load(n * 1_000_000)) for n in range(1, 4)]
        async with asyncio.timeout(30):
            await store.settle()
        assert await store.book.get("ans_0001") is not None
        assert store.spool.used > 0
        for one in loading:
            one.cancel()
        await asyncio.gather(*loading, return_exceptions=True)


async def test_a_head_that_was_not_signed_here_is_left_for_verification_to_tell(
    catalog: Catalog, tmp_path: Path
) -> None:
    async with RecordStore.open(catalog, Folder(tmp_path), 1 << 20) as store:
        await store.add_unless(answer(1), first)
        forged = store.heads.path.read_text("ascii").replace(".", ".x", 1)
        store.heads.path.write_text(forged, "ascii")
        with structlog.testing.capture_logs() as logged:
            await store.add_unless(said(2, "ans_0001", "decision"), first)
        assert [one["event"] for one in logged] == ["record_head_invalid"]
        assert store.heads.path.read_text("ascii") == forged
        with pytest.raises(ReceiptInvalid):
            await known_heads(store)


async def test_everything_that_is_stored_can_be_exported(book: Book) -> None:
    await book.append([answer(1)])
    (found,) = await book.listing(Wanted())
    assert msgspec.json.decode(msgspec.json.encode(found))["record"]["id"] == "ans_0001"
