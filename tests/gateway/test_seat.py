"""A place among the answers under way, and what the limit hears of how it is left."""

import asyncio
import contextlib

import pytest

from gateway.errors import Overloaded
from gateway.limits.concurrency import Concurrency
from gateway.limits.seat import Seat
from serving.errors import GenerationTimeout


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def seat(concurrency: Concurrency, refused: list[str] | None = None) -> Seat:
    return Seat(concurrency, "acme", "interactive", (refused if refused is not None else []).append)


def test_it_is_taken_once_and_given_back_once() -> None:
    concurrency, refused = Concurrency(1, 1.0), list[str]()
    first, second = seat(concurrency), seat(concurrency, refused)
    first.take()
    with first.taken():
        assert concurrency.running == 1
        with pytest.raises(Overloaded):
            second.take()
    first.leave()
    assert (concurrency.running, refused) == (0, ["interactive"])
    second.look()
    assert concurrency.running == 0, "who looks has not taken it"


def test_what_comes_before_it_is_taken_is_no_waiting_for_the_engine() -> None:
    """It is made before the body is read, which a caller may send as slowly as they like."""
    clock = Clock()
    concurrency = Concurrency(16, 1.0, clock)
    for body in (*([0.0] * 8), *([5.0] * 16)):
        one = seat(concurrency)
        clock.now += body
        with one.taken():
            clock.now += 0.05
            one.heard()
    assert concurrency.limit == 16


@pytest.mark.parametrize("ended", [GenerationTimeout("total", 0.9), asyncio.CancelledError()], ids=["deadline", "left"])
def test_who_waits_in_vain_counts_for_how_many_are_let_in(ended: BaseException) -> None:
    """With deadlines below the goal every slow one is cut off, and those that came in time say that all is well."""
    clock = Clock()
    concurrency = Concurrency(16, 1.0, clock)
    for waited in (*([0.05] * 8), *([0.9] * 8)):
        with contextlib.suppress(type(ended)), (one := seat(concurrency)).taken():
            clock.now += waited
            if waited > 0.5:
                raise ended
            one.heard()
    assert concurrency.limit < 16


@pytest.mark.parametrize("ended", [GenerationTimeout("between_pieces", 0.9), ConnectionError()])
def test_what_fails_is_no_sign_of_how_much_the_engine_takes(ended: BaseException) -> None:
    clock = Clock()
    concurrency = Concurrency(16, 1.0, clock)
    for _ in range(32):
        with contextlib.suppress(type(ended)), seat(concurrency).taken():
            clock.now += 0.9
            raise ended
    assert concurrency.limit == 16
