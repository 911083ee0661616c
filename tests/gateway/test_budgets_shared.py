"""Budgets in a real Redis that processes share: killed ones, cancelled calls, and Redis going and coming back."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from structlog.typing import EventDict

from gateway.limits.budgets import Amounts, BudgetsUnavailable, Claim, Lease, Refusal
from gateway.limits.caps import Caps, Rate
from gateway.limits.local_budgets import LocalBudgets
from gateway.limits.redis_budgets import RedisBudgets
from gateway.limits.surviving import SurvivingBudgets
from tests.redis_server import RedisServer, running_redis

ONE = Amounts(requests=1)
CANCELLED = 10_000  # calls
PATIENCE = 10.0  # this machine may be busy with other tests
PROCESSES, CALLERS, LIMIT, ESTIMATE, USED = 2, 32, 200_000, 900, 250
# Every caller asks until it is refused three times; each lease is held for a moment, then settled.
CALLING = """
import asyncio, json, sys
from gateway.limits.budgets import Amounts, Claim, Lease
from gateway.limits.caps import Caps, Rate
from gateway.limits.redis_budgets import RedisBudgets

async def main(url, callers, limit, estimate, used):
    budgets, admitted, most = RedisBudgets(url, 30.0, 30.0), 0, 0
    claim = Claim("tenant", "acme", "", Caps(tokens=Rate(limit, 3600)))
    async def caller():
        nonlocal admitted, most
        refused = 0
        while refused < 3:
            outcome = await budgets.reserve((claim,), Amounts(1, estimate))
            if isinstance(outcome, Lease):
                admitted += 1
                most = max(most, int(outcome.levels[0].used))
                await asyncio.sleep(0.001)
                await budgets.settle(outcome, Amounts(1, used))
            else:
                refused += 1
                await asyncio.sleep(0.02)
    sys.stdin.readline()
    await asyncio.gather(*(caller() for _ in range(callers)))
    await budgets.close()
    print(json.dumps([admitted, most]))

asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
"""
# Takes five places and everything there is of a budget, and waits to be killed.
HOLDING = """
import asyncio, sys
from gateway.limits.budgets import Amounts, Claim
from gateway.limits.caps import Caps, Rate
from gateway.limits.redis_budgets import RedisBudgets

async def main(url):
    budgets = RedisBudgets(url, 1.5, 30.0)
    claim = Claim("tenant", "acme", "", Caps(concurrency=5, tokens=Rate(5000, 3600)))
    for _ in range(5):
        await budgets.reserve((claim,), Amounts(1, 100))
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_processes_together_pass_a_budget_by_less_than_one_reservation(redis: RedisServer) -> None:
    running = [start(CALLING, redis.url, CALLERS, LIMIT, ESTIMATE, USED) for _ in range(PROCESSES)]
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [json.loads(one.communicate(timeout=120)[0]) for one in running]
    admitted = sum(count for count, _ in told)
    assert all(count > 0 for count, _ in told), "the control: both were at work"
    assert max(most for _, most in told) < LIMIT + ESTIMATE
    budgets = RedisBudgets(redis.url, 30.0, PATIENCE)
    (level,) = await budgets.look((Claim("tenant", "acme", "", Caps(tokens=Rate(LIMIT, 3_600))),))
    assert LIMIT - ESTIMATE * PROCESSES * CALLERS < level.used == admitted * USED < LIMIT + ESTIMATE
    await budgets.close()


async def test_a_killed_process_gives_its_places_back_and_what_it_held_counts_as_used(redis: RedisServer) -> None:
    claim = Claim("tenant", "acme", "", Caps(concurrency=5, tokens=Rate(5_000, 3_600)))
    budgets = RedisBudgets(redis.url, 1.5, PATIENCE)
    with start(HOLDING, redis.url) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert isinstance(await budgets.reserve((claim,), ONE), Refusal)
        holder.kill()
    killed = time.monotonic()
    while (await budgets.look((claim,)))[0].used:  # they run out one after the other, as they were taken
        await asyncio.sleep(0.05)
        assert time.monotonic() - killed < 10
    outcome = await budgets.reserve((claim,), ONE)
    assert isinstance(outcome, Lease)
    assert [(one.measure, one.used) for one in outcome.levels] == [("concurrency", 1), ("tokens", 500)]
    await budgets.close()


async def test_every_key_goes_away_by_itself_and_those_of_a_tenant_lie_together(redis: RedisServer) -> None:
    budgets = RedisBudgets(redis.url, 30.0, PATIENCE)
    caps = Caps(concurrency=5, requests=Rate(5, 1), tokens=Rate(5, 60), dollars=Rate(5, 86_400))
    claims = Claim("tenant", "a}{b:c", "", caps), Claim("key", "a}{b:c", "key:tp_1", caps)
    lease = await budgets.reserve(claims, Amounts(1, 1, 1))
    names = redis.run("KEYS", "*").splitlines()
    assert len(names) == 8
    assert {name[name.index("{") : name.index("}") + 1] for name in names} == {"{a%7D%7Bb%3Ac}"}
    assert all(0 < int(redis.run("PTTL", name)) <= 86_400_000 * 52 // 50 for name in names)
    assert isinstance(lease, Lease)
    await budgets.settle(lease, ONE)
    assert len(redis.run("KEYS", "*:leases").splitlines()) == 0
    await budgets.close()


async def test_cancelled_calls_mix_up_nothing_and_leave_nothing_reserved(redis: RedisServer) -> None:
    """Each tenant's limit is a number of its own, so that an answer that was another's would show it."""
    budgets, order = RedisBudgets(redis.url, 30.0, PATIENCE), random.Random(7)

    async def ask(n: int) -> None:
        claim = Claim("tenant", f"t{n % 50}", "", Caps(tokens=Rate(1_000_000 + n % 50, 3_600), concurrency=10_000))
        lease = await budgets.reserve((claim,), Amounts(1, 100))
        assert isinstance(lease, Lease)
        assert lease.levels[1].limit == 1_000_000 + n % 50
        await budgets.settle(lease, ONE)

    cancelled = 0
    while cancelled < CANCELLED:
        asking = [asyncio.create_task(ask(n)) for n in range(50)]
        await asyncio.sleep(order.random() * 0.004)
        for task in order.sample(asking, 40):
            task.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert not [one for one in ended if isinstance(one, Exception)]
        cancelled += sum(isinstance(one, asyncio.CancelledError) for one in ended)
    await budgets.close()
    budgets = RedisBudgets(redis.url, 30.0, PATIENCE)
    for n in range(50):
        claim = Claim("tenant", f"t{n}", "", Caps(tokens=Rate(1_000_000 + n, 3_600), concurrency=10_000))
        assert [one.used for one in await budgets.look((claim,))] == [0, 0]
    await budgets.close()


async def test_without_redis_each_process_goes_on_with_a_share_until_it_is_back(
    redis: RedisServer, logged: list[EventDict]
) -> None:
    budgets = SurvivingBudgets(RedisBudgets(redis.url, 30.0, PATIENCE), LocalBudgets(), share=0.25)
    claims = (Claim("tenant", "acme", "", Caps(requests=Rate(20, 3_600), concurrency=8)),)
    before = await budgets.reserve(claims, ONE)
    assert isinstance(before, Lease)
    assert (budgets.state, before.levels[1].limit) == ("shared", 20)
    redis.kill()
    outcomes = [await budgets.reserve(claims, ONE) for _ in range(30)]
    assert budgets.state == "degraded"
    leases = [one for one in outcomes if isinstance(one, Lease)]
    assert len(leases) == 2, "a quarter of eight places"
    for lease in leases:
        await budgets.settle(lease, ONE)
    while isinstance(one := await budgets.reserve(claims, ONE), Lease):
        leases.append(one)
        await budgets.settle(one, ONE)
    assert len(leases) == 5, "a quarter of twenty requests"
    await budgets.settle(before, ONE)  # what Redis held is lost with it
    await budgets.retry()
    assert budgets.state == "degraded"
    redis.start()
    await budgets.retry()
    again = await budgets.reserve(claims, ONE)
    assert isinstance(again, Lease)
    assert (budgets.state, again.levels[1].limit) == ("shared", 20)
    await budgets.close()
    assert [line["event"] for line in logged] == ["budgets_degraded", "budgets_shared_again"]


def test_an_address_that_is_none_is_refused_and_not_repeated() -> None:
    with pytest.raises(BudgetsUnavailable, match="write redis://") as refused:
        RedisBudgets("http://user:hunter2@example", 30.0)
    assert "hunter2" not in str(refused.value)
