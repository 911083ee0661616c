"""The HTTP server: on SIGTERM it says that it is not ready, answers on for a while, and ends what is under way."""

import asyncio
import math
import signal
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import structlog
import uvicorn

from gateway.flipping.loaded import set_apart
from gateway.http.draining import Draining

_MARGIN_SECONDS = 5.0
_AT_ONCE = 16  # connections that are taken in one turn of the event loop
_log = structlog.get_logger()


class Server(uvicorn.Server):
    """`drain_seconds` are for whoever sends traffic here to see that it should not; a second signal ends them."""

    def __init__(
        self, app: Callable[..., Any], draining: Draining, *, drain_seconds: float, answer_seconds: float
    ) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="on",
            proxy_headers=False,  # who asks is known by credentials: nobody reads where they come from
            server_header=False,
            timeout_graceful_shutdown=math.ceil(answer_seconds + _MARGIN_SECONDS),
        )
        super().__init__(config)
        self._draining = draining
        self._drain_seconds = drain_seconds
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Each socket that listens is watched several times: libuv takes one connection for each in a turn of its loop.

        In a busy process turns are long, so that a crowd would wait to be taken, and for a refusal too.
        """
        copies = [one.dup() for one in sockets or () for _ in range(_AT_ONCE - 1)]
        try:
            super().run(sockets and [*sockets, *copies])
        finally:
            for one in copies:
                one.close()  # also where it could not start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """From here on there is something to drain, and what has been loaded stays."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        set_apart()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ctrl-C, and a signal that comes again, leave out the waiting."""
        if sig != signal.SIGTERM or self._draining.begun or self._loop is None or not self.started:
            super().handle_exit(sig, frame)
            return
        self._draining.begun = True
        self._loop.call_soon_threadsafe(self._drain, self._loop, partial(super().handle_exit, sig, frame))

    def _drain(self, loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
        """Not where the signal is handled: that may be amid another log line, whose lock this one would wait for."""
        _log.info("draining", seconds=self._drain_seconds)
        loop.call_later(self._drain_seconds, end)
