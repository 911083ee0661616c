"""What `/metrics` shows: rendered beside the event loop, once a second at most, whoever scrapes."""

import asyncio
import gzip
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

__all__ = ["CONTENT_TYPE_LATEST", "Exposition"]

_FRESH_SECONDS = 0.9
# Rendering holds the interpreter, so that a request would wait for all of it: after so many lines it steps aside.
_AT_ONCE, _PAUSE_SECONDS = 64, 0.0001
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
Heads: TypeAlias = dict[tuple[str, ...], str]


@dataclass(slots=True)
class Exposition:
    """The text of a registry, plain and compressed; two scrapers within a second are shown the same.

    The library's own rendering gives the same text, takes longer, and all of it at once; here names and labels are put
    together once for each series.
    """

    registry: CollectorRegistry
    _heads: Heads = field(default_factory=dict)
    _shown: tuple[bytes, bytes] = (b"", b"")
    _at: float = float("-inf")
    _rendering: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def text(self, *, compressed: bool) -> bytes:
        """Prometheus's text format, as gzip if `compressed`."""
        async with self._rendering:
            if time.monotonic() - self._at > _FRESH_SECONDS:
                self._shown = await asyncio.to_thread(self._render)
                self._at = time.monotonic()
            return self._shown[compressed]

    def _render(self) -> tuple[bytes, bytes]:
        lines, heads = [], Heads()
        for line in self._lines(heads):
            lines.append(line)
            if len(lines) % _AT_ONCE == 0:
                time.sleep(_PAUSE_SECONDS)
        self._heads = heads  # without those of series that are gone
        text = "".join(lines).encode()
        return text, gzip.compress(text, compresslevel=1, mtime=0)

    def _lines(self, heads: Heads) -> Iterator[str]:
        for family in self.registry.collect():
            yield _title(family)
            for sample in family.samples:
                key = (sample.name, *sample.labels.values())
                heads[key] = head = self._heads.get(key) or _head(sample)
                yield f"{head} {floatToGoString(sample.value)}\n"


def _title(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return f"# HELP {name} {family.documentation}\n# TYPE {name} {family.type}\n"


def _head(sample: Sample) -> str:
    labels = ",".join(f'{label}="{value.translate(_ESCAPED)}"' for label, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name
