"""The limit that follows the engine, held against engines that are simulated: on their clock, every run the same."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from statistics import mean

import pytest

from gateway.limits.concurrency import Concurrency

GOAL = 1.0


@dataclass
class Engine:
    """Makes `slots` answers at once, each in `seconds` of which a tenth is to the first word; the others wait.

    More than `queue` that wait are pushed back.
    """

    slots: int
    seconds: float
    queue: int = 10_000
    now: float = 0.0
    waiting: deque[float] = field(default_factory=deque)
    running: int = 0

    def __call__(self) -> float:
        return self.now


@dataclass
class Run:
    """What became of a load."""

    done: list[float] = field(default_factory=list)
    first_words: list[tuple[float, float]] = field(default_factory=list)
    limits: list[tuple[float, float]] = field(default_factory=list)
    pushed_back: int = 0

    def rate(self, since: float, until: float) -> float:
        """Answers a second."""
        return sum(since <= at < until for at in self.done) / (until - since)

    def first_word(self, since: float, until: float) -> float:
        """Mean seconds to it."""
        return mean(took for at, took in self.first_words if since <= at < until)


def simulate(engine: Engine, load: Callable[[float], float], seconds: float, concurrency: Concurrency) -> Run:
    """Questions come at random, `load(now)` a second, whatever becomes of the others."""
    run, random = Run(), Random(7)
    events: list[tuple[float, int, str, float]] = [(0.0, 0, "asked", 0.0)]
    order = 0

    def later(after: float, kind: str, began: float) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (engine.now + after, order, kind, began))

    def start(began: float) -> None:
        engine.running += 1
        later(0.1 * engine.seconds, "heard", began)
        later(engine.seconds, "done", began)

    while events and events[0][0] < seconds:
        engine.now, _, kind, began = heapq.heappop(events)
        if kind == "asked":
            later(random.expovariate(load(engine.now)), "asked", 0.0)
            run.limits.append((engine.now, concurrency.limit))
            if concurrency.enters("interactive"):
                if engine.running < engine.slots:
                    start(engine.now)
                elif len(engine.waiting) < engine.queue:
                    engine.waiting.append(engine.now)
                else:
                    run.pushed_back += 1
                    concurrency.pushed_back(engine.now)
                    concurrency.leaves()
        elif kind == "heard":
            concurrency.heard(began, engine.now - began)
            run.first_words.append((engine.now, engine.now - began))
        else:
            run.done.append(engine.now)
            concurrency.leaves()
            engine.running -= 1
            if engine.waiting:
                start(engine.waiting.popleft())
    return run


@pytest.mark.parametrize(("slots", "seconds"), [(4, 0.5), (8, 2.0), (32, 1.0), (64, 4.0), (200, 2.0)])
def test_at_five_times_the_capacity_nearly_all_of_it_is_used_and_words_come_in_time(slots: int, seconds: float) -> None:
    engine, capacity = Engine(slots, seconds), slots / seconds
    concurrency = Concurrency(256, GOAL, engine)
    run = simulate(engine, lambda _: 5 * capacity, 120, concurrency)
    assert run.rate(30, 120) >= 0.9 * capacity
    assert run.first_word(30, 120) <= 2 * GOAL


def test_an_engine_that_pushes_back_is_asked_for_less() -> None:
    engine = Engine(slots=8, seconds=0.5, queue=4)
    concurrency = Concurrency(256, GOAL, engine)
    run = simulate(engine, lambda _: 5 * 16, 60, concurrency)
    assert run.rate(10, 60) >= 0.9 * 16
    assert run.pushed_back <= 0.05 * len(run.done)


def test_a_load_that_is_over_is_over_at_once() -> None:
    """Before, five times as much for a minute, and after: nobody is refused who need not be."""
    engine = Engine(slots=16, seconds=1.0)
    concurrency = Concurrency(256, GOAL, engine)
    run = simulate(engine, lambda now: 80 if 60 <= now < 120 else 8, 240, concurrency)
    assert run.rate(20, 60) == pytest.approx(8, rel=0.15)
    assert run.rate(70, 120) >= 0.9 * 16
    assert run.rate(125, 240) == pytest.approx(8, rel=0.15)
    assert run.first_word(125, 240) < 0.2


def test_an_engine_that_becomes_slower_and_faster_again_is_followed() -> None:
    engine = Engine(slots=32, seconds=0.5)
    concurrency = Concurrency(256, GOAL, engine)

    def load(now: float) -> float:
        engine.seconds = 4.0 if 60 <= now < 120 else 0.5
        return 200

    run = simulate(engine, load, 180, concurrency)
    assert run.rate(20, 60) >= 0.9 * 64
    assert run.rate(80, 120) >= 0.9 * 8
    assert run.rate(150, 180) >= 0.9 * 64, "within 30 s"


def test_with_little_to_do_the_limit_is_not_touched() -> None:
    engine = Engine(slots=64, seconds=1.0)
    concurrency = Concurrency(256, GOAL, engine)
    simulate(engine, lambda _: 4.0, 120, concurrency)
    assert 16 <= concurrency.limit <= 64


def test_batches_are_let_in_while_there_is_room_to_spare() -> None:
    concurrency = Concurrency(16, GOAL)
    assert sum(concurrency.enters("batch") for _ in range(20)) == 12
    assert sum(concurrency.enters("interactive") for _ in range(20)) == 4
    assert not concurrency.enters("batch")
    concurrency.leaves()
    assert not concurrency.enters("batch"), "who waits for an answer comes first"
    assert concurrency.enters("interactive")


def test_at_least_one_is_let_in_of_whatever_priority() -> None:
    concurrency = Concurrency(1, GOAL)
    assert concurrency.enters("batch")
    assert not concurrency.enters("interactive")
