"""No answer is made twice: it is given again where that is right, shared while it is made, else made."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from gateway.answers.draft import Draft
from gateway.answers.events import AnswerEvent, Delta, Sources
from gateway.answers.exchange import Exchange
from gateway.answers.made import Made
from gateway.cache.answers import Answers, Place
from gateway.cache.flights import Flight, Flights
from gateway.metering import Tab
from gateway.telemetry.metrics import Metrics
from retrieval.acl import access_filter

Make: TypeAlias = Callable[[Exchange, Draft], AsyncGenerator[AnswerEvent]]
"""Tells sources and words of an answer; its draft has the verdict at the end."""


class Reusing:
    """Who is given an answer that was not made for them takes nothing of the engine."""

    def __init__(self, answers: Answers, metrics: Metrics, tab: Callable[[Exchange], Tab], seconds: float) -> None:
        """`tab` counts for an answer that several may share, until it is known who pays; it may take `seconds`."""
        self._seconds = seconds
        self._answers = answers
        self._metrics = metrics
        self._tab = tab
        self._flights = Flights()

    async def make(self, exchange: Exchange, draft: Draft, make: Make) -> AsyncGenerator[AnswerEvent]:
        """The same as `make` tells, by whichever way is right."""
        async with asyncio.timeout_at(exchange.deadline):
            way = await self._way(exchange, draft, make)
        async with aclosing(way) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """End what is under way."""
        await self._flights.close()

    async def _way(self, exchange: Exchange, draft: Draft, make: Make) -> AsyncGenerator[AnswerEvent]:
        wish = exchange.wish
        place = await self._answers.place(exchange) if wish.keep else None
        if place is None:
            self._metrics.cache("bypass", "behind" if wish.keep else "asked")
            return make(exchange, draft)
        draft.cache, key = "miss", self._key(place)
        if wish.max_age == 0:
            self._metrics.cache("miss", "asked")
            return self._lead(place, exchange, draft, make)
        flight = self._flights.get(key)
        if flight is None:
            made = await self._answers.find(place, wish.max_age)
            if made is not None:
                return _again(made, draft)
            flight = self._flights.get(key)
        if flight is None:
            return self._lead(place, exchange, draft, make)
        return self._share(flight, place, exchange, draft, make)

    def _key(self, place: Place) -> tuple[str, int | None]:
        return place.name, place.sequence if self._answers.strict else None

    async def _lead(self, place: Place, exchange: Exchange, draft: Draft, make: Make) -> AsyncGenerator[AnswerEvent]:
        """Nothing is awaited between looking for a flight and starting this one."""
        deadline = asyncio.get_running_loop().time() + self._seconds
        own = replace(exchange, tab=self._tab(exchange), deadline=deadline)
        kept = partial(self._keep, place, own, draft)
        flight = self._flights.start(self._key(place), own, draft, make(own, draft), kept)
        async with flight.boarded(exchange.tab, exchange.deadline) as events:
            async for event in events:
                exchange.follows(own)
                yield event

    async def _keep(self, place: Place, exchange: Exchange, draft: Draft) -> None:
        async with asyncio.timeout_at(exchange.deadline):
            await self._answers.keep(place, exchange, draft)

    async def _may_share(self, flight: Flight, place: Place) -> bool:
        """Whether what was found for its first caller is what would be found for this one, and may be shown to them."""
        first = access_filter(flight.exchange.principal)
        confirmed = await self._answers.confirms(place, flight.draft.findings)
        return confirmed and await self._answers.unchanged(place, first)

    async def _share(
        self, flight: Flight, place: Place, exchange: Exchange, draft: Draft, make: Make
    ) -> AsyncGenerator[AnswerEvent]:
        """What others found is held against the catalog for this caller too, before anything of it is told."""
        async with flight.boarded(exchange.tab, exchange.deadline) as events:
            async for event in events:
                if isinstance(event, Sources):
                    async with asyncio.timeout_at(exchange.deadline):
                        shared = await self._may_share(flight, place)
                    if not shared:
                        break
                    self._metrics.cache("hit", "shared")
                    draft.joins(flight.draft)
                    exchange.follows(flight.exchange)
                    yield draft.sources()
                elif isinstance(event, Delta):
                    draft.says(event.text)
                    yield event
            else:
                draft.takes(flight.draft.made())
                return
        self._metrics.cache("miss", "changed")
        async with aclosing(make(exchange, draft)) as own:
            async for event in own:
                yield event


async def _again(made: Made, draft: Draft) -> AsyncGenerator[AnswerEvent]:
    """The events that a cold run told."""
    draft.cache = "hit"
    draft.takes(made)
    yield draft.sources()
    for piece in made.pieces:
        yield Delta(piece)
