"""What every ledger of budgets keeps: in this process, and in a real Redis."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.limits.budgets import SLOTS, Amounts, Budgets, Claim, Lease, Level, Refusal
from gateway.limits.caps import NANO, Caps, Rate
from gateway.limits.local_budgets import LocalBudgets
from gateway.limits.redis_budgets import RedisBudgets
from tests.redis_server import RedisServer, running_redis

CALLERS = 64
LEASE_SECONDS = 30.0
PATIENCE = 10.0  # this machine may be busy with other tests
ONE = Amounts(requests=1)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture(params=["local", "redis"])
async def budgets(request: pytest.FixtureRequest) -> AsyncIterator[Budgets]:
    made: Budgets = (
        LocalBudgets()
        if request.param == "local"
        else RedisBudgets(request.getfixturevalue("redis").url, LEASE_SECONDS, PATIENCE)
    )
    yield made
    await made.close()


@pytest.fixture
def tenant() -> str:
    """Nobody else's."""
    return f"tenant {secrets.token_hex(4)} }}{{"


def claim(tenant: str, key: str = "", **caps: Any) -> Claim:
    return Claim("key" if key else "tenant", tenant, key, Caps(**caps))


async def taken(budgets: Budgets, *claims: Claim, need: Amounts = ONE) -> Lease:
    lease = await budgets.reserve(claims, need)
    assert isinstance(lease, Lease)
    return lease


async def refused(budgets: Budgets, *claims: Claim, need: Amounts = ONE) -> Refusal:
    refusal = await budgets.reserve(claims, need)
    assert isinstance(refusal, Refusal)
    return refusal


async def admitted(budgets: Budgets, *claims: Claim) -> Lease:
    """As soon as it is."""
    while True:
        if isinstance(outcome := await budgets.reserve(claims, ONE), Lease):
            return outcome
        await asyncio.sleep(0.002)


async def level(budgets: Budgets, one: Claim, measure: str) -> Level:
    (found,) = (level for level in await budgets.look((one,)) if level.measure == measure)
    return found


async def test_as_many_requests_as_the_limit_are_admitted_and_no_more(budgets: Budgets, tenant: str) -> None:
    mine = claim(tenant, requests=Rate(3, 60))
    left = [(await taken(budgets, mine)).levels[0].remaining for _ in range(3)]
    assert left == [2, 1, 0]
    refusal = await refused(budgets, mine)
    assert (refusal.level.whose, refusal.level.measure, refusal.level.limit) == ("tenant", "requests", 3)
    assert 59 <= refusal.wait <= 60 + 60 / SLOTS
    assert 59 <= refusal.level.reset <= 60 + 60 / SLOTS


async def test_one_tenants_budget_is_not_anothers(budgets: Budgets, tenant: str) -> None:
    mine, another = claim(tenant, requests=Rate(1, 60)), claim(f"{tenant}2", requests=Rate(1, 60))
    await taken(budgets, mine)
    await refused(budgets, mine)
    await taken(budgets, another)


async def test_a_refusal_takes_nothing_from_anybody(budgets: Budgets, tenant: str) -> None:
    whole, key = claim(tenant, requests=Rate(5, 60), concurrency=9), claim(tenant, "key:a", requests=Rate(1, 60))
    await taken(budgets, whole, key)
    refusal = await refused(budgets, whole, key)
    assert (refusal.level.whose, refusal.level.measure) == ("key", "requests")
    assert (await level(budgets, whole, "requests")).used == 1
    assert (await level(budgets, whole, "concurrency")).used == 1


async def test_a_reservation_is_settled_to_what_was_used(budgets: Budgets, tenant: str) -> None:
    mine = claim(tenant, tokens=Rate(10_000, 60), dollars=Rate(5 * NANO, 86_400))
    lease = await taken(budgets, mine, need=Amounts(1, 4_000, NANO))
    assert [(one.measure, one.used) for one in lease.levels] == [("tokens", 4_000), ("dollars", 1.0)]
    await budgets.settle(lease, Amounts(1, 612, 1_234_567))
    assert (await level(budgets, mine, "tokens")).used == 612
    assert (await level(budgets, mine, "dollars")).used == 0.001234567


async def test_more_than_was_reserved_is_counted_too(budgets: Budgets, tenant: str) -> None:
    mine = claim(tenant, tokens=Rate(1_000, 60))
    lease = await taken(budgets, mine, need=Amounts(1, 10))
    await budgets.settle(lease, Amounts(1, 1_200))
    assert (await level(budgets, mine, "tokens")).remaining == 0
    await refused(budgets, mine, need=Amounts(1, 10))


async def test_a_request_that_needs_none_of_a_budget_is_not_refused_for_it(budgets: Budgets, tenant: str) -> None:
    mine = claim(tenant, tokens=Rate(1, 60))
    await taken(budgets, mine, need=Amounts(1, 10))
    await refused(budgets, mine, need=Amounts(1, 10))
    await taken(budgets, mine, need=Amounts(1))


async def test_a_limit_of_nothing_admits_nothing(budgets: Budgets, tenant: str) -> None:
    await refused(budgets, claim(tenant, requests=Rate(0, 60)))
    await refused(budgets, claim(tenant, concurrency=0))


async def test_places_are_given_back(budgets: Budgets, tenant: str) -> None:
    mine = claim(tenant, concurrency=2)
    first, _ = await taken(budgets, mine), await taken(budgets, mine)
    refusal = await refused(budgets, mine)
    assert (refusal.level.measure, refusal.level.remaining, refusal.wait) == ("concurrency", 0, 1.0)
    await budgets.settle(first, Amounts(1))
    assert (await taken(budgets, mine)).levels[0].remaining == 0


async def test_what_is_only_held_is_worth_waiting_a_moment_for(budgets: Budgets, tenant: str) -> None:
    mine = claim(tenant, tokens=Rate(100, 3_600))
    held = await taken(budgets, mine, need=Amounts(1, 100))
    assert (await refused(budgets, mine, need=Amounts(1, 1))).wait == 1.0
    await budgets.settle(held, Amounts(1, 100))
    assert (await refused(budgets, mine, need=Amounts(1, 1))).wait > 3_500


async def test_the_longest_wait_is_told(budgets: Budgets, tenant: str) -> None:
    whole, key = claim(tenant, requests=Rate(1, 60)), claim(tenant, "key:a", requests=Rate(1, 3_600))
    await taken(budgets, whole, key)
    refusal = await refused(budgets, whole, key)
    assert (refusal.level.whose, refusal.wait > 3_000) == ("key", True)


async def test_a_window_slides(budgets: Budgets, tenant: str) -> None:
    """Never early and at most a slot late; and what comes later stays in."""
    mine = claim(tenant, requests=Rate(2, 1))
    started = asyncio.get_running_loop().time()
    await taken(budgets, mine)
    await asyncio.sleep(0.5)
    await taken(budgets, mine)
    wait = (await refused(budgets, mine)).wait
    assert 0 < wait <= 0.5 + 1 / SLOTS + 0.01
    await admitted(budgets, mine)
    assert asyncio.get_running_loop().time() - started >= 1.0
    await refused(budgets, mine)
    await asyncio.sleep(1.1)
    assert (await level(budgets, mine, "requests")).used == 0


async def test_no_span_of_a_window_has_more_than_the_limit(budgets: Budgets, tenant: str) -> None:
    mine, came = claim(tenant, requests=Rate(10, 1)), list[float]()
    now = asyncio.get_running_loop().time
    until = now() + 2.6
    while (asked := now()) < until:
        if isinstance(await budgets.reserve((mine,), Amounts(1)), Lease):
            came.append(asked)
        await asyncio.sleep(0.004)
    for begin in came:
        assert sum(begin <= one < begin + 0.99 for one in came) <= 10  # Redis has a clock of its own
    assert len(came) > 15, "the control: what left the window was admitted again"


async def test_many_callers_at_once_pass_a_budget_by_less_than_one_reservation(budgets: Budgets, tenant: str) -> None:
    """Each holds its estimate until all others have asked; then half of it turns out to have been used."""
    limit, estimate = 10_000, 700
    mine = claim(tenant, tokens=Rate(limit, 3_600), requests=Rate(1_000, 60))
    both = (mine, claim(tenant, "key:a", tokens=Rate(2 * limit, 3_600)))
    spent = 0
    for _ in range(4):
        outcomes = await asyncio.gather(*(budgets.reserve(both, Amounts(1, estimate)) for _ in range(CALLERS)))
        leases = [one for one in outcomes if isinstance(one, Lease)]
        held = spent + estimate * len(leases)
        assert limit <= held < limit + estimate
        await asyncio.gather(*(budgets.settle(one, Amounts(1, estimate // 2)) for one in leases))
        spent += estimate // 2 * len(leases)
        assert (await level(budgets, mine, "tokens")).used == spent
    assert spent < limit + estimate


async def test_at_most_as_many_are_in_flight_as_there_are_places(budgets: Budgets, tenant: str) -> None:
    mine, flying, most = claim(tenant, concurrency=7), 0, 0

    @asynccontextmanager
    async def place() -> AsyncIterator[None]:
        nonlocal flying, most
        lease = await admitted(budgets, mine)
        flying += 1
        most = max(most, flying)
        yield
        flying -= 1
        await budgets.settle(lease, Amounts(1))

    async def one() -> None:
        async with place():
            await asyncio.sleep(0.002)

    await asyncio.gather(*(one() for _ in range(CALLERS)))
    assert (most, (await level(budgets, mine, "concurrency")).used) == (7, 0)
