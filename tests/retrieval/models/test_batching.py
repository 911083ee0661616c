"""Batches: what waits goes together within bounds, who leaves costs nothing, and a full queue refuses."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import pytest

from retrieval.errors import EmbedderUnavailable
from retrieval.models.batching import Batcher
from retrieval.models.flights import Flights

Make: TypeAlias = Callable[..., Batcher[str, int]]


class Machine:
    """Gives each text's length, and works only while it is let."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.busy, self.let = threading.Event(), threading.Event()

    def __call__(self, texts: Sequence[str]) -> list[int]:
        self.batches.append(list(texts))
        self.busy.set()
        assert self.let.wait(5)
        if "bad" in texts:
            raise ValueError("a bad one")
        return [len(text) for text in texts]


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def make(machine: Machine) -> Iterator[Make]:
    made: list[Batcher[str, int]] = []

    def making(**bounds: Any) -> Batcher[str, int]:
        made.append(Batcher(machine, name="measure", full=EmbedderUnavailable, cost=len, **({"room": 100} | bounds)))
        return made[-1]

    yield making
    for one in made:
        one.close()


async def begun(batcher: Batcher[str, int], machine: Machine) -> asyncio.Task[int]:
    """A first item, which the machine is at."""
    first = asyncio.create_task(batcher.submit("first"))
    assert await asyncio.to_thread(machine.busy.wait, 5)
    return first


async def test_a_batch_has_at_most_so_many_items_and_so_much_of_what_they_cost(make: Make, machine: Machine) -> None:
    batcher = make(most=3, room=10)
    first = await begun(batcher, machine)
    rest = asyncio.gather(*(batcher.submit(text) for text in ("a", "bb", "ccc", "d", "e" * 50, "f" * 9, "gg")))
    await asyncio.sleep(0)
    machine.let.set()
    assert (await first, await rest) == (5, [1, 2, 3, 1, 50, 9, 2])
    assert machine.batches == [["first"], ["a", "bb", "ccc"], ["d"], ["e" * 50], ["f" * 9], ["gg"]]


async def test_who_leaves_before_the_turn_is_left_out_and_who_leaves_together_leaves_with_all(
    make: Make, machine: Machine
) -> None:
    batcher = make()
    first = await begun(batcher, machine)
    pair = asyncio.create_task(batcher.submit_all(["left", "left too"]))
    other = asyncio.create_task(batcher.submit_all(["kept", "and this"]))
    await asyncio.sleep(0)
    pair.cancel()
    await asyncio.sleep(0)
    machine.let.set()
    assert (await first, await other) == (5, [4, 8])
    assert machine.batches == [["first"], ["kept", "and this"]]


async def test_a_full_queue_refuses_until_there_is_room(make: Make, machine: Machine) -> None:
    batcher = make(waiting=2)
    first = await begun(batcher, machine)
    waiting = [asyncio.create_task(batcher.submit(text)) for text in ("a", "bb")]
    await asyncio.sleep(0)
    with pytest.raises(EmbedderUnavailable, match="2 wait to measure already"):
        await batcher.submit("one too many")
    with pytest.raises(EmbedderUnavailable):
        await batcher.submit_all(["and", "two"])
    waiting[0].cancel()
    await asyncio.sleep(0)
    instead = asyncio.create_task(batcher.submit("instead"))
    await asyncio.sleep(0)
    machine.let.set()
    assert (await first, await waiting[1], await instead) == (5, 2, 7)


async def test_a_failure_reaches_its_own_batch_only(make: Make, machine: Machine) -> None:
    batcher = make(most=2)
    machine.let.set()
    answers = await asyncio.gather(*(batcher.submit(text) for text in ("a", "bad", "ccc")), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["a bad one", "a bad one", "3"]
    with pytest.raises(ValueError, match="a bad one"):
        await batcher.submit_all(["bad", "a"])


class Work:
    """Work under way, counted."""

    def __init__(self) -> None:
        self.begun, self.given_up, self.ends = 0, 0, asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.ends.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return self.begun


async def test_a_flight_lands_while_anybody_waits_for_it() -> None:
    flights: Flights[int] = Flights()
    work = Work()
    waiting = [asyncio.create_task(flights.join(b"key", work)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    work.ends.set()
    assert await asyncio.gather(*waiting[1:]) == [1, 1]
    assert (work.begun, work.given_up) == (1, 0)
    assert await flights.join(b"key", work) == 2, "what has landed is over"


async def test_a_flight_that_nobody_waits_for_is_given_up() -> None:
    flights: Flights[int] = Flights()
    work = Work()
    waiting = [asyncio.create_task(flights.join(b"key", work)) for _ in range(2)]
    await asyncio.sleep(0.01)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.sleep(0)
    assert (work.begun, work.given_up) == (1, 1)
    work.ends.set()
    assert await flights.join(b"key", work) == 2


async def test_a_failed_flight_fails_for_all_and_the_next_one_starts_anew() -> None:
    async def failing() -> int:
        raise EmbedderUnavailable("not now")

    async def working() -> int:
        return 1

    flights: Flights[int] = Flights()
    answers = await asyncio.gather(*(flights.join(b"key", failing) for _ in range(3)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["not now"] * 3
    assert await flights.join(b"key", working) == 1
