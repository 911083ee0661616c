"""Stand-in engines on ports of their own, for tests whose gateway runs in another thread or process."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web

from serving.scripted_server import LOAD, Behaviour, scripted_app
from tests.conftest import free_port

_PATIENCE = 10.0
Result = TypeVar("Result")


class Engines:
    """Each can die, and come back on its port as something else."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._runners: dict[int, web.AppRunner] = {}
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def start(self, behaviour: Behaviour, port: int | None = None) -> int:
        """Serve, and return the port."""
        return self._run(self._start(behaviour, port or free_port()))

    def kill(self, port: int) -> None:
        """As a machine that is gone."""
        self._run(self._runners.pop(port).cleanup())

    def running(self, port: int) -> int:
        """How many answers it is streaming."""
        app = self._runners[port].app
        return app[LOAD].running

    def close(self) -> None:
        """All of them."""
        for port in list(self._runners):
            self.kill(port)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    async def _start(self, behaviour: Behaviour, port: int) -> int:
        runner = web.AppRunner(
            scripted_app(behaviour), handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self._runners[port] = runner
        return port

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)


@contextmanager
def running_engines() -> Iterator[Engines]:
    """They end with the block."""
    engines = Engines()
    try:
        yield engines
    finally:
        engines.close()
