"""Answers in this process stay within their bytes and their time."""

import random

from gateway.cache.memory_store import MemoryStore
from gateway.cache.store import ANY, Kept


def kept(n: int, size: int = 100, until: float = 60.0) -> Kept:
    return Kept("acme", f"answer {n}", frozenset({f"d{n % 7}", ANY}), until, bytes(size))


async def test_what_was_not_asked_for_the_longest_gives_way() -> None:
    store = MemoryStore(10 * 4_000, now=lambda: 0.0)
    for n in range(10):
        await store.put(kept(n))
    held = len(store)
    assert await store.get("acme", "answer 0") is not None
    for n in range(10, 10 + held - 1):
        await store.put(kept(n))
    assert await store.get("acme", "answer 0") is not None, "asked for in between"
    assert await store.get("acme", "answer 1") is None
    assert store.evicted > 0


async def test_it_never_holds_more_bytes_than_it_may_and_loses_count_of_none() -> None:
    rng, now = random.Random(6), 0.0
    store = MemoryStore(50_000, now=lambda: now)
    for n in range(3_000):
        now += 1
        await store.put(kept(rng.randrange(200), rng.randrange(20_000), now + rng.randrange(1, 50)))
        if n % 5 == 0:
            await store.purge("acme", [f"d{rng.randrange(7)}"])
        if n % 7 == 0:
            await store.drop("acme", f"answer {rng.randrange(200)}")
        assert store.bytes <= 50_000
        assert len(store._ends) <= 2 * len(store) + 64
    now += 100
    store.sweep()
    assert (len(store), store.bytes, store._by_document) == (0, 0, {})


async def test_what_is_larger_than_all_room_is_not_held() -> None:
    store = MemoryStore(10_000, now=lambda: 0.0)
    await store.put(kept(1))
    await store.put(kept(2, size=20_000))
    assert (len(store), store.evicted) == (1, 0)
