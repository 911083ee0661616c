"""Answers from a vLLM server: the one file that speaks HTTP to it, and where its failures become ours."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

import aiohttp

from serving.errors import (
    EngineAborted,
    EngineBusy,
    EngineGone,
    EngineRefused,
    EngineUnavailable,
    GenerationError,
    GenerationTimeout,
    TimeoutPhase,
)
from serving.generator import GenerationRequest, Message, Piece, Sampling
from serving.vllm_wire import DETAIL_CHARACTERS, AnswerReader, Lines, decode_models, encode_request

KEEPALIVE_SECONDS = 4.0  # the server closes idle connections after 5


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to a connection, to the first piece from the start, between two pieces, and for the whole answer."""

    connect: float = 2.0
    first_piece: float = 60.0
    between_pieces: float = 20.0
    total: float = 180.0


class _Clock:
    """When the next read has to be over, and which of the timeouts says so."""

    __slots__ = ("_deadline", "_loop", "_started", "_timeouts", "phase")

    def __init__(self, timeouts: Timeouts, deadline: float = math.inf) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._started = self._loop.time()
        self._deadline = min(self._started + timeouts.total, deadline)
        self.phase: TimeoutPhase = "first_piece"

    def limit(self) -> asyncio.Timeout:
        """A fresh limit for one wait."""
        return asyncio.timeout_at(min(self._due(), self._deadline))

    def passed(self) -> GenerationTimeout:
        """The error for the limit that has just passed."""
        if self._deadline <= self._loop.time():
            return GenerationTimeout("total", self._deadline - self._started)
        return GenerationTimeout(self.phase, getattr(self._timeouts, self.phase))

    def _due(self) -> float:
        if self.phase == "first_piece":
            return self._started + self._timeouts.first_piece
        return self._loop.time() + self._timeouts.between_pieces


class VllmGenerator:
    """A `Generator` over one vLLM server's OpenAI endpoint; made inside a running event loop, closed by `close`."""

    def __init__(self, base_url: str, *, timeouts: Timeouts, connections: int) -> None:
        self._base = base_url.rstrip("/")
        self._shown = _without_user(self._base)
        self._timeouts = timeouts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect, sock_connect=timeouts.connect),
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
        )

    @asynccontextmanager
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[AsyncIterator[Piece]]:
        clock = _Clock(self._timeouts, request.deadline)
        response = await self._open("POST", "/v1/chat/completions", clock, request)
        try:
            async with aclosing(_pieces(response, request.model, clock)) as pieces:
                yield pieces
        finally:
            response.close()  # a finished answer has given its connection back; an unfinished one is aborted by this

    async def check(self, model: str) -> None:
        await self._get("/health")
        served = decode_models(await self._get("/v1/models"))
        if model not in served:
            raise EngineRefused(f"the engine at {self._shown} does not serve {model!r}", status=404)
        async with self.generate(_probe(model)) as pieces:
            async for _ in pieces:
                pass

    def out(self, model: str) -> bool:
        return False

    async def close(self) -> None:
        await self._session.close()

    async def _get(self, path: str) -> bytes:
        clock = _Clock(self._timeouts)
        response = await self._open("GET", path, clock, None)
        try:
            return await _read_all(response, clock)
        finally:
            response.close()

    async def _open(
        self, method: Literal["GET", "POST"], path: str, clock: _Clock, request: GenerationRequest | None
    ) -> aiohttp.ClientResponse:
        try:
            async with clock.limit():
                response = await self._session.request(
                    method,
                    self._base + path,
                    data=encode_request(request) if request else None,
                    headers={"X-Request-Id": request.request_id, **request.trace} if request else None,
                    allow_redirects=False,
                )
        except aiohttp.ConnectionTimeoutError as error:
            told = f"the engine at {self._shown} took no connection within {self._timeouts.connect:g} s"
            raise EngineGone(told) from error
        except TimeoutError as error:
            raise clock.passed() from error
        except aiohttp.ClientConnectorError as error:
            raise EngineGone(f"the engine at {self._shown} cannot be reached") from error
        except aiohttp.ClientConnectionError as error:
            raise EngineUnavailable(f"the engine at {self._shown} closed the connection") from error
        except aiohttp.ClientError as error:
            raise EngineUnavailable(f"the engine at {self._shown} does not speak HTTP as expected") from error
        if response.status != 200:
            raise await _refusal(response, clock, queues=request is not None)
        return response


def _without_user(url: str) -> str:
    """An address that may be read by anybody: a password is not among it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _probe(model: str) -> GenerationRequest:
    return GenerationRequest(
        model=model,
        messages=(Message("user", "ping"),),
        max_tokens=1,
        sampling=Sampling(),
        response_format=None,
        cache_salt=None,
        request_id="probe",
    )


async def _read_all(response: aiohttp.ClientResponse, clock: _Clock) -> bytes:
    try:
        async with clock.limit():
            return await response.read()
    except TimeoutError as error:
        raise clock.passed() from error
    except aiohttp.ClientError as error:
        raise EngineUnavailable("the engine's answer broke off") from error


async def _refusal(response: aiohttp.ClientResponse, clock: _Clock, *, queues: bool) -> GenerationError:
    """`queues` where a full queue may be meant: what is asked how it is, is not well when it says the same."""
    try:
        detail = (await _read_all(response, clock)).decode(errors="replace")[:DETAIL_CHARACTERS]
    finally:
        response.close()
    if response.status in (429, 503) and queues:
        return EngineBusy(f"the engine answered {response.status}", retry_after=_seconds(response.headers))
    if response.status >= 500 or response.status == 429:
        return EngineUnavailable(f"the engine answered {response.status}")
    return EngineRefused(
        f"the engine refused the request with {response.status}", status=response.status, detail=detail
    )


def _seconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


async def _pieces(response: aiohttp.ClientResponse, model: str, clock: _Clock) -> AsyncGenerator[Piece]:
    answer = AnswerReader(model)
    async for events in _events(response, clock):
        for piece in answer.read(events):
            clock.phase = "between_pieces"
            yield piece
    if not answer.finished:
        raise EngineAborted("the engine's stream ended before the answer did")


async def _events(response: aiohttp.ClientResponse, clock: _Clock) -> AsyncIterator[list[bytes]]:
    """The `data:` payloads of a stream of server-sent events, one line each as vLLM writes them, as they come in."""
    read = response.content.readany
    lines = Lines()
    while True:
        try:
            async with clock.limit():
                data = await read()
        except TimeoutError as error:
            raise clock.passed() from error
        except aiohttp.ClientError as error:
            raise EngineAborted("the connection to the engine broke") from error
        if not data:
            return
        yield lines.feed(data)
