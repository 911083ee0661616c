"""Kept answers in a real Redis: sealed, never another's, gone by themselves, and no failure when Redis is away."""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from structlog.typing import EventDict

from gateway.app import create_app
from gateway.cache.fronted_store import FrontedStore
from gateway.cache.memory_store import MemoryStore
from gateway.cache.names import Names
from gateway.cache.redis_store import RedisStore
from gateway.cache.store import ANY, CacheUnavailable, Kept
from gateway.redis_link import RedisLink
from tests.gateway.house import REFUND, House, make_house, opening
from tests.gateway.librarians import hire, path, send
from tests.redis_server import RedisServer, running_redis

PATIENCE = 10.0  # this machine may be busy with other tests
SECRET = "a secret that only these tests have"
NAMES = Names(SECRET.encode())
CALLS, AT_ONCE, OWNERS = 10_000, 100, 37


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def store(redis: RedisServer) -> AsyncIterator[RedisStore]:
    made = RedisStore(RedisLink(redis.url, PATIENCE), NAMES)
    yield made
    await made.close()


def of(owner: int) -> Kept:
    """What belongs to one of the owners, and to nobody else."""
    value = hashlib.sha256(str(owner).encode()).digest() * (1 + owner * 20)
    return Kept(f"tenant {owner % 5}", f"answer {owner}", frozenset({f"d{owner}", ANY}), time.time() + 600, value)


async def test_ten_thousand_calls_that_are_cut_off_give_nobody_anothers_answer(store: RedisStore) -> None:
    owned, order = [of(owner) for owner in range(OWNERS)], random.Random(6)
    for one in owned:
        await store.put(one)
    given, cancelled = 0, 0

    async def ask(n: int) -> None:
        nonlocal given
        mine = owned[n % OWNERS]
        if n % 10 == 0:
            await store.put(mine)
        kept = await store.get(mine.tenant, mine.name)
        assert kept is not None
        assert (kept.value, kept.documents) == (mine.value, mine.documents)
        given += 1

    for start in range(0, CALLS, AT_ONCE):
        asking = [asyncio.create_task(ask(n)) for n in range(start, start + AT_ONCE)]
        for task in order.sample(asking, AT_ONCE):
            if order.random() < 0.3:
                await asyncio.sleep(order.random() * 0.0005)
            if order.random() < 0.7:
                cancelled += task.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert not [one for one in ended if isinstance(one, Exception)]
    assert given > CALLS / 100, "the control: some came to their end"
    assert cancelled > CALLS / 100, "the control: some did not"
    for one in owned:
        kept = await store.get(one.tenant, one.name)
        assert kept is not None
        assert kept.value == one.value


async def test_redis_holds_no_word_and_no_name(store: RedisStore, redis: RedisServer) -> None:
    words = b"Customers may ask for a refund."
    await store.put(Kept("acme", "n" * 64, frozenset({"policies/refunds.md", ANY}), time.time() + 60, words))
    keys = redis.run("KEYS", "*").splitlines()
    assert len(keys) == 3
    assert len({key[key.index("{") : key.index("}") + 1] for key in keys}) == 1, "one slot of a cluster"
    (answer,) = (key for key in keys if ":answer:" in key)
    told = "\n".join([*keys, *(redis.run("ZRANGE", key, "0", "-1") for key in keys if key != answer)])
    link = RedisLink(redis.url, PATIENCE)
    held = await link.get(answer) or b""
    await link.close()
    assert len(held) > len(words)
    assert not [word for word in ("acme", "refund", "policies", "Customers") if word in told or word.encode() in held]
    assert all(0 < int(redis.run("PTTL", key)) <= 60_000 for key in keys)


async def test_what_was_put_under_another_name_or_secret_is_not_opened(store: RedisStore, redis: RedisServer) -> None:
    mine, others = of(1), of(6)
    assert mine.tenant == others.tenant
    await store.put(mine)
    await store.put(others)
    keys = {key.rpartition(":")[2]: key for key in redis.run("KEYS", "*:answer:*").splitlines()}
    redis.run("COPY", keys[others.name], keys[mine.name], "REPLACE")
    with pytest.raises(CacheUnavailable, match="what no gateway with this secret put there"):
        await store.get(mine.tenant, mine.name)
    redis.run("SET", keys[mine.name], "short")
    with pytest.raises(CacheUnavailable, match="what no gateway with this secret put there"):
        await store.get(mine.tenant, mine.name)
    another = RedisStore(RedisLink(redis.url, PATIENCE), Names(b"another"))
    assert await another.get(others.tenant, others.name) is None
    await another.close()


async def test_documents_forget_answers_whose_time_is_over(store: RedisStore, redis: RedisServer) -> None:
    for n in range(20):
        await store.put(Kept("acme", f"short {n}", frozenset({"d"}), time.time() + 0.05, b"x"))
    await asyncio.sleep(0.1)
    await store.put(Kept("acme", "long", frozenset({"d"}), time.time() + 60, b"x"))
    (document,) = redis.run("KEYS", "*:document:*").splitlines()
    assert redis.run("ZCARD", document) == "1"


async def test_without_redis_each_process_goes_on_with_its_own(redis: RedisServer, logged: list[EventDict]) -> None:
    clock = [0.0]
    behind = RedisStore(RedisLink(redis.url, PATIENCE), NAMES)
    store = FrontedStore(MemoryStore(1 << 20), behind, clock=lambda: clock[-1])
    await store.put(of(1))
    redis.kill()
    await store.put(of(2))
    assert [one is not None for one in [await store.get(of(n).tenant, of(n).name) for n in (1, 2, 3)]] == [1, 1, 0]
    with pytest.raises(CacheUnavailable):
        await store.purge(of(1).tenant, ["d1"])
    assert await store.get(of(1).tenant, of(1).name) is None, "here it is gone"
    redis.start()
    states = []
    for now in (0.5, 1.5):
        clock.append(now)
        assert await store.get(of(3).tenant, of(3).name) is None
        states.append(store.degraded)
    assert states == [True, False], "who asks within a second does not look"
    assert [line["event"] for line in logged] == ["cache_degraded", "cache_shared_again"]
    await store.close()


def shared(folder: Path, redis: RedisServer) -> House:
    folder.mkdir(exist_ok=True)
    house = hire(make_house(folder, cache="redis", cache_secret=SECRET, redis_url=redis.url))
    house.model.says(f"{REFUND[:-1]} [1].")
    house.app = create_app(house.settings, opening(house))
    return house


def test_what_one_gateway_made_another_gives(redis: RedisServer, tmp_path: Path, logged: list[EventDict]) -> None:
    for folder, said, asked in (("one", "miss", 1), ("other", "hit", 0)):
        house = shared(tmp_path / folder, redis)
        with TestClient(house.app) as house.client:
            answer = house.ask()
            assert answer.headers["x-twinpin-cache"] == said
            assert answer.json()["answer"] == f"{REFUND[:-1]} [1]."
            assert len(house.generator.exchanges) == asked


def test_redis_that_goes_away_is_no_error_but_an_erasure_waits_for_it(
    redis: RedisServer, tmp_path: Path, logged: list[EventDict]
) -> None:
    house = shared(tmp_path, redis)
    with TestClient(house.app) as house.client:
        assert house.ask().headers["x-twinpin-cache"] == "miss"
        redis.kill()
        assert house.ask().headers["x-twinpin-cache"] == "hit"
        assert house.ask("Another question about refunds?").headers["x-twinpin-cache"] == "miss"
        assert house.count("twinpin_cache_degraded") == 1
        refused = send(house, "DELETE", f"{path('policies/refunds.md')}?erase=true", "wanda")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "erasure_incomplete")
        redis.start()
        done = send(house, "DELETE", f"{path('policies/refunds.md')}?erase=true", "wanda").json()
        (told,) = [one for one in done["receipt"]["stores"] if one["store"] == "answer cache"]
        assert told["scanned"] is None
        assert told["until"] is not None
