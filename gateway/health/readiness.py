"""Whether each part that answers need is there, asked at most once in a few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, Protocol, TypeAlias

import structlog

from gateway.errors import GatewayError, as_gateway_error
from retrieval.errors import RetrievalError
from serving.errors import EngineBusy, ServingError

_FRESH_SECONDS = 3.0
_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 15.0
_READY = "ready"
_log = structlog.get_logger()
Probe: TypeAlias = Callable[[], Awaitable[object]]


class Heard(Protocol):
    """Is told how each part is."""

    def __call__(self, part: str, *, ready: bool) -> None: ...


def _nobody(part: str, *, ready: bool) -> None:
    return


@dataclass(slots=True)
class Readiness:
    """Probes cost the engine a token, so that answers are kept for three seconds and asked for once at a time."""

    probes: Mapping[str, Probe]
    heard: Heard = _nobody
    _checks: dict[str, str] = field(default_factory=dict)
    _asked: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> NoReturn:
        """Look now and then, for those who measure and never ask."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.checks()

    async def checks(self) -> dict[str, str]:
        """`ready` or a reason, by part."""
        async with self._lock:
            if time.monotonic() - self._asked > _FRESH_SECONDS:
                states = await asyncio.gather(*(_state(probe()) for probe in self.probes.values()))
                for part, (state, reason) in zip(self.probes, states, strict=True):
                    self._note(part, state, reason)
                self._asked = time.monotonic()
            return dict(self._checks)

    def _note(self, part: str, state: str, reason: str) -> None:
        """Callers are told a code; why it is so stands in the log, once."""
        if state != self._checks.get(part, _READY):
            _log.warning("part_changed", part=part, state=state, reason=reason)
        self._checks[part] = state
        self.heard(part, ready=state == _READY)


async def _state(probe: Awaitable[object]) -> tuple[str, str]:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await probe
    except EngineBusy as error:  # it is well, and works
        return _READY, str(error)
    except (GatewayError, RetrievalError, ServingError) as error:
        return as_gateway_error(error).code, str(error)
    except TimeoutError:
        return "timeout", f"no answer within {_PATIENCE_SECONDS:.0f} s"
    return _READY, ""
