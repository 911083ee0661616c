"""What goes over the wire to a Qdrant server, what a collection has to be, and that every failure is a StoreError."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any

import grpc
import pytest
from qdrant_client import grpc as wire
from qdrant_client import models

from retrieval.errors import StoreError
from retrieval.store import ChunkStore, HybridQuery, Narrowing, SparseVector
from retrieval.stores import qdrant_store
from retrieval.stores.qdrant_server import MOST, endpoint
from retrieval.stores.qdrant_store import QdrantStore
from tests.contracts.qdrant_double import Double, Refused, running
from tests.contracts.stores import ANYTHING, DIMENSIONS, HR, QUIET, STAFF, asks, point, reader

pytestmark = QUIET
NAME, KEY = "idx-docs-0a1b2c3d", "a-very-secret-key"
FIELDS = {"tenant", "allow", "deny", "document", "version", "category", "updated"}


@pytest.fixture
async def double() -> AsyncIterator[Double]:
    async with running() as one:
        yield one


@pytest.fixture
async def store(double: Double) -> AsyncIterator[QdrantStore]:
    opened = await QdrantStore.open(double.url, NAME, DIMENSIONS, KEY)
    yield opened
    await opened.close()


async def test_payload_indexes_stand_before_anything_is_written(double: Double, store: QdrantStore) -> None:
    await store.upsert([point("doc", STAFF)])
    order = [name for name, _, _ in double.heard]
    indexed = [n for n, name in enumerate(order) if name == "Points.CreateFieldIndex"]
    assert max(indexed) < order.index("Points.Upsert")
    assert order.index("Collections.Create") < min(indexed)
    assert set(double.indexes[NAME]) == FIELDS
    tenant = double.indexes[NAME]["tenant"].params
    assert isinstance(tenant, models.KeywordIndexParams)
    assert tenant.is_tenant is True


async def test_a_collection_is_exact_and_strict(double: Double, store: QdrantStore) -> None:
    (made,) = double.requests("Collections.Create")
    strict = made.strict_mode_config
    assert (strict.enabled, strict.search_allow_exact, strict.max_query_limit) == (True, True, MOST)
    assert strict.HasField("unindexed_filtering_retrieve")
    assert strict.HasField("unindexed_filtering_update")
    assert not strict.unindexed_filtering_retrieve
    assert not strict.unindexed_filtering_update
    assert made.hnsw_config.HasField("m")
    assert made.hnsw_config.m == 0
    assert made.collection_name == NAME


async def test_every_write_waits_and_is_strongly_ordered(double: Double, store: QdrantStore) -> None:
    await store.upsert([point("doc", STAFF, start=n * 10) for n in range(600)])
    await store.describe("doc", HR, None, None)
    assert await store.delete("acme", "doc") == 600
    methods = {"Points.Upsert": 2, "Points.SetPayload": 1, "Points.Delete": 1}
    for method, times in methods.items():
        requests = double.requests(method)
        assert len(requests) == times
        assert all(one.wait and one.ordering.type == wire.WriteOrderingType.Strong for one in requests), method


async def test_every_query_carries_the_access_filter_at_its_root(double: Double, store: QdrantStore) -> None:
    near = [point(f"near-{n}", STAFF, words=(1,)) for n in range(5)]
    await store.upsert([*near, point("lexical", STAFF, words=(77, 3))])
    dense = [0.0, 1.0] + [0.1] * (DIMENSIONS - 2)
    narrowing = Narrowing(("policy",), date(2026, 1, 1))
    await store.score(HybridQuery(dense, SparseVector([77], [1.0]), 3), reader("acme", "staff"), ANYTHING)
    await store.score(HybridQuery(dense, SparseVector([77], [1.0]), 3), reader("acme", "staff"), narrowing)
    queries = [one for batch in double.requests("Points.QueryBatch") for one in batch.query_points]
    assert len(queries) == 5, "two legs each, and the cosine of what only BM25 found"
    for one in queries:
        assert_permits_only(one.filter)
        assert not one.prefetch, "a prefetch would need the filter too"
    sparse = [one for one in queries if one.using == "bm25"]
    assert len(sparse) == 2
    for one in sparse:
        assert_permits_only(one.params.idf.corpus)
        assert {part.field.key for part in one.params.idf.corpus.must} == {"tenant", "allow"}, "and nothing narrows it"
    assert all(one.params.exact for one in queries if one.using == "dense")


def assert_permits_only(chosen: Any) -> None:
    """The filter that staff of acme are read under, whatever else stands beside it."""
    must = {part.field.key: part.field.match for part in chosen.must if part.HasField("field")}
    assert must["tenant"].keyword == "acme"
    assert list(must["allow"].keywords.strings) == ["group:staff", "user:u"]
    ((denied),) = chosen.must_not
    assert denied.field.key == "deny"
    assert list(denied.field.match.keywords.strings) == ["group:staff", "user:u"]
    assert not chosen.should


async def test_a_leg_asks_for_no_more_than_strict_mode_allows(double: Double, store: QdrantStore) -> None:
    await store.upsert([point("doc", STAFF)])
    legs = await store.score(asks(1, limit=50 * MOST), reader("acme", "staff"), ANYTHING)
    assert len(legs.dense) == 1
    assert {one.limit for one in double.requests("Points.QueryBatch")[0].query_points} == {MOST}


@pytest.mark.parametrize("version", ["1.18.4", "1.9.0", "0.99.0", "", "unknown"])
async def test_a_server_that_ignores_the_scope_is_refused(double: Double, version: str) -> None:
    double.version = version
    with pytest.raises(StoreError, match=r"1\.19 or later"):
        await QdrantStore.open(double.url, NAME, DIMENSIONS)
    assert not double.requests("Collections.Create")


@pytest.mark.parametrize("version", ["1.19.0", "1.20.1-dev", "2.0.0"])
async def test_newer_servers_are_taken(double: Double, version: str) -> None:
    double.version = version
    await (await QdrantStore.open(double.url, NAME, DIMENSIONS)).close()


async def test_a_server_that_was_replaced_by_an_older_one_does_not_pass(double: Double, store: QdrantStore) -> None:
    await store.verify(DIMENSIONS)
    double.version = "1.18.0"
    with pytest.raises(StoreError, match=r"1\.19 or later"):
        await store.verify(DIMENSIONS)


async def test_an_alias_is_no_index_version(double: Double, store: QdrantStore) -> None:
    alias = models.CreateAlias(collection_name=NAME, alias_name="idx-live")
    await double.local.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    with pytest.raises(StoreError, match="'idx-live' is an alias"):
        await QdrantStore.open(double.url, "idx-live", DIMENSIONS)


async def test_opening_what_was_not_built_makes_nothing(double: Double) -> None:
    with pytest.raises(StoreError, match="no collection"):
        await QdrantStore.open(double.url, NAME, DIMENSIONS, create=False)
    assert not double.requests("Collections.Create")
    made = await QdrantStore.open(double.url, NAME, DIMENSIONS)
    await made.upsert([point("doc", STAFF)])
    again = await QdrantStore.open(double.url, NAME, DIMENSIONS, create=False)
    assert await again.count() == 1
    for one in (made, again):
        await one.close()


async def test_a_creation_that_died_is_taken_up(double: Double, store: QdrantStore) -> None:
    for field in ("allow", "updated"):
        del double.indexes[NAME][field]
    await (await QdrantStore.open(double.url, NAME, DIMENSIONS)).close()
    assert set(double.indexes[NAME]) == FIELDS


@pytest.mark.parametrize("field", sorted(FIELDS))
async def test_a_field_without_index_does_not_pass(double: Double, store: QdrantStore, field: str) -> None:
    await store.upsert([point("doc", STAFF)])
    await store.verify(DIMENSIONS)
    del double.indexes[NAME][field]
    with pytest.raises(StoreError, match=f"'{field}'"):
        await store.verify(DIMENSIONS)
    with pytest.raises(StoreError, match=f"'{field}'"):
        await QdrantStore.open(double.url, NAME, DIMENSIONS)


async def test_a_tenant_index_has_to_be_marked_as_one(double: Double, store: QdrantStore) -> None:
    double.indexes[NAME]["tenant"] = double.indexes[NAME]["allow"]
    with pytest.raises(StoreError, match="not a tenant index"):
        await store.verify(DIMENSIONS)


async def test_strict_mode_has_to_be_on(double: Double, store: QdrantStore) -> None:
    double.strict[NAME].unindexed_filtering_retrieve = True
    with pytest.raises(StoreError, match="strict mode"):
        await store.verify(DIMENSIONS)


async def test_other_vectors_do_not_pass(double: Double, store: QdrantStore) -> None:
    with pytest.raises(StoreError, match=f"{DIMENSIONS + 1} dimensions"):
        await QdrantStore.open(double.url, NAME, DIMENSIONS + 1)
    dense = {"dense": models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)}
    await double.local.create_collection("plain", dense, {"bm25": models.SparseVectorParams()})
    double.indexes["plain"], double.strict["plain"] = double.indexes[NAME], double.strict[NAME]
    with pytest.raises(StoreError, match="IDF"):
        await QdrantStore.open(double.url, "plain", DIMENSIONS)


async def test_dropping_leaves_no_collection(double: Double, store: QdrantStore) -> None:
    assert await store.drop() is True
    assert not await double.local.collection_exists(NAME)
    with pytest.raises(StoreError):
        await store.count()


async def test_what_does_not_fit_can_be_discarded(double: Double, store: QdrantStore) -> None:
    del double.indexes[NAME]["tenant"]
    await store.upsert([point("doc", STAFF)])
    assert await QdrantStore.discard(double.url, NAME, KEY) is True
    assert not await double.local.collection_exists(NAME)
    assert await QdrantStore.discard(double.url, NAME, KEY) is False


async def test_an_alias_is_not_discarded(double: Double, store: QdrantStore) -> None:
    alias = models.CreateAlias(collection_name=NAME, alias_name="idx-live")
    await double.local.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    with pytest.raises(StoreError, match="alias"):
        await QdrantStore.discard(double.url, "idx-live", KEY)
    assert await store.count() == 0


async def test_an_erasure_says_that_nobody_can_look_into_a_server(store: QdrantStore) -> None:
    assert (await store.residue([b"doc"])).scanned is None
    assert "server" in await store.rewrite()


CALLS: dict[str, Callable[[ChunkStore], Awaitable[object]]] = {
    "Points.Upsert": lambda store: store.upsert([point("doc", STAFF)]),
    "Points.SetPayload": lambda store: store.describe("doc", STAFF, None, None),
    "Points.Delete": lambda store: store.delete("acme", "doc"),
    "Points.Count": lambda store: store.holds("acme", "doc"),
    "Points.Get": lambda store: store.fetch([1], reader("acme", "staff")),
    "Points.QueryBatch": lambda store: store.score(asks(1), reader("acme", "staff"), ANYTHING),
    "Qdrant.HealthCheck": lambda store: store.verify(DIMENSIONS),
    "Collections.Get": lambda store: store.verify(DIMENSIONS),
}


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (grpc.StatusCode.UNAVAILABLE, "cannot be reached"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "in time"),
        (grpc.StatusCode.UNAUTHENTICATED, "API key"),
        (grpc.StatusCode.PERMISSION_DENIED, "API key"),
        (grpc.StatusCode.INVALID_ARGUMENT, r"refused \(INVALID_ARGUMENT\): because"),
        (grpc.StatusCode.INTERNAL, r"refused \(INTERNAL\): because"),
    ],
)
async def test_every_status_is_a_store_error(
    double: Double, store: QdrantStore, method: str, code: Any, said: str
) -> None:
    async def refuse(_: Any) -> Any:
        raise Refused(code, "because")

    double.broken[method] = refuse
    with pytest.raises(StoreError, match=said) as told:
        await CALLS[method](store)
    assert KEY not in f"{told.value!r}{told.value}"


async def test_a_server_that_hangs_is_given_up(
    double: Double, store: QdrantStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: Any) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(qdrant_store, "READ_SECONDS", 1)
    double.broken["Points.QueryBatch"] = hang
    with pytest.raises(StoreError, match="in time"):
        await CALLS["Points.QueryBatch"](store)


async def test_a_server_that_is_not_there_is_a_store_error() -> None:
    async with running() as gone:
        url = gone.url
    with pytest.raises(StoreError, match="cannot be reached"):
        await QdrantStore.open(url, NAME, DIMENSIONS, KEY)


async def test_a_server_that_goes_away_and_comes_back(double: Double, store: QdrantStore) -> None:
    await store.upsert([point("doc", STAFF)])

    async def refuse(_: Any) -> Any:
        raise Refused(grpc.StatusCode.UNAVAILABLE, "restarting")

    double.broken["Points.Count"] = refuse
    with pytest.raises(StoreError):
        await store.count()
    double.broken.clear()
    assert await store.count() == 1


def scored(*ids: Any) -> Any:
    return wire.BatchResult(result=[wire.ScoredPoint(id=one, score=1.0) for one in ids])


STRANGER = wire.PointId(uuid="7b0c0b9e-3f5e-4b0e-8c39-8f1c7d1c1a11")
STRANGE = {
    "no answer": wire.QueryBatchResponse(result=[]),
    "half an answer": wire.QueryBatchResponse(result=[scored()]),
    "a stranger's id": wire.QueryBatchResponse(result=[scored(STRANGER)] * 2),
}


@pytest.mark.parametrize("case", STRANGE)
async def test_an_unexpected_answer_is_a_store_error(double: Double, store: QdrantStore, case: str) -> None:
    async def answer(_: Any) -> Any:
        return STRANGE[case]

    double.broken["Points.QueryBatch"] = answer
    with pytest.raises(StoreError):
        await CALLS["Points.QueryBatch"](store)


async def test_a_chunk_that_somebody_else_wrote_is_a_store_error(double: Double, store: QdrantStore) -> None:
    vectors: dict[str, Any] = {"dense": [1.0] * DIMENSIONS}
    await double.local.upsert(NAME, [models.PointStruct(id=7, vector=vectors, payload={"tenant": "acme"})])
    with pytest.raises(StoreError, match="chunk 7"):
        await store.fetch([7], reader("acme", "staff"))


@pytest.mark.parametrize("method", ["Points.Upsert", "Points.SetPayload", "Points.Delete"])
@pytest.mark.parametrize("status", [wire.UpdateStatus.Acknowledged, wire.UpdateStatus.ClockRejected])
async def test_a_write_that_is_not_applied_yet_is_not_done(
    double: Double, store: QdrantStore, method: str, status: Any
) -> None:
    async def later(_: Any) -> Any:
        return wire.PointsOperationResponse(result=wire.UpdateResult(operation_id=1, status=status))

    double.broken[method] = later
    with pytest.raises(StoreError):
        await CALLS[method](store)


async def test_a_deletion_that_leaves_something_is_none(double: Double, store: QdrantStore) -> None:
    async def nothing(_: Any) -> Any:
        done = wire.UpdateStatus.Completed
        return wire.PointsOperationResponse(result=wire.UpdateResult(operation_id=1, status=done))

    await store.upsert([point("doc", STAFF)])
    double.broken["Points.Delete"] = nothing
    with pytest.raises(StoreError, match="still there"):
        await store.delete("acme", "doc")


async def test_the_key_goes_to_the_server_and_nowhere_else(double: Double, store: QdrantStore) -> None:
    await store.count()
    assert all(metadata["api-key"] == KEY for _, _, metadata in double.heard)
    assert KEY not in repr(store)
    assert KEY not in repr(vars(store))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://qdrant", ("qdrant", 6334, False)),
        ("http://qdrant:7000/", ("qdrant", 7000, False)),
        ("https://cloud.example", ("cloud.example", 6334, True)),
        ("https://[::1]:6334", ("[::1]", 6334, True)),
    ],
)
def test_a_url_names_the_grpc_port(url: str, expected: tuple[str, int, bool]) -> None:
    found = endpoint(url)
    assert (found.host, found.port, found.encrypted) == expected


@pytest.mark.parametrize(
    "url",
    ["", "qdrant:6334", "grpc://qdrant", "http://", f"http://u:{KEY}@qdrant", "http://qdrant/path", "http://q:port"],
)
def test_a_url_that_names_no_server_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(StoreError, match="http://host:port") as told:
        endpoint(url)
    assert KEY not in str(told.value)
