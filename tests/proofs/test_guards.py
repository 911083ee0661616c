"""Each check by itself: what stands between a caller and a document, one promise after the other, quick and small.

Behind most of these stands another one that would hold too; `test_mutants` takes each away and sees these tests fail.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.catalog import Catalog, Passage
from retrieval.embed import HashEmbedder
from retrieval.errors import IndexBehind, IndexNotSealed, StoreError
from retrieval.fusion import Legs
from retrieval.index import Bm25
from retrieval.ingest.blocks import PARSER
from retrieval.live import LiveIndex
from retrieval.opening import open_live
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef, ChunkStore, HybridQuery, Narrowing
from retrieval.stores.edge_store import EdgeStore
from retrieval.stores.memory_store import MemoryStore
from retrieval.stores.qdrant_store import QdrantStore
from tests.contracts.documents import entry, page, ref
from tests.proofs.oracle import Lists, Oracle, Paper, Who
from tests.proofs.residue import residue
from tests.proofs.world import ANYTHING, InProcess, World, access, ask, new_document, open_world, recipe, texts_found

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")

ANA = access_filter(Principal("acme", "ana", frozenset({"staff"}), frozenset()))
STAFF, HR = Lists(frozenset({"group:staff"})), Lists(frozenset({"group:hr"}))
MINE = Access("acme", STAFF.allow)
FOREIGN = {
    "another tenant's": Access("other", STAFF.allow),
    "nobody's": Access("acme", frozenset()),
    "others'": Access("acme", HR.allow | {"user:anabel", "group:ana", "user:staff"}),
    "denied by group": Access("acme", STAFF.allow, STAFF.allow),
    "denied by name": Access("acme", STAFF.allow, frozenset({"user:ana"})),
}
BEN_BY_AN_APP = Principal(
    "acme", "ben", frozenset({"staff"}), frozenset(), frozenset({"group:externals", "user:app"}), by_name=False
)
CLOSED_TO_THE_APP = {
    "denied by a group that the app's key does not reach": Access("acme", STAFF.allow, frozenset({"group:externals"})),
    "denied to the app": Access("acme", STAFF.allow, frozenset({"user:app"})),
    "denied to its user": Access("acme", STAFF.allow, frozenset({"user:ben"})),
    "shared with its user by name": Access("acme", frozenset({"user:ben"})),
    "the app's own": Access("acme", frozenset({"user:app"})),
    "allowed by what only denies": Access("acme", frozenset({"group:externals"})),
}
STORES = ["memory", "edge", "local"]
EMBEDDER, BM25 = HashEmbedder(16), Bm25Encoder(Bm25(1.2, 0.75, 10.0, "english"))
KEY = ("acme", "policies/refunds.md")
FIRST = f"sha256:{hashlib.sha256(b'Refunds take ten days.').hexdigest()}"
WHO = Who("acme", "ana", frozenset({"staff"}))
TODAY = datetime.now(UTC).date()


@asynccontextmanager
async def a_store(kind: str, folder: Path) -> AsyncIterator[ChunkStore]:
    store: ChunkStore = MemoryStore()
    if kind == "edge":
        store = EdgeStore.open(folder / "index", 16)
    if kind == "local":
        store = await QdrantStore.open(":memory:", "index", 16)
    try:
        yield store
    finally:
        await store.close()


def a_point(document: str, whose: Access, words: str, category: str | None = "policy") -> ChunkPoint:
    ref = ChunkRef(document, "sha256:1", 0, len(words), (), None)
    return ChunkPoint(ref, whose, category, date(2026, 3, 1), EMBEDDER.embed([words])[0], BM25.document(words))


def a_query(words: str, limit: int = 10) -> HybridQuery:
    return HybridQuery(EMBEDDER.embed([words])[0], BM25.query(words), limit)


def scored(legs: Legs) -> dict[str, set[int]]:
    return {
        "dense": {chunk for chunk, _ in legs.dense},
        "sparse": {chunk for chunk, _ in legs.sparse},
        "cosine": set(legs.cosine),
    }


NARROWINGS = {
    "none": ANYTHING,
    "category": Narrowing(("policy",)),
    "dates": Narrowing(updated_after=date(2026, 1, 1), updated_before=date(2026, 12, 31)),
}


@pytest.mark.parametrize("narrowing", NARROWINGS)
@pytest.mark.parametrize("kind", STORES)
async def test_a_store_scores_permitted_chunks_only(tmp_path: Path, kind: str, narrowing: str) -> None:
    async with a_store(kind, tmp_path) as store:
        mine = a_point("mine", MINE, "refunds take ten days")
        theirs = [a_point(name, whose, "refunds take ten days") for name, whose in FOREIGN.items()]
        await store.upsert([mine, *theirs])
        legs = await store.score(a_query("refunds take days"), ANA, NARROWINGS[narrowing])
        assert scored(legs) == {"dense": {mine.id}, "sparse": {mine.id}, "cosine": {mine.id}}


@pytest.mark.parametrize("kind", STORES)
async def test_a_narrowing_narrows(tmp_path: Path, kind: str) -> None:
    async with a_store(kind, tmp_path) as store:
        policy, news = a_point("a", MINE, "refunds"), a_point("b", MINE, "refunds", "news")
        await store.upsert([policy, news])
        legs = await store.score(a_query("refunds"), ANA, Narrowing(("news",)))
        assert scored(legs) == {"dense": {news.id}, "sparse": {news.id}, "cosine": {news.id}}


@pytest.mark.parametrize("kind", ["edge", "local"])
async def test_what_is_withdrawn_between_two_queries_has_no_score(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store asks twice: the second time for the cosine of what only BM25 found."""
    async with a_store(kind, tmp_path) as store:
        near, far = a_point("near", MINE, "alpha alpha"), a_point("far", MINE, "beta gamma")
        await store.upsert([near, far])
        query = replace(a_query("alpha", limit=1), sparse=BM25.query("gamma"))
        assert scored(await store.score(query, ANA, ANYTHING))["cosine"] == {near.id, far.id}
        withdraw_after_the_first_query(store, monkeypatch)
        assert far.id not in (await store.score(query, ANA, ANYTHING)).cosine


def withdraw_after_the_first_query(store: ChunkStore, monkeypatch: pytest.MonkeyPatch) -> None:
    original: Callable[..., Any] = store._query  # type: ignore[attr-defined]
    withdrawing = store.describe("far", Access("acme", frozenset()), "policy", None)

    def embedded(*requests: object) -> object:
        answered = original(*requests)
        if not asked:
            asked.append(requests)
            with pytest.raises(StopIteration):
                withdrawing.send(None)
        return answered

    async def remote(*requests: object) -> object:
        answered = await original(*requests)
        if not asked:
            asked.append(requests)
            await withdrawing
        return answered

    asked: list[object] = []
    monkeypatch.setattr(store, "_query", embedded if isinstance(store, EdgeStore) else remote)


@pytest.mark.parametrize("kind", STORES)
async def test_no_score_tells_of_other_peoples_chunks(tmp_path: Path, kind: str) -> None:
    async with a_store(kind, tmp_path) as store:
        await store.upsert([a_point("mine", MINE, "refunds take ten days"), a_point("more", MINE, "days of leave")])
        before = (await store.score(a_query("refunds days"), ANA, ANYTHING)).sparse
        theirs = [a_point(f"{name} {n}", whose, "refunds days") for name, whose in FOREIGN.items() for n in range(3)]
        await store.upsert(theirs)
        assert (await store.score(a_query("refunds days"), ANA, ANYTHING)).sparse == before


@pytest.mark.parametrize("kind", STORES)
async def test_a_chunk_that_is_asked_for_by_its_id_is_checked_again(tmp_path: Path, kind: str) -> None:
    async with a_store(kind, tmp_path) as store:
        points = [a_point("mine", MINE, "refunds"), *(a_point(n, whose, "refunds") for n, whose in FOREIGN.items())]
        await store.upsert(points)
        fetched = await store.fetch([point.id for point in points], ANA)
        assert ({hit.id for hit in fetched.hits}, fetched.forbidden) == ({points[0].id}, len(FOREIGN))


@pytest.mark.parametrize("kind", STORES)
async def test_a_document_is_deleted_and_described_in_its_own_tenant(tmp_path: Path, kind: str) -> None:
    async with a_store(kind, tmp_path) as store:
        await store.upsert([a_point("same", Access(tenant, STAFF.allow), "refunds") for tenant in ("acme", "other")])
        await store.describe("same", Access("other", HR.allow), None, None)
        assert len((await store.score(a_query("refunds"), ANA, ANYTHING)).dense) == 1
        assert await store.delete("other", "same") == 1
        assert (await store.holds("acme", "same"), await store.holds("other", "same")) == (1, 0)


def test_only_a_verified_caller_makes_a_filter() -> None:
    with pytest.raises(TypeError):
        AccessFilter("acme", frozenset({"group:staff"}), frozenset({"group:staff"}), object())


@pytest.mark.parametrize("whose", FOREIGN)
def test_a_filter_permits_what_the_rule_says(whose: str) -> None:
    assert ANA.permits(MINE)
    assert not ANA.permits(FOREIGN[whose])


@pytest.mark.parametrize("kind", STORES)
async def test_an_app_for_somebody_sees_what_both_permit(tmp_path: Path, kind: str) -> None:
    ben, nobody = access_filter(BEN_BY_AN_APP), access_filter(replace(BEN_BY_AN_APP, groups=frozenset()))
    assert ben.permits(MINE)
    assert not any(who.permits(whose) for who in (ben, nobody) for whose in CLOSED_TO_THE_APP.values())
    async with a_store(kind, tmp_path) as store:
        mine = a_point("mine", MINE, "refunds take ten days")
        theirs = [a_point(name, whose, "refunds take ten days") for name, whose in CLOSED_TO_THE_APP.items()]
        await store.upsert([mine, *theirs])
        legs = await store.score(a_query("refunds take days"), ben, ANYTHING)
        assert scored(legs) == {"dense": {mine.id}, "sparse": {mine.id}, "cosine": {mine.id}}
        none = await store.score(a_query("refunds take days"), nobody, ANYTHING)
        assert scored(none) == {"dense": set(), "sparse": set(), "cosine": set()}


@asynccontextmanager
async def a_world(folder: Path, *others: Paper) -> AsyncIterator[World]:
    """One document that staff may read, and its words."""
    async with open_world(folder, Oracle(TODAY)) as world:
        await world.put(KEY, Paper("Refunds take ten days."), STAFF)
        for n, paper in enumerate(others):
            await world.put(("acme", f"others/{n}.md"), paper, STAFF)
        yield world


async def read(world: World, asker: AccessFilter = ANA, day: date = TODAY) -> list[Passage]:
    """The authority asked about the first document's chunk, whatever a store would say."""
    ref = ChunkRef(KEY[1], FIRST, 0, 10, (), None)
    return await world.catalog.read([ref], asker, PARSER, index=world.board.stable.name, today=day)


async def test_the_authority_confirms_what_may_be_shown(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        assert [passage.text for passage in await read(world)] == ["Refunds ta"]


async def nothing(world: World) -> None:
    """The control is the test above."""
    assert await read(world) == []


async def test_the_authority_refuses_others(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        for tenant, subject, groups in (("other", "ana", ["staff"]), ("acme", "ana", []), ("acme", "staff", ["ana"])):
            stranger = access_filter(Principal(tenant, subject, frozenset(groups), frozenset()))
            assert await read(world, stranger) == []


async def test_the_authority_refuses_whom_it_denies(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.catalog.grant(*KEY, access(KEY, Lists(STAFF.allow, frozenset({"user:ana"}))))
        await nothing(world)


async def test_who_share_a_scope_may_read_the_same(tmp_path: Path) -> None:
    """Every name is on one side of one kind of list: of a document that came with it, or had it replaced later."""
    came = [Access("acme", frozenset({"group:a"})), Access("acme", frozenset({"group:a"}), frozenset({"user:b"}))]
    later = [Access("acme", frozenset({"group:b"})), Access("acme", frozenset({"group:b"}), frozenset({"user:c"}))]
    refs, shared = [ref(0, 5, document=str(number)) for number in range(4)], defaultdict(set)
    async with Catalog.open(tmp_path / "catalog.db") as catalog:
        await catalog.put([entry(page(str(number), access=one)) for number, one in enumerate([*came, MINE, MINE])])
        for number, one in enumerate(later, start=2):
            await catalog.grant("acme", str(number), one)
        for subject, groups in product("abcd", ("", "a", "b", "ab", "c", "abc")):
            who = access_filter(Principal("acme", subject, frozenset(groups), frozenset()))
            read = await catalog.read(refs, who, "blocks-1", index="idx", today=TODAY)
            shared[await catalog.scope(who)].add(tuple(one.ref.document for one in read))
    assert all(len(seen) == 1 for seen in shared.values())
    assert len(shared) == 12, "the control: the others share one"


async def test_the_authority_refuses_an_earlier_version(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.put(KEY, Paper("Refunds take five days."), STAFF)
        await nothing(world)


async def test_the_authority_refuses_what_is_deleted(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.catalog.delete(*KEY)
        await nothing(world)


async def test_the_authority_refuses_what_is_superseded(tmp_path: Path) -> None:
    async with a_world(tmp_path, Paper("Refunds are off.", supersedes=KEY[1])) as world:
        await nothing(world)


async def test_a_document_supersedes_none_of_another_tenant(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.put(("other", "theirs.md"), Paper("Refunds are off.", supersedes=KEY[1]), STAFF)
        assert len(await read(world)) == 1


async def test_the_authority_refuses_what_has_expired(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.put(KEY, Paper("Refunds take ten days.", expires=TODAY + timedelta(days=5)), STAFF)
        assert len(await read(world, day=TODAY + timedelta(days=4))) == 1
        assert await read(world, day=TODAY + timedelta(days=5)) == []


async def test_the_authority_refuses_an_index_that_is_behind(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.catalog.grant(*KEY, access(KEY, Lists(STAFF.allow | HR.allow)))
        assert len(await read(world)) == 1
        await world.catalog.require("acme", await world.catalog.sequence("acme"))
        with pytest.raises(IndexBehind):
            await read(world)


@asynccontextmanager
async def two_versions(folder: Path) -> AsyncIterator[tuple[World, LiveIndex]]:
    """A second version that takes no traffic."""
    async with a_world(folder) as world:
        await world.build(recipe(25))
        candidate = world.board.candidate
        assert candidate is not None
        yield world, candidate


async def permitted_by(index: LiveIndex, asker: AccessFilter = ANA) -> int:
    """Chunks that a version would hand out by its own fields, whatever the catalog says."""
    return len((await index.store.score(a_query("refunds"), asker, ANYTHING)).dense)


async def test_a_revocation_is_in_every_version_when_it_is_acknowledged(tmp_path: Path) -> None:
    async with two_versions(tmp_path) as (world, candidate):
        await world.documents.grant(*KEY, access(KEY, HR))
        assert [await permitted_by(index) for index in (world.board.stable, candidate)] == [0, 0]


async def test_a_deletion_is_in_every_version_when_it_is_acknowledged(tmp_path: Path) -> None:
    async with two_versions(tmp_path) as (world, candidate):
        await world.documents.delete(*KEY)
        assert [await index.store.holds(*KEY) for index in (world.board.stable, candidate)] == [0, 0]


async def test_new_content_takes_readers_from_every_version(tmp_path: Path) -> None:
    async with two_versions(tmp_path) as (world, candidate):
        await world.documents.put([new_document(KEY, Paper("Refunds take five days."), HR)])
        assert [await permitted_by(index) for index in (world.board.stable, candidate)] == [0, 0]


@pytest.mark.parametrize("change", ["grant", "delete", "narrowing put"])
async def test_a_version_that_missed_a_change_may_not_answer(tmp_path: Path, change: str) -> None:
    """It was not open when readers lost something, and there is more that it might show."""
    changes: dict[str, Callable[[World], Awaitable[object]]] = {
        "grant": lambda world: world.documents.grant(*KEY, access(KEY, HR)),
        "delete": lambda world: world.documents.delete(*KEY),
        "narrowing put": lambda world: world.documents.put([new_document(KEY, Paper("Refunds are off."), HR)]),
    }
    async with two_versions(tmp_path) as (world, candidate):
        await world.put(("acme", "more.md"), Paper("Refunds take long."), STAFF)
        await candidate.follow()
        assert "more.md" in texts_found(await ask(candidate, WHO, "refunds"))
        world.board.candidate = None
        await changes[change](world)
        world.board.candidate = candidate
        with pytest.raises(IndexBehind):
            await ask(candidate, WHO, "refunds")
        await candidate.follow()
        assert list(texts_found(await ask(candidate, WHO, "refunds"))) == ["more.md"]


@pytest.mark.parametrize("put", ["another document", "the document itself"])
async def test_a_version_that_missed_a_change_does_not_pass_for_one_that_has_it(tmp_path: Path, put: str) -> None:
    """A change of access that it hears of is no proof that it heard of the content before."""
    both = Lists(STAFF.allow | HR.allow)
    async with two_versions(tmp_path) as (world, candidate):
        key = KEY if put == "the document itself" else ("acme", "more.md")
        await world.put(key, Paper("Refunds take long."), both)
        await world.documents.grant(*KEY, access(KEY, both))
        assert (await world.catalog.marks(candidate.name))["acme"] < await world.catalog.sequence("acme")
        await world.follow()
        await world.check_followed(WHO, "refunds")


async def test_a_version_that_is_behind_does_not_say_that_there_is_nothing(tmp_path: Path) -> None:
    async with two_versions(tmp_path) as (world, candidate):
        world.board.candidate = None
        await world.documents.grant(*KEY, access(KEY, HR))
        await candidate.store.delete(*KEY)
        world.board.candidate = candidate
        with pytest.raises(IndexBehind):
            await ask(candidate, Who("acme", "hanneke", frozenset({"hr"})), "refunds")


async def test_an_update_drops_the_chunks_of_before(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.documents.put([new_document(KEY, Paper("Refunds take five days."), STAFF)])
        assert await world.board.stable.store.holds(*KEY) == 1
        await world.board.stable.require_whole()


async def test_what_is_handed_in_before_a_revocation_does_not_undo_it(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        accepted = {"acme": await world.catalog.sequence("acme")}
        await world.documents.grant(*KEY, access(KEY, HR))
        both = Lists(STAFF.allow | HR.allow)
        for text in ("Refunds take five days.", "Refunds take ten days."):
            await world.documents.put([new_document(KEY, Paper(text), both)], accepted=accepted)
            known = await world.catalog.get(*KEY)
            assert known is not None
            assert known.access.allow == HR.allow


async def test_the_same_content_handed_in_before_a_revocation_does_not_undo_it(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        accepted = {"acme": await world.catalog.sequence("acme")}
        await world.documents.grant(*KEY, access(KEY, HR))
        await world.documents.put([new_document(KEY, Paper("Refunds take ten days."), STAFF)], accepted=accepted)
        assert await read(world) == []


async def test_what_is_handed_in_before_a_deletion_does_not_undo_it(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        accepted = {"acme": await world.catalog.sequence("acme")}
        await world.documents.delete(*KEY)
        (outcome,) = await world.documents.put([new_document(KEY, Paper("Again."), STAFF)], accepted=accepted)
        assert (outcome.status, outcome.code) == ("refused", "changed_meanwhile")
        assert await world.catalog.get(*KEY) is None


@pytest.mark.parametrize("text", ["Now mine.", "Refunds take ten days."])
async def test_another_source_changes_nothing(tmp_path: Path, text: str) -> None:
    """Neither content nor, where that is the same, access."""
    async with a_world(tmp_path) as world:
        foreign = replace(new_document(KEY, Paper(text), HR), origin="elsewhere")
        (outcome,) = await world.documents.put([foreign])
        assert (outcome.status, outcome.code) == ("refused", "origin_conflict")
        assert len(await read(world)) == 1


async def test_two_sources_at_once_are_one_too_many(tmp_path: Path) -> None:
    """Neither finds a document of the other's when it begins."""
    async with a_world(tmp_path) as world:
        new = [new_document(("acme", "new.md"), Paper(text), STAFF) for text in ("One.", "Another one.")]
        puts = (world.documents.put([replace(one, origin=origin)]) for one, origin in zip(new, "ab", strict=True))
        outcomes = [one for (one,) in await asyncio.gather(*puts)]
        assert sorted(one.status for one in outcomes) == ["added", "refused"]


@pytest.mark.parametrize(
    "lists",
    [
        Lists(frozenset()),
        Lists(frozenset({"everybody"})),
        Lists(frozenset({"group:staff "})),
        Lists(frozenset({"group:"})),
    ],
)
async def test_a_document_without_readers_that_could_be_is_refused(tmp_path: Path, lists: Lists) -> None:
    async with a_world(tmp_path) as world:
        (outcome,) = await world.documents.put([new_document(("acme", "new.md"), Paper("New."), lists)])
        assert outcome.status == "refused"
        assert await world.catalog.get("acme", "new.md") is None


async def test_earlier_content_does_not_bring_its_readers_back(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.documents.put([new_document(KEY, Paper("Refunds take five days."), HR)])
        assert (await world.documents.revert(*KEY)).status == "updated"
        assert await read(world) == []
        known = await world.catalog.get(*KEY)
        assert known is not None
        assert known.version == FIRST
        assert known.access.allow == HR.allow


async def test_a_history_tells_nobody_who_could_read(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        assert {one.document.access.allow for one in await world.catalog.history(*KEY)} == {frozenset()}


async def test_a_deleted_document_leaves_nothing_to_bring_back(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.put(KEY, Paper("Refunds take five days."), STAFF)
        await world.documents.delete(*KEY)
        assert await world.catalog.history(*KEY) == []
        assert await world.catalog.original(*KEY, FIRST) is None
        assert await world.catalog.text(*KEY, FIRST, PARSER) is None


async def test_a_store_that_keeps_what_was_deleted_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def kept(_tenant: str, _document: str, *, keep: str | None = None) -> int:
        return 1

    async with a_world(tmp_path) as world:
        monkeypatch.setattr(world.board.stable.store, "delete", kept)
        with pytest.raises(StoreError):
            await world.documents.delete(*KEY)


async def test_a_version_whose_build_never_finished_is_not_opened(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        begun = await open_live(recipe(25), world.place, world.catalog, create=True, parser=InProcess())
        await begun.close()
        with pytest.raises(IndexNotSealed):
            await open_live(recipe(25), world.place, world.catalog)


async def test_a_version_that_lost_chunks_is_not_whole(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.board.stable.store.delete(*KEY)
        with pytest.raises(StoreError):
            await world.board.stable.require_whole()


async def test_an_erasure_reaches_every_file(tmp_path: Path) -> None:
    """One version is open and one is not; the words are in the catalog's history, the id in both."""
    async with two_versions(tmp_path) as (world, candidate):
        await world.put(KEY, Paper("Refunds take five zqmarked days."), STAFF)
        await candidate.follow()
        world.board.candidate = None
        await candidate.close()
        await world.put(KEY, Paper("Refunds take six days."), STAFF)
        await world.erase(KEY)
        assert residue(tmp_path, {"zqmarked"}) == []
        assert residue(tmp_path / "indexes", {KEY[1]}) == []
