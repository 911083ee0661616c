"""Whether each part that answers need is there, asked at most once in a few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from gateway.errors import GatewayError, as_gateway_error
from retrieval.errors import RetrievalError
from serving.errors import ServingError

_FRESH_SECONDS = 3.0
_PATIENCE_SECONDS = 10.0


@dataclass(slots=True)
class Readiness:
    """Probes cost the engine a token, so that answers are kept for three seconds and asked for once at a time."""

    probes: Mapping[str, Callable[[], Awaitable[object]]]
    _checks: dict[str, str] = field(default_factory=dict)
    _asked: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def checks(self) -> dict[str, str]:
        """`ready` or a reason, by part."""
        async with self._lock:
            if time.monotonic() - self._asked > _FRESH_SECONDS:
                states = await asyncio.gather(*(_state(probe()) for probe in self.probes.values()))
                self._checks = dict(zip(self.probes, states, strict=True))
                self._asked = time.monotonic()
            return self._checks


async def _state(probe: Awaitable[object]) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await probe
    except (GatewayError, RetrievalError, ServingError) as error:
        return as_gateway_error(error).code
    except TimeoutError:
        return "timeout"
    return "ready"
