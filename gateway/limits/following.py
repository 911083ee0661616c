"""Follows `limits.yaml`: what changes in it is in force within a second, or refused while the old stays."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import structlog

from gateway.limits.caps import Limited, LimitsRefused, parse_limits

_LOOK_SECONDS = 0.5
_log = structlog.get_logger()


class LimitsFile:
    """`limited` is what is in force; `refusal` why the file as it stands is not."""

    def __init__(self, path: Path, concurrency: int, heard: Callable[[bool], None]) -> None:
        """Raises LimitsRefused: what has never been good has nothing to fall back to."""
        self._path = path
        self._concurrency = concurrency
        self._heard = heard
        self._seen: bytes | None = None
        raw = self._read()
        self._seen = raw
        self.limited: Limited = parse_limits(raw, concurrency)
        self.refusal: str | None = None
        heard(True)

    async def run(self) -> NoReturn:
        """Look for as long as the process lives."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Put the file in force if it is another one than was last looked at."""
        try:
            raw = await asyncio.to_thread(self._read)
            if raw == self._seen:
                return
            self._seen = raw
            self.limited = parse_limits(raw, self._concurrency)
        except LimitsRefused as error:
            self._refuse(str(error))
        else:
            self.refusal = None
            self._heard(True)
            _log.info("limits_applied")

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            self._seen = None
            raise LimitsRefused(f"{self._path.name!r} cannot be read: {error.strerror}") from error

    def _refuse(self, reason: str) -> None:
        """Each reason is said once, however often it is met again."""
        if reason != self.refusal:
            self.refusal = reason
            self._heard(False)
            _log.error("limits_refused", reason=reason)
