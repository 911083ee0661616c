"""Budgets of this process alone, in memory."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from gateway.limits.budgets import SOON_SECONDS, Amounts, Claim, Lease, Level, Refusal, State, Used, levels_of
from gateway.limits.caps import MEASURES
from gateway.limits.window import Window

_UNCOUNTED = -1
_FORGET_SECONDS = 60.0


@dataclass(slots=True)
class _Account:
    """What one tenant or key has in flight, and its windows by measure and length."""

    leases: dict[str, Amounts] = field(default_factory=dict)
    windows: dict[tuple[str, int], Window] = field(default_factory=dict)


class LocalBudgets:
    """Nothing here waits, so that every call is one step for all others."""

    state: State = "in process"

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._numbers = itertools.count()

    async def reserve(self, claims: tuple[Claim, ...], need: Amounts) -> Lease | Refusal:
        now = self._clock()
        refused = [(wait, claim, measure) for claim in claims for measure, wait in self._used_up(claim, need, now)]
        if refused:
            wait, claim, measure = max(refused, key=lambda one: one[0])
            levels = self._levels(claims, now)
            (level,) = (one for one in levels if (one.whose, one.measure) == (claim.whose, measure))
            return Refusal(level, wait, levels)
        id = str(next(self._numbers))
        slots = tuple(slot for claim in claims for slot in self._take(claim, id, need, now))
        return Lease(id, claims, need, slots, self._levels(claims, now), self)

    async def settle(self, lease: Lease, used: Amounts) -> None:
        for nth, claim in enumerate(lease.claims):
            self._account(claim).leases.pop(lease.id, None)
            slots = lease.slots[nth * len(MEASURES) :]
            for window, slot, held, took in zip(self._windows(claim), slots, lease.held, used, strict=False):
                if window is not None:
                    window.correct(slot, took - held)

    async def look(self, claims: tuple[Claim, ...]) -> tuple[Level, ...]:
        return self._levels(claims, self._clock())

    async def close(self) -> None:
        self._accounts.clear()

    async def run(self) -> NoReturn:
        """Forget, now and then, for as long as the process lives."""
        while True:
            await asyncio.sleep(_FORGET_SECONDS)
            self.forget()

    def forget(self) -> None:
        """Drop the accounts that hold nothing any more."""
        now = self._clock()
        for name, account in list(self._accounts.items()):
            for window in account.windows.values():
                window.advance(now)
            if not account.leases and not any(window.total for window in account.windows.values()):
                del self._accounts[name]

    def _used_up(self, claim: Claim, need: Amounts, now: float) -> Iterator[tuple[str, float]]:
        """The limits that have nothing left, and in how many seconds they may have."""
        leases = self._account(claim).leases
        if claim.caps.concurrency is not None and len(leases) >= claim.caps.concurrency:
            yield "concurrency", SOON_SECONDS
        for nth, (rate, window) in enumerate(zip(claim.caps.rates, self._windows(claim), strict=True)):
            if rate is None or window is None or not need[nth]:
                continue
            window.advance(now)
            if window.total >= rate.amount:
                # Requests are spent when they are admitted; of the others, more is held than is used in the end.
                held = sum(lease[nth] for lease in leases.values()) if nth else 0
                wait = window.frees(now, rate.amount, held)
                yield MEASURES[nth], SOON_SECONDS if wait is None else wait

    def _take(self, claim: Claim, lease: str, need: Amounts, now: float) -> Iterator[int]:
        self._account(claim).leases[lease] = need
        for window, amount in zip(self._windows(claim), need, strict=True):
            yield _UNCOUNTED if window is None else window.take(now, amount)

    def _levels(self, claims: tuple[Claim, ...], now: float) -> tuple[Level, ...]:
        levels: list[Level] = []
        for claim in claims:
            used = []
            for window in self._windows(claim):
                if window is not None:
                    window.advance(now)
                used.append(Used(0, 0.0) if window is None else Used(window.total, window.reset(now)))
            levels += levels_of(claim, len(self._account(claim).leases), used)
        return tuple(levels)

    def _account(self, claim: Claim) -> _Account:
        name = claim.tenant, claim.key
        if (account := self._accounts.get(name)) is None:
            account = self._accounts[name] = _Account()
        return account

    def _windows(self, claim: Claim) -> Iterator[Window | None]:
        """One for each measure, none where there is no limit."""
        windows = self._account(claim).windows
        for measure, rate in zip(MEASURES, claim.caps.rates, strict=True):
            if rate is None:
                yield None
            else:
                name = measure, rate.seconds
                if (window := windows.get(name)) is None:
                    window = windows[name] = Window(rate.seconds)
                yield window
