"""Budgets that all gateway processes share, in Redis or Valkey.

Every call is one script over the keys of one tenant, which share a hash tag and so a slot of a cluster.
"""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

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
from gateway.redis_link import RedisLink, RedisUnavailable

_KEYS = 1 + len(MEASURES)  # of one claim
_HEAD, _TOLD = 4, 1 + 2 * len(MEASURES)  # of the script's answer: what is said once, and of one claim
_HERE = Path(__file__).parent


class RedisBudgets:
    """A lease whose process died gives its place back after `lease_seconds`; what it reserved counts as used.

    Who stops waiting for a reservation leaves it to be given back.
    """

    state: State = "shared"

    def __init__(self, url: str, lease_seconds: float, patience: float = 0.5) -> None:
        """`patience` is in seconds, for a connection and for an answer. Raises BudgetsUnavailable for no good URL."""
        with _mapped():
            self._link = RedisLink(url, patience)
        self._expires = str(int(1000 * lease_seconds))
        self._reserve = self._link.script(_HERE / "reserve.lua")
        self._settle = self._link.script(_HERE / "settle.lua")

    async def reserve(self, claims: tuple[Claim, ...], need: Amounts) -> Lease | Refusal:
        reserving = self._link.start(self._reserved(claims, need))
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            reserving.add_done_callback(self._abandon)
            raise

    async def settle(self, lease: Lease, used: Amounts) -> None:
        await asyncio.shield(self._link.start(self._settled(lease, used)))

    async def look(self, claims: tuple[Claim, ...]) -> tuple[Level, ...]:
        answer = await asyncio.shield(self._link.start(self._ask("", claims, Amounts())))
        return _levels(claims, answer)

    async def check(self) -> None:
        """Raise BudgetsUnavailable unless it answers."""
        with _mapped():
            await self._link.ping()

    async def close(self) -> None:
        await self._link.close()

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
        with _mapped():
            await self._settle.within(_keys(lease.claims), arguments)

    async def _ask(self, member: str, claims: tuple[Claim, ...], need: Amounts) -> list[int]:
        arguments: list[str | int] = [SLOTS, member, self._expires, *need]
        for claim in claims:
            arguments.append(-1 if claim.caps.concurrency is None else claim.caps.concurrency)
            for rate in claim.caps.rates:
                arguments += [-1, -1] if rate is None else [rate.amount, 1000 * rate.seconds // SLOTS]
        with _mapped():
            answer: list[int] = await self._reserve.within(_keys(claims), arguments)
        return answer

    def _abandon(self, reserving: asyncio.Task[Lease | Refusal]) -> None:
        """Its caller has gone: nothing was used."""
        if not reserving.cancelled() and reserving.exception() is None:
            lease = reserving.result()
            if isinstance(lease, Lease):
                self._link.start(self._settled(lease, Amounts(requests=lease.held.requests)))


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except RedisUnavailable as error:
        raise BudgetsUnavailable(str(error)) from error


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
