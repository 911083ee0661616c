"""What every store of kept answers promises: in this process, in a real Redis, and the one in front of the other."""

import secrets
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.cache.fronted_store import FrontedStore
from gateway.cache.memory_store import MemoryStore
from gateway.cache.names import Names
from gateway.cache.redis_store import RedisStore
from gateway.cache.store import ANY, Kept, Store
from gateway.redis_link import RedisLink
from tests.redis_server import RedisServer, running_redis

PATIENCE = 10.0  # this machine may be busy with other tests
ROOM = 1 << 20
NAMES = Names(b"a secret that only these tests have")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture(params=["process", "redis", "fronted"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    made: Store = MemoryStore(ROOM)
    if request.param != "process":
        shared = RedisStore(RedisLink(request.getfixturevalue("redis").url, PATIENCE), NAMES)
        made = shared if request.param == "redis" else FrontedStore(MemoryStore(ROOM), shared)
    yield made
    await made.close()


@pytest.fixture
def tenant() -> str:
    """Nobody else's."""
    return f"tenant {secrets.token_hex(4)} }}{{"


def kept(tenant: str, name: str, *documents: str, value: bytes = b"words", seconds: float = 60.0) -> Kept:
    return Kept(tenant, name, frozenset((*documents, ANY)), round(time.time() + seconds, 3), value)


async def test_what_is_put_is_got_under_its_name_alone(store: Store, tenant: str) -> None:
    put = kept(tenant, "a", "x", "y", value=bytes(range(256)))
    await store.put(put)
    assert await store.get(tenant, "a") == put
    assert await store.get(tenant, "b") is None
    assert await store.get(f"{tenant} too", "a") is None


async def test_the_last_one_of_a_name_stays(store: Store, tenant: str) -> None:
    await store.put(kept(tenant, "a", "x", value=b"before"))
    await store.put(last := kept(tenant, "a", "y", value=b"after"))
    assert await store.get(tenant, "a") == last
    assert await store.purge(tenant, ["y"]) == 1


async def test_what_is_dropped_is_gone(store: Store, tenant: str) -> None:
    await store.put(kept(tenant, "a", "x"))
    await store.put(other := kept(tenant, "b", "x"))
    await store.drop(tenant, "a")
    await store.drop(tenant, "never was")
    assert await store.get(tenant, "a") is None
    assert await store.get(tenant, "b") == other


async def test_nothing_is_given_beyond_its_time(store: Store, tenant: str) -> None:
    await store.put(kept(tenant, "a", "x", seconds=0.05))
    time.sleep(0.06)  # noqa: ASYNC251 - nothing else is to happen
    assert await store.get(tenant, "a") is None


async def test_a_document_takes_its_answers_with_it_and_no_others(store: Store, tenant: str) -> None:
    for name, documents in {"a": ["x"], "b": ["x", "y"], "c": ["y", "z"], "d": []}.items():
        await store.put(kept(tenant, name, *documents))
    await store.put(kept(f"{tenant} too", "a", "x"))
    assert await store.purge(tenant, ["x", "nothing has this"]) == 2
    assert [name for name in "abcd" if await store.get(tenant, name)] == ["c", "d"]
    assert await store.get(f"{tenant} too", "a") is not None
    assert await store.purge(tenant, ["x"]) == 0


async def test_all_answers_of_a_tenant_can_go(store: Store, tenant: str) -> None:
    for n in range(40):
        await store.put(kept(tenant, f"name {n}", f"document {n}"))
    await store.put(kept(f"{tenant} too", "a", "x"))
    assert await store.purge(tenant, [ANY]) == 40
    assert not [n for n in range(40) if await store.get(tenant, f"name {n}")]
    assert await store.get(f"{tenant} too", "a") is not None


async def test_what_is_left_is_looked_through_where_it_can_be(store: Store, tenant: str) -> None:
    await store.put(kept(tenant, "a", "x", value=b"the words of a document"))
    await store.put(kept(f"{tenant} too", "a", "x", value=b"the words of a document"))
    found = await store.residue(tenant, [b"words of", b"words that nobody said"])
    assert found.scanned is None or (found.scanned > 0 and found.found == 1)
    await store.purge(tenant, [ANY])
    assert (await store.residue(tenant, [b"words of"])).found == 0, "what another tenant's documents say is theirs"
