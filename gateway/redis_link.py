"""The one file that speaks to Redis or Valkey: no call is cut off half-way, and its errors become ours."""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_CONNECTIONS = 64
Answer = TypeVar("Answer")
Value: TypeAlias = str | int | float | bytes


class RedisUnavailable(Exception):
    """Redis does not answer, or its address is none."""


class RedisLink:
    """No call is ever cancelled half-way, so that no connection is used again with an answer that was another's.

    Who stops waiting for a call leaves it to its end. Errors: RedisUnavailable.
    """

    def __init__(self, url: str, patience: float) -> None:
        """`patience` is in seconds, for a connection and for an answer."""
        self._redis = Redis.from_pool(_pool(url, patience))
        self._calls: set[asyncio.Task[Any]] = set()

    async def get(self, key: str) -> bytes | None:
        """What is held under a key."""
        found: Any = await asyncio.shield(self.start(self.called(self._redis.get(key))))
        return None if found is None else bytes(found)

    async def delete(self, key: str) -> None:
        """Hold nothing under it any more."""
        await asyncio.shield(self.start(self.called(self._redis.delete(key))))

    async def ping(self) -> None:
        """Raise unless it answers."""
        await self.called(self._redis.ping())

    def script(self, path: Path) -> "Script":
        """A script in Lua, which is one step to everybody else."""
        return Script(self, self._redis.register_script(path.read_text("utf-8")))

    async def called(self, call: Awaitable[Answer]) -> Answer:
        """A call of the client's, for whoever runs in a task that was started here."""
        try:
            return await call
        except (RedisError, OSError, TimeoutError) as error:
            raise RedisUnavailable(f"Redis does not answer: {type(error).__name__}") from error

    def start(self, call: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        """A task that goes on whoever waits for it: wait behind `asyncio.shield`."""
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Finish what is under way, and give up all connections."""
        while self._calls:
            await asyncio.wait(self._calls)
        await self._redis.aclose()

    def _ended(self, call: asyncio.Task[Any]) -> None:
        """A failure that nobody waits for any more is not worth a warning."""
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()


class Script:
    """One script, sent once and then called by its digest."""

    def __init__(self, link: RedisLink, script: Any) -> None:
        self._link = link
        self._script = script

    async def __call__(self, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        """To its end, even if who called it does not wait for that."""
        return await asyncio.shield(self._link.start(self.within(keys, arguments)))

    async def within(self, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        """For whoever runs in a task that was started by the link."""
        return await self._link.called(self._script(keys=keys, args=arguments))


def _pool(url: str, patience: float) -> BlockingConnectionPool:
    try:
        return BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=patience,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            retry=Retry(NoBackoff(), 0),  # a script whose answer was lost may have run
        )
    except ValueError:
        told = "TWINPIN_REDIS_URL is no address of Redis: write redis://HOST:PORT, rediss://HOST:PORT or unix://PATH"
        raise RedisUnavailable(told) from None
