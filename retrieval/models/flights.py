"""Who asks for what is on its way already waits for that instead of asking again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(slots=True)
class _Flight(Generic[Result]):
    task: asyncio.Task[Result]
    waiting: int = 0


class Flights(Generic[Result]):
    """Work under way by key; it is given up when the last of those who wait for it has left."""

    def __init__(self) -> None:
        self._flights: dict[bytes, _Flight[Result]] = {}

    async def join(self, key: bytes, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `work`, begun for this caller or for one who came before; a failure reaches all of them."""
        flight = self._flights.get(key)
        if flight is None or flight.task.done():
            flight = self._flights[key] = _Flight(asyncio.ensure_future(_run(work)))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.task.cancel()
                if self._flights.get(key) is flight:
                    del self._flights[key]


async def _run(work: Callable[[], Awaitable[Result]]) -> Result:
    return await work()
