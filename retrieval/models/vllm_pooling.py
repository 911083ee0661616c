"""A vLLM server of a pooling model: the one file here that speaks HTTP to it, and where its failures become ours.

Requests are made on an event loop of its own, so that threads that build an index and a gateway's loop share the
connections.
"""

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal, TypeVar

import aiohttp
import msgspec

from retrieval.errors import RecipeError, RetrievalError
from retrieval.layout import PoolingServer

Result = TypeVar("Result")
_KEEPALIVE_SECONDS = 4.0  # the server closes idle connections after 5
_CONNECT_SECONDS = 2.0
_DETAIL_CHARACTERS = 300
_END_SECONDS = 0.1
_TRUSTED_SECONDS = 60.0


class Served(msgspec.Struct, frozen=True):
    """One model of `/v1/models`."""

    id: str
    max_model_len: int | None = None


class _Models(msgspec.Struct, frozen=True):
    data: list[Served]


class PoolingClient:
    """JSON to and from one server. `failed` makes the error for whoever asks, of one sentence."""

    def __init__(self, server: PoolingServer, failed: Callable[[str], RetrievalError], connections: int = 64) -> None:
        self._server = server
        self._failed = failed
        self._connections = connections
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pooling", daemon=True)
        self._thread.start()
        self._session = self.wait(self._open_session())

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run requests from a thread that may block."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def join(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run requests from another event loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def model(self, name: str, within: float) -> Served:
        """The model that the server knows by that name; RecipeError when it has none."""
        answer = self.decode(await self.request("GET", "/v1/models", None, within), _Models)
        models = {one.id: one for one in answer.data}
        if name not in models:
            named = ", ".join(sorted(models)) or "nothing"
            raise RecipeError(f"the server at {self._server.url} serves {named}, and the recipe names {name!r}")
        return models[name]

    async def request(self, method: Literal["GET", "POST"], path: str, body: object, within: float) -> bytes:
        """One request and its answer, in `within` seconds."""
        limits = aiohttp.ClientTimeout(total=within, connect=min(_CONNECT_SECONDS, within))
        data = None if body is None else msgspec.json.encode(body)
        url = self._server.url.rstrip("/") + path
        try:
            async with self._session.request(method, url, data=data, timeout=limits, allow_redirects=False) as response:
                content = await response.read()
        except TimeoutError as error:
            raise self._failed(f"the server at {self._server.url} did not answer in {within:g} s") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise self._failed(f"the server at {self._server.url} cannot be reached: {type(error).__name__}") from error
        if response.status != 200:
            detail = content.decode(errors="replace")[:_DETAIL_CHARACTERS]
            raise self._failed(f"the server at {self._server.url} answered {path} with {response.status}: {detail}")
        return content

    def decode(self, content: bytes, kind: type[Result]) -> Result:
        """An answer, or the error of one that is not as it should be."""
        try:
            return msgspec.json.decode(content, type=kind)
        except msgspec.DecodeError as error:
            raise self._failed(f"the server at {self._server.url} does not answer as vLLM does: {error}") from error

    def close(self) -> None:
        """Close the connections, and end the thread."""
        if self._thread.is_alive():
            self.wait(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        """Requests under way fail by themselves as their connection goes; what waits for anything else is given up."""
        await self._session.close()
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            _, waiting = await asyncio.wait(others, timeout=_END_SECONDS)
            for task in waiting:
                task.cancel()
            await asyncio.wait(others)

    async def _open_session(self) -> aiohttp.ClientSession:
        key = self._server.api_key
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
        )


class Trust:
    """That the server has the model which was pinned: `look` says so, and raises what says that it has not.

    It is looked at again after a minute of use and after every failure, as a server may come back with another one.
    """

    def __init__(self, look: Callable[[], Awaitable[None]], clock: Callable[[], float]) -> None:
        self._look = look
        self._clock = clock
        self._until = -math.inf
        self._looking: asyncio.Task[None] | None = None

    async def renew(self) -> None:
        """Look now, once for all who come meanwhile; who leaves does not end it, or a slow look would never end."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._looked())
            self._looking.add_done_callback(_retrieved)
        await asyncio.shield(self._looking)

    async def within(self, work: Callable[[], Awaitable[Result]], *, patience: float | None = None) -> Result:
        """What `work` gives; who comes when the model was not looked at for a while looks first.

        TimeoutError if that takes longer than `patience` seconds; the look goes on for those who come later.
        """
        if self._clock() >= self._until:
            await asyncio.wait_for(self.renew(), patience)
        try:
            return await work()
        except RetrievalError:
            self._until = -math.inf
            raise

    async def _looked(self) -> None:
        await self._look()
        self._until = self._clock() + _TRUSTED_SECONDS


def _retrieved(task: asyncio.Task[None]) -> None:
    """Nobody may be left to be told how it ended; the next to come looks again."""
    if not task.cancelled():
        task.exception()
