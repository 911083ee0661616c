"""Work that goes on for as long as the process: it never ends by itself, and is missed when it does."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import structlog

from gateway.errors import Internal

_log = structlog.get_logger()


class Background:
    """A task that ends takes nothing else with it: it is logged with its traceback, and the process is not ready."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Background"]:
        """Everything started inside ends with the block."""
        background = cls()
        try:
            yield background
        finally:
            await background._stop()

    def start(self, name: str, work: Coroutine[Any, Any, NoReturn]) -> None:
        """Begin a task."""
        self._tasks[name] = asyncio.create_task(work, name=name)
        self._tasks[name].add_done_callback(_mourn)

    async def check(self) -> None:
        """Raise unless all that was started goes on."""
        if ended := [name for name, task in self._tasks.items() if task.done()]:
            raise Internal(f"{', '.join(ended)} ended")

    async def _stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())


def _mourn(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        _log.critical("background_task_ended", task=task.get_name(), exc_info=task.exception())
