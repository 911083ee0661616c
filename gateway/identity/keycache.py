"""An issuer's keys as last read: asked for anew now and then and for a key that is not known, but never endlessly."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from gateway.errors import Unavailable
from gateway.identity.sources import KeySourceError
from gateway.identity.tokens import Key, Keys, KeysUnusable, parse_keys

UNKNOWN_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 30.0
_log = structlog.get_logger()


@dataclass(slots=True)
class KeyCache:
    """Holds the last good set: whatever fails to be read leaves it as it is, and is said once.

    Whoever sends tokens with keys that nobody has makes it ask the issuer once in ten seconds.
    """

    issuer: str
    source: Callable[[], Awaitable[bytes]]
    every: float
    clock: Callable[[], float] = time.monotonic
    trouble: str | None = None
    keys: Keys = field(default_factory=dict)
    closed: bool = False
    _asked: float = float("-inf")
    _asking: asyncio.Task[None] | None = None

    async def find(self, name: tuple[str, str]) -> Key | None:
        """The key with this `kid` and type, None if the issuer has none; Unavailable if its keys were never read.

        Unavailable too if the issuer's entry goes while it is asked: a token that comes again meets what is in force.
        """
        if name not in self.keys:
            if self._asking is not None or self.clock() - self._asked >= UNKNOWN_SECONDS:
                await self.refresh()
            if self.closed or not self.keys:
                gone = "the keys that this token verifies with cannot be read now: try again later"
                raise Unavailable(gone, code="issuer_unavailable", retry_after=UNKNOWN_SECONDS)
        return self.keys.get(name)

    def due(self) -> bool:
        """Whether it is time to ask again; sooner after a failure."""
        return self.clock() - self._asked >= (min(self.every, _AGAIN_SECONDS) if self.trouble else self.every)

    async def refresh(self) -> None:
        """Ask the issuer, once for all who wait; one of them who leaves takes the answer from nobody."""
        if self._asking is None:
            self._asked = self.clock()
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._answered)
        asking = self._asking
        await asyncio.wait({asking})
        if not self.closed:
            asking.result()

    async def close(self) -> None:
        """Wait for nothing more, and let nobody wait."""
        self.closed = True
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> None:
        try:
            keys = parse_keys(await self.source(), self.keys)
        except (KeySourceError, KeysUnusable) as error:
            self._note(str(error))
            return
        if keys != self.keys:
            _log.info("issuer_keys", issuer=self.issuer, keys=sorted(kid for kid, _ in keys))
        self.keys = keys
        self.trouble = None

    def _note(self, reason: str) -> None:
        if reason != self.trouble:
            self.trouble = reason
            _log.error("issuer_keys_refused", issuer=self.issuer, reason=reason, kept=len(self.keys))

    def _answered(self, asked: "asyncio.Task[Any]") -> None:
        self._asking = None
