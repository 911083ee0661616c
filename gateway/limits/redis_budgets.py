"""Budgets that all gateway processes share, in Redis or Valkey: the one file that speaks to it.

Every call is one script over the keys of one tenant, which share a hash tag and so a slot of a cluster.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.limits.budgets import (
    SLOTS,
    Amounts,
    BudgetsUnavailable,
    Claim,
    Lease,
    Level,
    Refusal,
    State,
    Used,
    levels_of,
)
from gateway.limits.caps import MEASURES

_CONNECTIONS = 64
_KEYS = 1 + len(MEASURES)  # of one claim
_HEAD, _TOLD = 4, 1 + 2 * len(MEASURES)  # of the script's answer: what is said once, and of one claim
Answer = TypeVar("Answer")


class RedisBudgets:
    """A lease whose process died gives its place back after `lease_seconds`; what it reserved counts as used.

    No call is ever cancelled half-way, so that no connection is used again with an answer that was another's: who stops
    waiting for a reservation leaves it to be given back.
    """

    state: State = "shared"

    def __init__(self, url: str, lease_seconds: float, patience: float = 0.5) -> None:
        """`patience` is in seconds, for a connection and for an answer. Raises BudgetsUnavailable for no good URL."""
        self._redis = Redis.from_pool(_pool(url, patience))
        self._expires = str(int(1000 * lease_seconds))
        self._reserve = self._redis.register_script(_script("reserve"))
        self._settle = self._redis.register_script(_script("settle"))
        self._calls: set[asyncio.Task[Any]] = set()

    async def reserve(self, claims: tuple[Claim, ...], need: Amounts) -> Lease | Refusal:
        reserving = self._start(self._reserved(claims, need))
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            reserving.add_done_callback(self._abandon)
            raise

    async def settle(self, lease: Lease, used: Amounts) -> None:
        await asyncio.shield(self._start(self._settled(lease, used)))

    async def look(self, claims: tuple[Claim, ...]) -> tuple[Level, ...]:
        answer = await asyncio.shield(self._start(self._ask("", claims, Amounts())))
        return _levels(claims, answer)

    async def check(self) -> None:
        """Raise BudgetsUnavailable unless it answers."""
        await self._called(self._redis.ping())

    async def close(self) -> None:
        while self._calls:
            await asyncio.wait(self._calls)
        await self._redis.aclose()

    async def _reserved(self, claims: tuple[Claim, ...], need: Amounts) -> Lease | Refusal:
        id = secrets.token_hex(8)
        answer = await self._ask(_member(id, need), claims, need)
        levels = _levels(claims, answer)
        _, claim, measure, wait = answer[:_HEAD]
        if claim:
            at_fault = claims[claim - 1].whose, ("concurrency", *MEASURES)[measure - 1]
            (level,) = (one for one in levels if (one.whose, one.measure) == at_fault)
            return Refusal(level, wait / 1000, levels)
        slots = tuple(slot for told in _groups(answer[_HEAD:], _TOLD) for slot in told[2::2])
        return Lease(id, claims, need, slots, levels, self)

    async def _settled(self, lease: Lease, used: Amounts) -> None:
        arguments: list[str | int] = [_member(lease.id, lease.held)]
        for slots in _groups(lease.slots, len(MEASURES)):
            for slot, held, took in zip(slots, lease.held, used, strict=True):
                arguments += [slot, took - held]
        await self._called(self._settle(keys=_keys(lease.claims), args=arguments))

    async def _ask(self, member: str, claims: tuple[Claim, ...], need: Amounts) -> list[int]:
        arguments: list[str | int] = [SLOTS, member, self._expires, *need]
        for claim in claims:
            arguments.append(-1 if claim.caps.concurrency is None else claim.caps.concurrency)
            for rate in claim.caps.rates:
                arguments += [-1, -1] if rate is None else [rate.amount, 1000 * rate.seconds // SLOTS]
        answer: list[int] = await self._called(self._reserve(keys=_keys(claims), args=arguments))
        return answer

    async def _called(self, call: Awaitable[Answer]) -> Answer:
        try:
            return await call
        except (RedisError, OSError, TimeoutError) as error:
            raise BudgetsUnavailable(f"Redis does not answer: {type(error).__name__}") from error

    def _start(self, call: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, call: asyncio.Task[Any]) -> None:
        """A failure that nobody waits for any more is not worth a warning: what was reserved counts as used."""
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()

    def _abandon(self, reserving: asyncio.Task[Lease | Refusal]) -> None:
        """Its caller has gone: nothing was used."""
        if not reserving.cancelled() and reserving.exception() is None:
            lease = reserving.result()
            if isinstance(lease, Lease):
                self._start(self._settled(lease, Amounts(requests=lease.held.requests)))


def _pool(url: str, patience: float) -> BlockingConnectionPool:
    try:
        return BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=patience,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            retry=Retry(NoBackoff(), 0),  # a script whose answer was lost may have run
        )
    except ValueError:
        told = "TWINPIN_REDIS_URL is no address of Redis: write redis://HOST:PORT, rediss://HOST:PORT or unix://PATH"
        raise BudgetsUnavailable(told) from None


def _script(name: str) -> str:
    return Path(__file__).with_name(f"{name}.lua").read_text("utf-8")


def _member(id: str, held: Amounts) -> str:
    return f"{id}:{held.tokens}:{held.dollars}"


def _keys(claims: tuple[Claim, ...]) -> list[str]:
    """Names of tenants are quoted, so that none can end the hash tag or reach into another's keys."""
    keys = []
    for claim in claims:
        account = f"twinpin:{{{quote(claim.tenant, safe='')}}}:{quote(claim.key, safe='')}"
        keys.append(f"{account}:leases")
        for measure, rate in zip(MEASURES, claim.caps.rates, strict=True):
            keys.append(f"{account}:{measure}:{rate.seconds if rate else 0}")
    return keys


def _groups(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def _levels(claims: tuple[Claim, ...], answer: Sequence[int]) -> tuple[Level, ...]:
    now, levels = answer[0] / 1000, list[Level]()
    for claim, (flying, *windows) in zip(claims, _groups(answer[_HEAD:], _TOLD), strict=True):
        used = [
            Used(amount, _leaves(newest, rate.seconds) - now if rate and amount else 0.0)
            for rate, (amount, newest) in zip(claim.caps.rates, _groups(windows, 2), strict=True)
        ]
        levels += levels_of(claim, flying, used)
    return tuple(levels)


def _leaves(slot: int, seconds: int) -> float:
    return (slot + SLOTS + 1) * seconds / SLOTS
