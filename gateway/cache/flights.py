"""Answers on their way: who asks the same meanwhile shares one, which goes on for as long as anybody wants it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import TypeAlias

import structlog

from gateway.answers.draft import Draft
from gateway.answers.events import AnswerEvent
from gateway.answers.exchange import Exchange
from gateway.errors import Internal
from gateway.metering import Tab
from serving.errors import GenerationTimeout

_log = structlog.get_logger()
Key: TypeAlias = tuple[str, int | None]


class Flight:
    """One answer, made in a task of its own and told to all who share it from its first event on.

    Of those who still want it when it ends, the one who has waited longest pays for all of it.
    """

    def __init__(
        self,
        exchange: Exchange,
        draft: Draft,
        events: AsyncGenerator[AnswerEvent],
        landed: Callable[[], Awaitable[None]],
        over: Callable[["Flight"], None],
    ) -> None:
        """`draft` becomes the answer of `exchange` as it is made. When it is whole `landed` is awaited, then `over` is
        called: nobody boards after that.
        """
        self.exchange = exchange
        self.draft = draft
        self._events = events
        self._landed = landed
        self._over = over
        self._told: list[AnswerEvent] = []
        self._news = asyncio.Event()
        self._arrived = False
        self._error: BaseException | None = None
        self._aboard: list[Tab] = []
        self._task = asyncio.create_task(self._fly())
        self._task.add_done_callback(self._ended)

    @asynccontextmanager
    async def boarded(self, tab: Tab, deadline: float) -> AsyncIterator[AsyncGenerator[AnswerEvent]]:
        """All its events; at the deadline of whoever waits for them TimeoutError, or once the model is asked
        GenerationTimeout.

        Who leaves early is missed by nobody; when the last one has left, the engine is free.
        """
        self._aboard.append(tab)
        async with aclosing(self._follow(deadline)) as events:
            try:
                yield events
            finally:
                await self._leave(tab)

    async def stop(self) -> None:
        """End it, whoever wants it."""
        self._over(self)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _fly(self) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                self._told.append(event)
                self._wake()
        self._arrive()
        await self._landed()

    async def _follow(self, deadline: float) -> AsyncGenerator[AnswerEvent]:
        at, began = 0, asyncio.get_running_loop().time()
        while True:
            news = self._news
            while at < len(self._told):
                yield self._told[at]
                at += 1
            if self._arrived:
                break
            try:
                async with asyncio.timeout_at(deadline):
                    await news.wait()
            except TimeoutError as error:
                if not self.draft.asked:
                    raise
                raise GenerationTimeout("total", round(asyncio.get_running_loop().time() - began, 1)) from error
        if self._error is not None:
            raise self._error

    async def _leave(self, tab: Tab) -> None:
        self._aboard.remove(tab)
        if not self._aboard and not self._arrived:
            await self.stop()
            tab.pays(self.exchange.tab)

    def _arrive(self) -> None:
        """What was generated is paid before anybody is told the end."""
        self._arrived = True
        if self._aboard:
            self._aboard[0].pays(self.exchange.tab)
        self._wake()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._over(self)
        error = Internal("the gateway is closing") if task.cancelled() else task.exception()
        if not self._arrived:
            self._error = error
            self._arrive()
        elif error is not None and not task.cancelled():
            _log.error("answer_not_kept", exc_info=error)

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Flights:
    """Those that can be boarded, by what they answer."""

    def __init__(self) -> None:
        self._flights: dict[Key, Flight] = {}

    def get(self, key: Key) -> Flight | None:
        """One on its way, if there is one."""
        return self._flights.get(key)

    def start(
        self,
        key: Key,
        exchange: Exchange,
        draft: Draft,
        events: AsyncGenerator[AnswerEvent],
        landed: Callable[[], Awaitable[None]],
    ) -> Flight:
        """A new one, in place of one that has this key already: that goes on with those aboard."""

        def over(flight: Flight) -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]

        flight = self._flights[key] = Flight(exchange, draft, events, landed, over)
        return flight

    async def close(self) -> None:
        """End all."""
        for flight in list(self._flights.values()):
            await flight.stop()
