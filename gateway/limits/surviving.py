"""Budgets that go on without Redis: each process with a share of every limit, until Redis is back. Never unlimited."""

import asyncio
from typing import NoReturn

import structlog

from gateway.limits.budgets import Amounts, BudgetsUnavailable, Claim, Lease, Level, Refusal, State
from gateway.limits.local_budgets import LocalBudgets
from gateway.limits.redis_budgets import RedisBudgets

_LOOK_SECONDS = 1.0
_log = structlog.get_logger()


class SurvivingBudgets:
    """Asks Redis while it answers; once it does not, nobody waits for it but the one who looks each second."""

    def __init__(self, shared: RedisBudgets, alone: LocalBudgets, share: float) -> None:
        self._shared = shared
        self._alone = alone
        self._share = share
        self.degraded = False

    @property
    def state(self) -> State:
        return "degraded" if self.degraded else "shared"

    async def reserve(self, claims: tuple[Claim, ...], need: Amounts) -> Lease | Refusal:
        if not self.degraded:
            try:
                return await self._shared.reserve(claims, need)
            except BudgetsUnavailable as error:
                self._lost(error)
        return await self._alone.reserve(self._scaled(claims), need)

    async def settle(self, lease: Lease, used: Amounts) -> None:
        try:
            await lease.budgets.settle(lease, used)
        except BudgetsUnavailable as error:
            self._lost(error)  # its place comes back when the lease expires; its estimate counts as used

    async def look(self, claims: tuple[Claim, ...]) -> tuple[Level, ...]:
        if not self.degraded:
            try:
                return await self._shared.look(claims)
            except BudgetsUnavailable as error:
                self._lost(error)
        return await self._alone.look(self._scaled(claims))

    async def close(self) -> None:
        await self._shared.close()
        await self._alone.close()

    async def run(self) -> NoReturn:
        """Look for Redis while it is gone."""
        while True:
            if self.degraded:
                await self.retry()
            await asyncio.sleep(_LOOK_SECONDS)

    async def retry(self) -> None:
        """Go back to it if it is there."""
        try:
            await self._shared.check()
        except BudgetsUnavailable:
            return
        self.degraded = False
        _log.info("budgets_shared_again")

    def _lost(self, error: BudgetsUnavailable) -> None:
        if not self.degraded:
            self.degraded = True
            _log.error("budgets_degraded", reason=str(error), share=self._share)

    def _scaled(self, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        return tuple(Claim(one.whose, one.tenant, one.key, one.caps.scaled(self._share)) for one in claims)
