"""What `/metrics` shows: rendered beside the event loop, once a second at most, whoever scrapes."""

import asyncio
import gzip
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE_LATEST", "Exposition"]

_FRESH_SECONDS = 0.9
# Rendering holds the interpreter, so that a request would wait for all of it: after each family it steps aside.
_PAUSE_SECONDS = 0.0001


@dataclass(slots=True)
class Exposition:
    """The text of a registry, plain and compressed; two scrapers within a second are shown the same."""

    registry: CollectorRegistry
    _shown: tuple[bytes, bytes] = (b"", b"")
    _at: float = float("-inf")
    _rendering: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def text(self, *, compressed: bool) -> bytes:
        """Prometheus's text format, as gzip if `compressed`."""
        async with self._rendering:
            if time.monotonic() - self._at > _FRESH_SECONDS:
                self._shown = await asyncio.to_thread(_render, self.registry)
                self._at = time.monotonic()
            return self._shown[compressed]


@dataclass(frozen=True, slots=True)
class _One(Collector):
    """A single family, as the library renders whole registries only."""

    family: Metric

    def collect(self) -> Iterable[Metric]:
        return (self.family,)


def _render(registry: CollectorRegistry) -> tuple[bytes, bytes]:
    parts = []
    for family in registry.collect():
        parts.append(generate_latest(_One(family)))
        time.sleep(_PAUSE_SECONDS)
    text = b"".join(parts)
    return text, gzip.compress(text, compresslevel=1, mtime=0)
