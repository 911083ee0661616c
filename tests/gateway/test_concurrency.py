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
    waiting: deque["Question"] = field(default_factory=deque)
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


@dataclass(eq=False)
class Question:
    """One that was let in; `running` is when the engine has begun with it."""

    began: float
    running: bool = False
    waited: float | None = None
    over: bool = False


def simulate(
    engine: Engine,
    load: Callable[[float], float],
    seconds: float,
    concurrency: Concurrency,
    patience: float | None = None,
) -> Run:
    """Questions come at random, `load(now)` a second, whatever becomes of the others; who has no patience left goes."""
    run, random = Run(), Random(7)
    events: list[tuple[float, int, str, Question]] = [(0.0, 0, "asked", Question(0.0))]
    order = 0

    def later(after: float, kind: str, question: Question) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (engine.now + after, order, kind, question))

    def start(question: Question) -> None:
        engine.running += 1
        question.running = True
        later(0.1 * engine.seconds, "heard", question)
        later(engine.seconds, "done", question)

    def ask(question: Question) -> None:
        if patience is not None:
            later(patience, "gone", question)
        if engine.running < engine.slots:
            start(question)
        elif len(engine.waiting) < engine.queue:
            engine.waiting.append(question)
        else:
            run.pushed_back += 1
            concurrency.pushed_back()
            end(question)

    def end(question: Question) -> None:
        question.over = True
        concurrency.leaves("acme")
        if question.running:
            engine.running -= 1
        while engine.waiting and engine.running < engine.slots:
            if not (following := engine.waiting.popleft()).over:
                start(following)

    while events and events[0][0] < seconds:
        engine.now, _, kind, question = heapq.heappop(events)
        if kind == "asked":
            later(random.expovariate(load(engine.now)), "asked", question)
            run.limits.append((engine.now, concurrency.limit))
            if concurrency.enters("interactive", "acme"):
                ask(Question(engine.now))
        elif question.over:
            continue
        elif kind == "heard":
            question.waited = concurrency.heard(question.began)
            run.first_words.append((engine.now, question.waited))
        elif kind == "done":
            run.done.append(engine.now)
            end(question)
        else:
            concurrency.cut_off(question.began, question.waited)
            end(question)
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
    assert sum(concurrency.enters("batch", "acme") for _ in range(20)) == 12
    assert sum(concurrency.enters("interactive", "acme") for _ in range(20)) == 4
    assert not concurrency.enters("batch", "acme")
    concurrency.leaves("acme")
    assert not concurrency.enters("batch", "acme"), "who waits for an answer comes first"
    assert concurrency.enters("interactive", "acme")


def test_at_least_one_is_let_in_of_whatever_priority() -> None:
    concurrency = Concurrency(1, GOAL)
    assert concurrency.enters("batch", "acme")
    assert not concurrency.enters("interactive", "acme")


@pytest.mark.parametrize("patience", [2.0, 1.0])
@pytest.mark.parametrize(("slots", "seconds"), [(8, 0.5), (32, 0.5), (64, 0.6)])
def test_callers_who_do_not_wait_long_are_answered_too(slots: int, seconds: float, patience: float) -> None:
    """Only the quick ones are ever heard, and many whose first word came in time leave before the last."""
    engine, capacity = Engine(slots, seconds), slots / seconds
    concurrency = Concurrency(256, GOAL, engine)
    run = simulate(engine, lambda _: 5 * capacity, 90, concurrency, patience)
    assert run.rate(20, 90) >= 0.5 * capacity


def test_one_tenant_does_not_keep_another_out() -> None:
    concurrency = Concurrency(16, GOAL, engine := Engine(1, 1.0))
    assert sum(concurrency.enters("interactive", "acme") for _ in range(20)) == 16, "alone it may have all"
    for _ in range(6):
        concurrency.leaves("acme")
    for _ in range(6):
        assert concurrency.enters("interactive", "other")
    assert not concurrency.enters("interactive", "other")
    concurrency.leaves("acme")
    assert not concurrency.enters("interactive", "acme"), "it has more than half, and another wants in"
    assert concurrency.enters("interactive", "other")
    for _ in range(3):
        concurrency.leaves("acme")
    assert concurrency.enters("interactive", "acme"), "half is its own"
    engine.now += 4
    while concurrency.enters("interactive", "acme"):
        continue
    assert concurrency.running == 16, "nobody else wanted in for a while"


def test_who_finds_it_taken_by_one_other_gets_in_all_the_same() -> None:
    concurrency = Concurrency(256, GOAL, Engine(1, 1.0))
    while concurrency.enters("interactive", "acme"):
        continue
    assert (concurrency.running, concurrency.enters("interactive", "other")) == (64, True)
    assert sum(concurrency.enters("interactive", "other") for _ in range(99)) == 7, "an eighth"


def test_who_is_cut_off_at_once_changes_nothing() -> None:
    """What callers do cannot take places from others."""
    concurrency = Concurrency(256, GOAL, engine := Engine(1, 1.0))
    for _ in range(500):
        assert concurrency.enters("interactive", "acme")
        began, engine.now = engine.now, engine.now + 0.2
        concurrency.cut_off(began)
        concurrency.leaves("acme")
    assert concurrency.limit == 64
