"""Keeps every open index version up to date with the catalog and tidy, and closes those that nothing can be using."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from gateway.flipping.loaded import set_apart_anew
from gateway.flipping.versions import IndexVersions
from retrieval.errors import RetrievalError
from retrieval.live import LiveIndex

_PATIENCE_SECONDS = 1.0
_log = structlog.get_logger()


@dataclass(slots=True)
class Follower:
    """Looks after each change made here, and every second, as other processes write to the catalog too.

    `troubles` are the versions that could not follow when last tried, with the reason; `heard` is told which are at the
    catalog's head, and when.
    """

    indexes: IndexVersions
    quiet: Callable[[], AbstractAsyncContextManager[None]]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    heard: Callable[[str, float], None] = field(default=lambda index, now: None)
    troubles: dict[str, str] = field(default_factory=dict)

    async def run(self) -> NoReturn:
        """Follow for as long as the process lives."""
        while True:
            await self.look()
            waking = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self.changed.set)
            await self.changed.wait()
            waking.cancel()
            self.changed.clear()

    async def look(self) -> None:
        """Bring up to date what is behind; a version that cannot be holds up none of the others."""
        await self._look_after_each()
        if self.indexes.leaving() and not self.indexes.changing.locked():
            try:
                async with self.indexes.changing, self.quiet():
                    await self.indexes.close_leaving()
            finally:
                set_apart_anew()

    async def _look_after_each(self) -> None:
        """By itself, so that nothing here still holds one that leaves."""
        for index in self.indexes.retained():
            try:
                await self._follow(index)
            except RetrievalError as error:
                self._note(index.name, error)
            else:
                self.troubles.pop(index.name, None)
                self.heard(index.name, time.time())
            await self._tidy(index)

    async def _follow(self, index: LiveIndex) -> None:
        """Whoever commits new content writes it to the serving version, which is only behind for a fault."""
        if not await index.behind():
            return
        if index not in self.indexes.serving():
            await index.follow()
            return
        async with self.quiet():
            await index.follow()

    async def _tidy(self, index: LiveIndex) -> None:
        try:
            if await index.tidy():
                _log.info("index_tidied", index=index.name)
        except RetrievalError as error:  # it goes on as it is
            _log.error("index_not_tidied", index=index.name, reason=str(error))

    def _note(self, name: str, error: RetrievalError) -> None:
        if self.troubles.get(name) != str(error):
            self.troubles[name] = str(error)
            _log.error("index_cannot_follow", index=name, reason=str(error))
