"""Follows `releases.yaml`: what changes in it is put in force whole, or refused with the reason while the old stays."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import structlog

from deploy.pinboard import ReleaseConfigError, describe_pins, parse_pinboard, read_pinboard, read_releases
from gateway.flipping.flip import Flip, VersionRefused, refusal_of
from gateway.release import Refusal, Release
from gateway.telemetry.metrics import Metrics

_LOOK_SECONDS = 0.5
_SOONEST_SECONDS, _LATEST_SECONDS = 1.0, 30.0
_log = structlog.get_logger()


@dataclass(slots=True)
class Watch:
    """A file that was refused is tried again while it stays the same, ever more rarely: what it names may yet come."""

    releases: Path
    flip: Flip
    release: Release
    metrics: Metrics
    clock: Callable[[], float] = time.monotonic
    _seen: bytes | None = None
    _again: float = float("-inf")
    _pause: float = _SOONEST_SECONDS
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._measure()
        if self.release.refusal is not None:
            self.metrics.release_refused()

    async def run(self) -> NoReturn:
        """Look, twice a second."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Put the file in force if it is another one than was last looked at. Its name may be a link that is moved."""
        async with self._looking:
            try:
                raw = await self._read()
                if self._is_news(raw):
                    await self._try(raw)
            except Exception as error:  # noqa: BLE001 - a pin that fails in a new way must not end the following of all
                self._refuse(error)

    async def _read(self) -> bytes:
        try:
            return await asyncio.to_thread(read_releases, self.releases)
        except ReleaseConfigError:
            self._seen = None
            raise

    def _is_news(self, raw: bytes) -> bool:
        if raw != self._seen:
            self._seen, self._pause = raw, _SOONEST_SECONDS
            return True
        return self.release.refusal is not None and self.clock() >= self._again

    async def _try(self, raw: bytes) -> None:
        """Apply it, unless it is changed before that is done: who waits for a slow version may still roll back."""
        applying = asyncio.create_task(self._apply(raw))
        try:
            while not (await asyncio.wait({applying}, timeout=_LOOK_SECONDS))[0]:
                if await self._read() != raw:
                    _log.info("release_superseded")
                    break
        finally:
            applying.cancel()
            await asyncio.wait({applying})
        if not applying.cancelled():
            applying.result()

    async def _apply(self, raw: bytes) -> None:
        board = await asyncio.to_thread(parse_pinboard, raw, self.releases)
        self._applied(await self.flip.apply(board, self.release))

    def _applied(self, changed: bool) -> None:
        if changed or self.release.refusal is not None:
            now = self.release.current
            pins = {"index": now.pins.index.stable, "model": now.pins.model.stable}
            _log.info("release_applied", generation=now.generation, **pins)
        self.release.refusal = None
        self._measure()

    def _refuse(self, error: Exception) -> None:
        """Each reason is said once, however often it is met again."""
        refusal = refusal_of(error)
        self._again = self.clock() + self._pause
        self._pause = min(2 * self._pause, _LATEST_SECONDS)
        if refusal != self.release.refusal:
            self.release.refusal = refusal
            _log_refusal(error, refusal, self.release)
            self.metrics.release_refused()
            self._measure()

    def _measure(self) -> None:
        current = self.release.current
        self.metrics.release(current.generation, current.pins, ok=self.release.refusal is None)


async def start_release(releases: Path, flip: Flip) -> Release:
    """Open what the file names, or, if that fails, what was last in force here; raises what it failed of else."""
    try:
        return await flip.start(await asyncio.to_thread(read_pinboard, releases))
    except Exception as error:
        last = flip.last_good.read()
        if last is None:
            raise
        try:
            board = await asyncio.to_thread(describe_pins, last.pins, releases.parent / "versions")
            release = await flip.start(board)
        except (ReleaseConfigError, VersionRefused):
            raise error from None
        release.refusal = refusal_of(error)
        _log_refusal(error, release.refusal, release)
        return release


def _log_refusal(error: Exception, refusal: Refusal, release: Release) -> None:
    """A fault of ours with its traceback."""
    fault = None if isinstance(error, ReleaseConfigError | VersionRefused) else error
    _log.error("release_refused", reason=refusal.detail, generation=release.current.generation, exc_info=fault)
