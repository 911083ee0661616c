"""What every ChunkStore promises: in memory, embedded, in local mode, over gRPC, and on a server where one is named."""

import math
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from retrieval.acl import Access
from retrieval.errors import StoreError, StoreLocked
from retrieval.store import ChunkStore, Fetched, HybridQuery, Narrowing, SparseVector
from retrieval.stores.edge_store import EdgeStore
from tests.contracts.stores import (
    ANYTHING,
    DIMENSIONS,
    HR,
    KINDS,
    OTHER,
    QUIET,
    STAFF,
    asks,
    found,
    opened,
    point,
    reader,
)

pytestmark = QUIET


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ChunkStore]:
    async with opened(request.param, tmp_path) as made:
        yield made


async def test_returns_what_is_permitted_and_nothing_else(store: ChunkStore) -> None:
    denied = Access("acme", frozenset({"group:staff"}), frozenset({"user:eve"}))
    await store.upsert([point("staff", STAFF), point("hr", HR), point("other", OTHER), point("denied", denied)])
    assert await found(store, asks(1), reader("acme", "staff")) == {"staff", "denied"}
    assert await found(store, asks(1), reader("acme", "staff", subject="eve")) == {"staff"}
    assert await found(store, asks(1), reader("acme", "staff", "hr")) == {"staff", "denied", "hr"}
    assert await found(store, asks(1), reader("acme")) == set()
    assert await found(store, asks(1), reader("nobody", "staff", "hr")) == set()


async def test_a_user_grant_is_not_a_group_grant(store: ChunkStore) -> None:
    await store.upsert([point("mine", Access("acme", frozenset({"user:staff"})))])
    assert await found(store, asks(1), reader("acme", "staff")) == set()
    assert await found(store, asks(1), reader("acme", subject="staff")) == {"mine"}


async def test_fetch_checks_access_again(store: ChunkStore) -> None:
    denied = Access("acme", frozenset({"group:staff"}), frozenset({"user:u"}))
    hidden = [point("hr", HR), point("other", OTHER), point("denied", denied)]
    shown = point("staff", STAFF)
    await store.upsert([*hidden, shown])
    for one in hidden:
        fetched = await store.fetch([one.id, shown.id], reader("acme", "staff"))
        assert [(hit.id, hit.ref, hit.access) for hit in fetched.hits] == [(shown.id, shown.ref, STAFF)]
        assert fetched.forbidden == 1, "a store that was asked for a forbidden chunk says so"
    assert await store.fetch([], reader("acme", "staff")) == Fetched((), 0)


async def test_a_chunk_keeps_the_header_of_its_table(store: ChunkStore) -> None:
    first, later = point("prices", STAFF), point("prices", STAFF, start=10)
    later = replace(later, ref=replace(later.ref, header="Room | Price"))
    await store.upsert([first, later])
    fetched = await store.fetch([first.id, later.id], reader("acme", "staff"))
    assert {hit.ref for hit in fetched.hits} == {first.ref, later.ref}


async def test_callers_filter_only_narrows(store: ChunkStore) -> None:
    await store.upsert(
        [
            point("old", STAFF, category="policy", updated=date(2024, 5, 1)),
            point("new", STAFF, category="policy", updated=date(2026, 5, 1)),
            point("note", STAFF, category="note", updated=date(2026, 5, 1)),
            point("undated", STAFF, category="policy"),
            point("hr", HR, category="policy", updated=date(2026, 5, 1)),
        ]
    )
    staff = reader("acme", "staff")
    policies = Narrowing(category=("policy",))
    assert await found(store, asks(1), staff, policies) == {"old", "new", "undated"}
    assert await found(store, asks(1), staff, Narrowing(updated_after=date(2026, 5, 1))) == {"new", "note"}
    assert await found(store, asks(1), staff, Narrowing(updated_before=date(2024, 5, 1))) == {"old"}
    recent_policies = Narrowing(("policy",), date(2025, 1, 1), date(2026, 12, 31))
    assert await found(store, asks(1), staff, recent_policies) == {"new"}
    assert await found(store, asks(1), reader("acme", "nobody"), policies) == set()


async def test_scores_are_cosine_and_bm25(store: ChunkStore) -> None:
    first, second = point("a", STAFF, words=(1, 2)), point("b", STAFF, words=(1,))
    await store.upsert([first, second, point("c", STAFF, words=(3,))])
    legs = await store.score(asks(1, 2), reader("acme", "staff"), ANYTHING)
    assert legs.dense[0][0] == first.id
    assert legs.cosine[second.id] == pytest.approx(1 / math.sqrt(2), abs=0.01)
    idf_one, idf_two = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5)
    assert dict(legs.sparse) == pytest.approx({first.id: idf_one + idf_two, second.id: idf_one}, rel=1e-4)


async def test_bm25_statistics_count_permitted_chunks_only(store: ChunkStore) -> None:
    mine = point("mine", STAFF, words=(1, 2))
    await store.upsert([mine, point("also", STAFF, words=(2,))])
    before = dict((await store.score(asks(1), reader("acme", "staff"), ANYTHING)).sparse)
    await store.upsert([point(f"other-{n}", OTHER, words=(1,)) for n in range(20)])
    await store.upsert([point(f"hr-{n}", HR, words=(1,)) for n in range(20)])
    after = dict((await store.score(asks(1), reader("acme", "staff"), ANYTHING)).sparse)
    assert after == before
    everyone = dict((await store.score(asks(1, limit=99), reader("acme", "staff", "hr"), ANYTHING)).sparse)
    assert everyone[mine.id] != before[mine.id], "the control: with more permitted chunks the score has to move"


async def test_a_callers_filter_changes_no_score(store: ChunkStore) -> None:
    policies = [point(f"policy-{n}", STAFF, words=(1, 2), category="policy") for n in range(3)]
    notes = [point(f"note-{n}", STAFF, words=(1, n + 3), category="note") for n in range(5)]
    await store.upsert([*policies, *notes])
    every = await store.score(asks(1, 2), reader("acme", "staff"), ANYTHING)
    some = await store.score(asks(1, 2), reader("acme", "staff"), Narrowing(category=("policy",)))
    ids = {one.id for one in policies}
    assert dict(some.sparse) == {chunk: score for chunk, score in every.sparse if chunk in ids}
    assert dict(some.dense) == {chunk: score for chunk, score in every.dense if chunk in ids}


async def test_neither_leg_finds_what_is_hidden(store: ChunkStore) -> None:
    """Each leg by itself: what only one of them could find is hidden in turn."""
    await store.upsert([point(f"near-{n}", STAFF, words=(1,)) for n in range(4)])
    denied = Access("acme", frozenset({"group:staff"}), frozenset({"user:u"}))
    for n, access in enumerate((HR, OTHER, denied)):
        await store.upsert([point(f"lexical-{n}", access, words=(77,)), point(f"nearest-{n}", access, words=(9, 1))])
    nearest = [0.0, 1.0] + [0.0] * (DIMENSIONS - 2)
    legs = await store.score(HybridQuery(nearest, SparseVector([77], [1.0]), 20), reader("acme", "staff"), ANYTHING)
    assert list(legs.sparse) == []
    assert len(legs.dense) == 4
    assert len(legs.cosine) == 4


async def test_the_cosine_of_a_bm25_only_hit_is_known(store: ChunkStore) -> None:
    near = [point(f"near-{n}", STAFF, words=(1,)) for n in range(5)]
    lexical = point("lexical", STAFF, words=(77, 3))
    await store.upsert([*near, lexical])
    query = HybridQuery([0.0, 1.0] + [0.1] * (DIMENSIONS - 2), SparseVector([77], [1.0]), 3)
    legs = await store.score(query, reader("acme", "staff"), ANYTHING)
    assert [chunk for chunk, _ in legs.sparse] == [lexical.id]
    assert lexical.id not in dict(legs.dense)
    assert 0 < legs.cosine[lexical.id] < 1


async def test_a_question_of_stop_words_still_has_a_dense_leg(store: ChunkStore) -> None:
    await store.upsert([point("staff", STAFF)])
    legs = await store.score(
        HybridQuery([1.0] * DIMENSIONS, SparseVector([], []), 5), reader("acme", "staff"), ANYTHING
    )
    assert (len(legs.dense), list(legs.sparse)) == (1, [])


async def test_describing_changes_access_and_metadata_without_vectors(store: ChunkStore) -> None:
    chunks = [point("doc", STAFF, start=n * 10) for n in range(3)]
    await store.upsert([*chunks, point("else", STAFF)])
    await store.describe("doc", HR, "policy", date(2026, 1, 1))
    assert await found(store, asks(1), reader("acme", "staff")) == {"else"}
    assert await found(store, asks(1), reader("acme", "hr"), Narrowing(category=("policy",))) == {"doc"}
    assert await store.count() == 4


async def test_one_tenants_document_is_not_anothers(store: ChunkStore) -> None:
    await store.upsert([point("doc", STAFF), point("doc", OTHER)])
    await store.describe("doc", Access("other", frozenset()), None, None)
    assert await found(store, asks(1), reader("acme", "staff")) == {"doc"}
    assert await found(store, asks(1), reader("other", "staff")) == set()
    await store.delete("other", "doc")
    assert await found(store, asks(1), reader("acme", "staff")) == {"doc"}


async def test_deleting_keeps_the_version_named_and_counts_what_went(store: ChunkStore) -> None:
    old = [point("doc", STAFF, version="sha256:1", start=n * 10) for n in range(3)]
    await store.upsert([*old, point("doc", STAFF, version="sha256:2"), point("doc", OTHER), point("else", STAFF)])
    assert await store.delete("acme", "doc", keep="sha256:2") == 3
    assert await store.delete("acme", "doc", keep="sha256:2") == 0
    assert await store.count() == 3
    assert await store.delete("acme", "doc") == 1
    assert await store.delete("acme", "doc") == 0
    assert await store.delete("acme", "never") == 0
    assert await store.count() == 2


async def test_says_how_much_it_holds_of_one_document(store: ChunkStore) -> None:
    nobody = Access("acme", frozenset())
    await store.upsert([point("doc", nobody, version=version) for version in ("sha256:1", "sha256:2")])
    await store.upsert([point("doc", OTHER), point("else", STAFF)])
    assert await store.holds("acme", "doc") == 2, "whatever the version, and whoever may see it"
    assert await store.holds("other", "doc") == 1
    assert await store.holds("other", "else") == 0
    await store.delete("acme", "doc")
    assert await store.holds("acme", "doc") == 0
    assert await store.holds("other", "doc") == 1


async def test_rewriting_changes_nothing_that_is_found(store: ChunkStore) -> None:
    words = [(n % 7, n % 11 + 20, n % 3 + 40) for n in range(600)]
    await store.upsert([point(f"doc-{n}", STAFF, words=held, start=n) for n, held in enumerate(words)])
    await store.upsert([point("hr", HR, words=(1, 2), category="policy", updated=date(2026, 1, 1)), point("gone", HR)])
    await store.delete("acme", "gone")
    callers = [reader("acme", "staff"), reader("acme", "hr"), reader("acme", "staff", "hr"), reader("other", "staff")]
    questions = [(asks(n, n + 20, limit=700), who) for n in range(7) for who in callers]
    before = [await store.score(query, who, ANYTHING) for query, who in questions]
    assert await store.rewrite()
    for (query, who), old in zip(questions, before, strict=True):
        new = await store.score(query, who, ANYTHING)
        assert (new.dense, new.cosine) == (old.dense, old.cosine)
        assert dict(new.sparse) == pytest.approx(dict(old.sparse), rel=1e-6)
    assert (await store.count(), await store.holds("acme", "gone")) == (601, 0)
    recent = Narrowing(("policy",), date(2025, 1, 1))
    assert await found(store, asks(1), reader("acme", "hr"), recent) == {"hr"}
    await store.upsert([point("after", STAFF)])
    assert await store.holds("acme", "after") == 1
    await store.verify(DIMENSIONS)


async def test_a_store_in_which_little_was_deleted_is_left_alone(store: ChunkStore) -> None:
    assert not await store.tidy()


async def test_an_empty_store_can_be_rewritten(store: ChunkStore) -> None:
    assert await store.rewrite()
    await store.upsert([point("doc", STAFF)])
    assert await found(store, asks(1), reader("acme", "staff")) == {"doc"}


async def test_verifies_the_dimensions_of_its_vectors(store: ChunkStore) -> None:
    await store.upsert([point("doc", STAFF)])
    await store.verify(DIMENSIONS)
    with pytest.raises(StoreError, match="dimensions"):
        await store.verify(DIMENSIONS + 1)


async def test_nothing_of_what_never_was_can_be_read(store: ChunkStore) -> None:
    await store.upsert([point("doc", STAFF)])
    assert (await store.residue([b"never-written"])).found == 0


async def test_writing_again_changes_nothing(store: ChunkStore) -> None:
    await store.upsert([point("doc", STAFF)])
    await store.upsert([point("doc", STAFF)])
    assert await store.count() == 1


@pytest.mark.parametrize("broken", [math.nan, math.inf])
async def test_vectors_with_nan_never_reach_the_engine(store: ChunkStore, broken: float) -> None:
    vector = [broken] * DIMENSIONS
    with pytest.raises(StoreError, match="NaN"):
        await store.score(HybridQuery(vector, SparseVector([], []), 5), reader("acme", "staff"), ANYTHING)
    with pytest.raises(StoreError, match="NaN"):
        await store.upsert([replace(point("doc", STAFF), dense=vector)])


async def test_survives_being_closed(tmp_path: Path) -> None:
    first = EdgeStore.open(tmp_path / "idx", DIMENSIONS)
    await first.upsert([point("doc", STAFF)])
    await first.flush()
    with pytest.raises(StoreLocked, match="another process"):
        EdgeStore.open(tmp_path / "idx", DIMENSIONS)
    await first.optimize()
    await first.close()
    second = EdgeStore.open(tmp_path / "idx", DIMENSIONS)
    assert await found(second, asks(1), reader("acme", "staff")) == {"doc"}
    await second.close()


async def test_all_stores_agree(tmp_path: Path) -> None:
    """The same random chunks and questions give the same candidates and scores everywhere."""
    async with AsyncExitStack() as stack:
        kinds = ["memory", "edge", "local"]
        await _compare([await stack.enter_async_context(opened(kind, tmp_path)) for kind in kinds], random.Random(7))


async def _compare(stores: list[ChunkStore], rng: random.Random) -> None:
    groups = ["a", "b", "c", "d"]
    points = []
    for n in range(120):
        allow = frozenset(f"group:{group}" for group in rng.sample(groups, rng.randint(0, 2)))
        deny = frozenset(f"group:{group}" for group in rng.sample(groups, rng.choice([0, 0, 1])))
        words = tuple(rng.sample(range(40), rng.randint(1, 6)))
        points.append(point(f"doc-{n}", Access(rng.choice(["acme", "other"]), allow, deny), words=words))
    for store in stores:
        await store.upsert(points)
    for _ in range(40):
        access = reader(rng.choice(["acme", "other"]), *rng.sample(groups, rng.randint(0, 3)))
        query = asks(*rng.sample(range(40), 3), limit=200)
        reference, *others = [await store.score(query, access, ANYTHING) for store in stores]
        for legs in others:
            assert dict(legs.cosine) == pytest.approx(dict(reference.cosine), abs=1e-5)
            assert dict(legs.sparse) == pytest.approx(dict(reference.sparse), rel=1e-4)
