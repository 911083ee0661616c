"""Lending: opened once for all who name the same, closed by the last."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from retrieval.models.lending import Lending


class Thing:
    closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_last_who_gives_a_thing_back_closes_it() -> None:
    lending: Lending[str, Thing] = Lending()
    first, second, other = lending.lend("a", Thing), lending.lend("a", Thing), lending.lend("b", Thing)
    assert first is second
    assert other is not first
    lending.give_back(first)
    assert (first.closed, lending.lend("a", Thing)) == (0, first), "somebody else still holds it"
    lending.give_back(first)
    lending.give_back(first)
    assert (first.closed, other.closed) == (1, 0)
    assert lending.lend("a", Thing) is not first


def test_what_was_not_lent_here_is_closed_at_once() -> None:
    lending: Lending[str, Thing] = Lending()
    own = Thing()
    lending.give_back(own)
    assert own.closed == 1


def test_what_cannot_be_opened_is_tried_again_by_the_next() -> None:
    def refused() -> Thing:
        raise OSError("gone")

    lending: Lending[str, Thing] = Lending()
    with pytest.raises(OSError, match="gone"):
        lending.lend("a", refused)
    lending.give_back(thing := lending.lend("a", Thing))
    assert thing.closed == 1


def test_threads_that_come_at_once_open_one_thing() -> None:
    lending: Lending[str, Thing] = Lending()
    made, ready = [], threading.Barrier(4)

    def opened() -> Thing:
        made.append(Thing())
        return made[-1]

    def borrow(_: int) -> Thing:
        ready.wait(5)
        return lending.lend("a", opened)

    with ThreadPoolExecutor(4) as pool:
        assert {id(thing) for thing in pool.map(borrow, range(4))} == {id(made[0])}
    assert len(made) == 1


def test_who_gives_one_thing_back_waits_for_nobody_who_opens_another() -> None:
    lending: Lending[str, Thing] = Lending()
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Thing:
        begun.set()
        assert go_on.wait(5)
        return Thing()

    held = lending.lend("a", Thing)
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(lending.lend, "b", slow)
        assert begun.wait(5)
        pool.submit(lending.give_back, held).result(timeout=2)
        assert (held.closed, other.done()) == (1, False)
        go_on.set()
        lending.give_back(other.result(5))
    assert other.result().closed == 1


def test_who_waited_for_what_could_not_be_opened_tries_it_and_holds_it() -> None:
    lending: Lending[str, Thing] = Lending()
    begun, go_on = threading.Event(), threading.Event()

    def refused() -> Thing:
        begun.set()
        assert go_on.wait(5)
        raise OSError("gone")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lending.lend, "a", refused)
        assert begun.wait(5)
        second = pool.submit(lending.lend, "a", Thing)
        assert not second.done()
        go_on.set()
        with pytest.raises(OSError, match="gone"):
            first.result(5)
    thing = second.result()
    assert lending.lend("a", Thing) is thing
    lending.give_back(thing)
    lending.give_back(thing)
    assert thing.closed == 1
