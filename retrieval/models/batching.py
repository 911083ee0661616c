"""Work for many callers at once, on a thread beside the event loop: what waits while it is busy goes together next."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeAlias, TypeVar

from retrieval.errors import RetrievalError

Item = TypeVar("Item")
Result = TypeVar("Result")
Work: TypeAlias = Callable[[Sequence[Item]], Sequence[Result]]


class Batcher(Generic[Item, Result]):
    """Runs `work`, which gives one result for each item, on batches in the order of arrival.

    A batch has at most `most` items, and `room` of what `cost` counts of them, but at least one: so nobody waits for
    very long items that came along by chance. Whoever leaves before the turn came is left out. When `waiting` items
    wait already, one more is refused with `full`.
    """

    def __init__(
        self,
        work: Work[Item, Result],
        *,
        name: str,
        full: type[RetrievalError],
        cost: Callable[[Item], int],
        room: int,
        most: int = 32,
        waiting: int = 1024,
    ) -> None:
        self._work = work
        self._name = name
        self._full = full
        self._cost = cost
        self._room = room
        self._most = most
        self._limit = waiting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """The item's result, when its batch is done."""
        return await self._enqueue(item)

    async def submit_all(self, items: Sequence[Item]) -> list[Result]:
        """The results of items that are of use together only: whoever leaves, or fails at one, leaves with all."""
        futures: list[asyncio.Future[Result]] = []
        try:
            futures.extend(self._enqueue(item) for item in items)
            return list(await asyncio.gather(*futures))
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Let the thread go when it has ended what it does."""
        self._thread.shutdown(wait=False)

    def _enqueue(self, item: Item) -> asyncio.Future[Result]:
        if len(self._waiting) >= self._limit:
            self._waiting = deque(one for one in self._waiting if not one[1].done())
        if len(self._waiting) >= self._limit:
            raise self._full(f"{self._limit} wait to {self._name} already: try again later")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        while batch := self._next():
            items = [item for item, _ in batch]
            job = asyncio.get_running_loop().create_task(self._together(items))
            await asyncio.wait([job])
            _settle([future for _, future in batch], job)

    async def _together(self, items: Sequence[Item]) -> Sequence[Result]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, items)

    def _next(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        room = self._room
        while self._waiting and len(batch) < self._most:
            item, future = self._waiting[0]
            if not future.done():
                room -= self._cost(item)
                if batch and room < 0:
                    break
                batch.append((item, future))
            self._waiting.popleft()
        return batch


def _settle(futures: Sequence[asyncio.Future[Result]], job: asyncio.Task[Sequence[Result]]) -> None:
    """Give every caller that still waits its result, or what made the batch fail."""
    error = job.exception()
    for place, future in enumerate(futures):
        if future.done():
            continue
        if error is None:
            future.set_result(job.result()[place])
        else:
            future.set_exception(error)
