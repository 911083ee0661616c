"""How long records are kept, by kind; what is older loses its parts, and its digests stay."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

import structlog

from retrieval.errors import CatalogError
from retrieval.records.forgetting import Forgetting

_log = structlog.get_logger()
_EVERY_SECONDS = 3_600.0
_LATEST = timedelta(days=30)  # that a record may come: of a gateway that was stopped, or without its database, so long


@dataclass(frozen=True, slots=True)
class Retention:
    """Days for whole records and for their words alone, by kind of record; 0 is for ever."""

    whole: Mapping[str, int]
    words: Mapping[str, int]

    async def apply(self, forgetting: Forgetting, now: datetime) -> int:
        """Take away what is older; how many records lost something."""
        await forgetting.clear_marks(now - _LATEST)
        done = 0
        for kept, words_only in ((self.words, True), (self.whole, False)):
            for kind, days in kept.items():
                if days:
                    before = now - timedelta(days=days)
                    done += await forgetting.older(kind, before, words_only=words_only)
        return done

    async def run(self, forgetting: Forgetting, now: Callable[[], datetime]) -> NoReturn:
        """Once an hour for as long as the process lives."""
        while True:
            try:
                if count := await self.apply(forgetting, now()):
                    _log.info("records_expired", records=count)
            except CatalogError as error:
                _log.warning("record_retention_waits", reason=str(error))
            await asyncio.sleep(_EVERY_SECONDS)
