"""What each tenant has used, by day and model version: counted here, kept in the catalog's database."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NoReturn

import structlog

from gateway.limits.admission import Spending
from gateway.limits.caps import NANO
from retrieval.errors import CatalogError
from retrieval.sql.usage import UsageLedger, Used, UsedBy

_WRITE_SECONDS = 1.0
_log = structlog.get_logger()


def today() -> date:
    """Days are those of UTC."""
    return datetime.now(UTC).date()


class UsageBook:
    """Adds what it counted to the database each second, so that no request waits for a disk.

    While there is no database it goes on counting; a process that is killed loses its last second.
    """

    def __init__(self, ledger: UsageLedger, today: Callable[[], date] = today) -> None:
        self._ledger = ledger
        self._today = today
        self._counted: dict[UsedBy, Used] = {}
        self._writing = asyncio.Lock()
        self._failing = False

    def count(self, tenant: str, spent: Spending) -> None:
        """One request, and what it took."""
        took = spent.tokens
        used = Used(1, took.prompt, took.completion, took.cached, round(spent.cost * NANO))
        self._add({UsedBy(tenant, self._today(), spent.model or ""): used})

    async def run(self) -> NoReturn:
        """Write for as long as the process lives."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Put into the database what is not there yet; what cannot be written now is kept for the next time."""
        async with self._writing:
            counted, self._counted = self._counted, {}
            try:
                if counted:
                    await self._ledger.add(counted)
            except CatalogError as error:
                self._add(counted)
                if not self._failing:
                    _log.error("usage_not_written", reason=str(error))
                self._failing = True
            else:
                self._failing = False

    async def since(self, tenant: str, day: date) -> Sequence[tuple[UsedBy, Used]]:
        """A tenant's usage from a day on, newest first, what was counted here up to now included."""
        await self.write()
        return await self._ledger.since(tenant, day)

    def _add(self, counted: Mapping[UsedBy, Used]) -> None:
        for by, used in counted.items():
            self._counted[by] = self._counted.get(by, Used()) + used
