"""May they, now: one request's way in and out, past the budgets of its tenant and of its key or its person."""

import hashlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from gateway.caller import Caller
from gateway.errors import OverLimit
from gateway.limits.budgets import Amounts, Budgets, Claim, Lease, Level, Refusal, Whose
from gateway.limits.caps import MEASURES, NANO, NO_CAPS, Caps, InForce
from gateway.limits.concurrency import Concurrency, Priority
from gateway.limits.seat import Seat
from serving.cost import Tokens

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
_PRIORITY: Priority = "interactive"
_LOOKING = 2  # times the limit may be in flight before nobody may look any more
_HEADERS = {
    measure: tuple(f"x-ratelimit-{field}-{measure}".encode() for field in ("limit", "remaining", "reset"))
    for measure in ("concurrency", *MEASURES)
}
_NAMES = {"tenant": "your tenant", "key": "this API key", "person": "your account"}


@dataclass(frozen=True, slots=True)
class Spending:
    """What a request takes, or may take at most: the tokens of a model version, and what they cost by the list."""

    model: str | None = None
    tokens: Tokens = field(default_factory=Tokens)
    cost: float = 0.0

    def amounts(self) -> Amounts:
        """As budgets count it: one request, tokens, whole billionths of a dollar."""
        return Amounts(1, self.tokens.total, round(self.cost * NANO))


@dataclass(slots=True)
class Admission:
    """A request that is let in. It takes what is written down in `spent` until it is settled, which is done once."""

    headers: RawHeaders
    spent: Spending
    _end: Callable[[Spending], Awaitable[None]]
    _ended: bool = False

    async def settle(self) -> None:
        """Give the place back, and of what was reserved what was not spent: before the caller knows that it is over.

        With the last byte they may ask again, and their own request must not be in their way.
        """
        if not self._ended:
            self._ended = True
            await self._end(self.spent)


class Limits:
    """Reserves what a request may take, and settles what it took however it ends."""

    def __init__(
        self,
        in_force: InForce,
        budgets: Budgets,
        counted: Callable[[str, Spending], None],
        refused: Callable[[str, str, str], None],
        concurrency: Concurrency,
        overloaded: Callable[[Priority], None],
    ) -> None:
        """`counted` is told of each request that was let in, `refused` which limit of whom the others met.

        `concurrency` is the limit of all answers together, and `overloaded` is told of what priority those are that
        meet it.
        """
        self._in_force = in_force
        self._budgets = budgets
        self._counted = counted
        self._refused = refused
        self._concurrency = concurrency
        self._overloaded = overloaded
        self.in_flight = 0

    @asynccontextmanager
    async def admit(
        self, caller: Caller, most: Spending = Spending(), seat: Seat | None = None
    ) -> AsyncIterator[Admission]:
        """Hold a place and `most` of the budgets until it is settled, at the latest when the block ends.

        Overloaded when there is no `seat` to be had, OverLimit when a budget is used up.
        """
        claims = self.claims(caller)
        if seat is not None:
            seat.take()
        try:
            lease = await self._reserve(claims, most)
        except BaseException:
            _leave(seat)
            raise
        end = partial(self._settle, lease, caller.principal.tenant, seat)
        admission = Admission(headers_of(lease.levels), Spending(most.model), end)
        self.in_flight += 1
        try:
            yield admission
        finally:
            await admission.settle()

    def states(self) -> dict[str, str]:
        """How the limits themselves are, for whoever watches this process."""
        return {"budgets": self._budgets.state, "config": "refused" if self._in_force.refusal else "in force"}

    async def levels(self, claims: tuple[Claim, ...]) -> tuple[Level, ...]:
        """How limits stand now."""
        return await self._budgets.look(claims)

    def claims(self, caller: Caller) -> tuple[Claim, ...]:
        """Whose budgets a caller's request takes from: its tenant's, and those of its key or person that have any."""
        principal, (whose, caps) = caller.principal, self._own(caller)
        if caps == NO_CAPS:
            return (self.of_tenant(principal.tenant),)
        account = caller.credential if whose == "key" else _account(principal.subject)
        return self.of_tenant(principal.tenant), Claim(whose, principal.tenant, account, caps)

    def of_tenant(self, tenant: str) -> Claim:
        """A tenant's budgets alone."""
        return Claim("tenant", tenant, "", self._in_force.limited.of_tenant(tenant))

    def greet(self, caller: Caller, *, may_reuse: bool) -> Seat:
        """A place among all answers for one of this caller's, to be taken before a model is asked.

        Before anything is read of what was sent: Overloaded where there is no room for another answer. While answers
        are kept, as many again may be let past without a place, to look whether there is one.
        """
        seat = Seat(self._concurrency, caller.principal.tenant, self._priority(caller), self._overloaded)
        if not may_reuse or self.in_flight >= _LOOKING * self._concurrency.limit:
            seat.look()
        return seat

    def _priority(self, caller: Caller) -> Priority:
        """A key's or a person's own counts before their tenant's."""
        _, own = self._own(caller)
        return own.priority or self._in_force.limited.of_tenant(caller.principal.tenant).priority or _PRIORITY

    def _own(self, caller: Caller) -> tuple[Whose, Caps]:
        """What the caller's key may take, or else the person whom an issuer knows."""
        by, _, named = caller.credential.partition(":")
        limited = self._in_force.limited
        if by == "key":
            return "key", limited.of_key(named)
        return "person", limited.of_person(named) if by == "issuer" else NO_CAPS

    async def _settle(self, lease: Lease, tenant: str, seat: Seat | None, spent: Spending) -> None:
        self.in_flight -= 1
        _leave(seat)
        self._counted(tenant, spent)
        await self._budgets.settle(lease, spent.amounts())

    async def _reserve(self, claims: tuple[Claim, ...], most: Spending) -> Lease:
        outcome = await self._budgets.reserve(claims, most.amounts())
        if isinstance(outcome, Refusal):
            self._refused(outcome.level.measure, outcome.level.whose, claims[0].tenant)
            raise _over(outcome)
        return outcome


def _leave(seat: Seat | None) -> None:
    if seat is not None:
        seat.leave()


def _account(subject: str) -> str:
    """What a ledger knows somebody by: it may be elsewhere, and no erasure of people reaches it."""
    return f"person:{hashlib.sha256(subject.encode()).hexdigest()}"


def headers_of(levels: Iterable[Level]) -> RawHeaders:
    """OpenAI's `x-ratelimit-*`: of each measure the limit that is nearest, the tenant's, the key's or the person's."""
    nearest: dict[str, Level] = {}
    for level in levels:
        if level.measure not in nearest or level.remaining < nearest[level.measure].remaining:
            nearest[level.measure] = level
    return [header for level in nearest.values() for header in _headers(level)]


def _headers(level: Level) -> Iterable[tuple[bytes, bytes]]:
    limit, remaining, reset = _HEADERS[level.measure]
    yield limit, b"%.15g" % level.limit
    yield remaining, b"%.15g" % level.remaining
    yield reset, b"%ds" % math.ceil(level.reset)


def _over(refusal: Refusal) -> OverLimit:
    level, wait = refusal.level, max(1, math.ceil(refusal.wait))
    whose = _NAMES[level.whose]
    headers = headers_of(refusal.levels)
    match level.measure:
        case "concurrency":
            told = f"{level.limit:g} requests are in flight for {whose}: wait for one to end"
            return OverLimit(told, code="overloaded", retry_after=wait, headers=headers)
        case "dollars":
            told = f"{whose} may spend {level.limit:g} dollars in {_span(level)}, and has: try again in {wait} s"
            return OverLimit(told, code="insufficient_quota", retry_after=wait, headers=headers)
        case _:
            told = f"{whose} may take {level.limit:g} {level.measure} in {_span(level)}, and has: try again in {wait} s"
            return OverLimit(told, retry_after=wait, headers=headers)


def _span(level: Level) -> str:
    return f"any {level.seconds} s"
