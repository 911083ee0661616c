"""When a target is not asked, when it is tried, and how often anything is sent again: on a clock of the test's."""

from dataclasses import dataclass
from random import Random

import pytest

from serving.breaker import Breaker, RetryBudget


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    assert breaker.failed(surely=True)
    return breaker


def test_a_failure_that_leaves_no_doubt_opens_at_once_and_others_when_they_are_half() -> None:
    assert opened(Clock()).open
    breaker = Breaker(Clock())
    for _ in range(5):
        breaker.succeeded()
    assert [breaker.failed() for _ in range(5)] == [False, False, False, False, True]


def test_two_failures_of_a_replica_that_was_never_asked_are_bad_luck() -> None:
    breaker = Breaker(Clock())
    assert [breaker.failed() for _ in range(3)] == [False, False, True]


def test_trials_come_ever_more_rarely_and_one_that_goes_well_closes_it() -> None:
    clock = Clock()
    breaker, pauses = opened(clock), list[float]()
    for _ in range(6):
        pauses.append(breaker.pause)
        clock.now += breaker.pause
        assert breaker.pause == 0
        breaker.tried(well=False)
    assert pauses == [1, 2, 4, 8, 10, 10]
    breaker.tried(well=True)
    assert not breaker.open
    assert breaker.pause == 0
    assert not breaker.failed(), "it begins anew"


def test_answers_that_began_before_it_opened_change_nothing() -> None:
    breaker = opened(Clock())
    breaker.succeeded()
    assert not breaker.failed(surely=True)
    assert breaker.open


@pytest.mark.parametrize("seed", range(20))
def test_where_everything_fails_a_tenth_more_is_sent_at_most(seed: int) -> None:
    """Ten requests a second or more: what is given by time is for quiet hours."""
    clock, random = Clock(), Random(seed)
    requests = random.randint(1_000, 3_000)
    budget, again = RetryBudget(clock), 0
    for _ in range(requests):
        clock.now += random.uniform(0, 0.1)
        budget.asked()
        while budget.take():
            again += 1
    assert again <= 0.1 * requests + 10


def test_a_quiet_gateway_may_send_again() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    while budget.take():
        continue
    clock.now += 60
    budget.asked()
    assert budget.take()
