"""Answers from a vLLM server: the one file that speaks HTTP to it, and where its failures become ours."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import aiohttp
import msgspec

from serving.errors import (
    EngineAborted,
    EngineRefused,
    EngineUnavailable,
    GenerationError,
    GenerationTimeout,
    TimeoutPhase,
    WrongModel,
)
from serving.generator import Finish, GenerationRequest, Message, Piece, Sampling, Text

KEEPALIVE_SECONDS = 4.0  # the server closes idle connections after 5
LONGEST_LINE = 1 << 20
DETAIL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to a connection, to the first piece from the start, between two pieces, and for the whole answer."""

    connect: float = 2.0
    first_piece: float = 60.0
    between_pieces: float = 20.0
    total: float = 180.0


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Failure(msgspec.Struct, gc=False):
    message: str = ""
    code: int | str | None = None


class _Chunk(msgspec.Struct, gc=False):
    model: str | None = None
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: _Failure | None = None


class _Served(msgspec.Struct):
    id: str


class _ServedList(msgspec.Struct):
    data: tuple[_Served, ...]


class _Clock:
    """When the next read has to be over, and which of the timeouts says so."""

    __slots__ = ("_deadline", "_loop", "_started", "_timeouts", "phase")

    def __init__(self, timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._started = self._loop.time()
        self._deadline = self._started + timeouts.total
        self.phase: TimeoutPhase = "first_piece"

    def limit(self) -> asyncio.Timeout:
        """A fresh limit for one wait."""
        return asyncio.timeout_at(min(self._due(), self._deadline))

    def passed(self) -> GenerationTimeout:
        """The error for the limit that has just passed."""
        phase: TimeoutPhase = "total" if self._deadline <= self._loop.time() else self.phase
        return GenerationTimeout(phase, getattr(self._timeouts, phase))

    def _due(self) -> float:
        if self.phase == "first_piece":
            return self._started + self._timeouts.first_piece
        return self._loop.time() + self._timeouts.between_pieces


class VllmGenerator:
    """A `Generator` over one vLLM server's OpenAI endpoint; made inside a running event loop, closed by `close`."""

    def __init__(self, base_url: str, *, timeouts: Timeouts, connections: int) -> None:
        self._base = base_url.rstrip("/")
        self._timeouts = timeouts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=timeouts.connect, sock_connect=timeouts.connect),
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
        )

    @asynccontextmanager
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[AsyncIterator[Piece]]:
        clock = _Clock(self._timeouts)
        response = await self._open("POST", "/v1/chat/completions", clock, request)
        try:
            async with aclosing(_pieces(response, request.model, clock)) as pieces:
                yield pieces
        finally:
            response.close()  # a finished answer has given its connection back; an unfinished one is aborted by this

    async def check(self, model: str) -> None:
        await self._get("/health")
        served = _decode_models(await self._get("/v1/models"))
        if model not in served:
            raise EngineRefused(f"the engine at {self._base} does not serve {model!r}", status=404)
        async with self.generate(_probe(model)) as pieces:
            async for _ in pieces:
                pass

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
                    data=_body(request) if request else None,
                    headers={"X-Request-Id": request.request_id} if request else None,
                    allow_redirects=False,
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise GenerationTimeout("connect", self._timeouts.connect) from error
        except TimeoutError as error:
            raise clock.passed() from error
        except aiohttp.ClientConnectionError as error:
            raise EngineUnavailable(f"the engine at {self._base} cannot be reached") from error
        except aiohttp.ClientError as error:
            raise EngineUnavailable(f"the engine at {self._base} does not speak HTTP as expected") from error
        if response.status != 200:
            raise await _refusal(response, clock)
        return response


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


def _body(request: GenerationRequest) -> bytes:
    sampling = request.sampling
    optional: dict[str, object] = {
        "seed": sampling.seed,
        "stop": sampling.stop or None,
        "response_format": request.response_format,
        "cache_salt": request.cache_salt,
    }
    return msgspec.json.encode(
        {
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "repetition_penalty": sampling.repetition_penalty,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        | {name: value for name, value in optional.items() if value is not None}
    )


async def _read_all(response: aiohttp.ClientResponse, clock: _Clock) -> bytes:
    try:
        async with clock.limit():
            return await response.read()
    except TimeoutError as error:
        raise clock.passed() from error
    except aiohttp.ClientError as error:
        raise EngineUnavailable("the engine's answer broke off") from error


async def _refusal(response: aiohttp.ClientResponse, clock: _Clock) -> GenerationError:
    try:
        detail = (await _read_all(response, clock)).decode(errors="replace")[:DETAIL_CHARACTERS]
    finally:
        response.close()
    if response.status == 429 or response.status >= 500:
        retry_after = _seconds(response.headers)
        return EngineUnavailable(f"the engine answered {response.status}", retry_after=retry_after)
    return EngineRefused(
        f"the engine refused the request with {response.status}", status=response.status, detail=detail
    )


def _seconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _decode_models(raw: bytes) -> frozenset[str]:
    try:
        return frozenset(served.id for served in msgspec.json.decode(raw, type=_ServedList).data)
    except msgspec.DecodeError as error:
        raise EngineUnavailable("the engine's list of models cannot be read") from error


async def _pieces(response: aiohttp.ClientResponse, model: str, clock: _Clock) -> AsyncGenerator[Piece]:
    decode = msgspec.json.Decoder(_Chunk).decode
    ending = _Ending()
    async for event in _events(response, clock):
        if event == b"[DONE]":
            yield ending.finish()
            continue
        try:
            chunk = decode(event)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EngineAborted("the engine's stream cannot be read", detail=repr(event[:200])) from error
        text = ending.take(chunk, model)
        if text:
            clock.phase = "between_pieces"
            yield Text(text)
    if not ending.told:
        raise EngineAborted("the engine's stream ended before the answer did")


class _Ending:
    """What a stream has told about its end, and the refusal of chunks that are no part of an answer."""

    __slots__ = ("_reason", "_usage", "told")

    def __init__(self) -> None:
        self._reason: Literal["stop", "length"] | None = None
        self._usage: _Usage | None = None
        self.told = False

    def take(self, chunk: _Chunk, model: str) -> str | None:
        """The chunk's text; raises when it says failure or comes from another model."""
        if chunk.error is not None:
            raise _failure(chunk.error)
        if chunk.model != model:
            raise WrongModel(model, chunk.model or "")
        if chunk.usage is not None:
            self._usage = chunk.usage
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        if choice.finish_reason is not None:
            self._reason = _reason(choice.finish_reason)
        return choice.delta.content

    def finish(self) -> Finish:
        """The finish, once the engine says that the stream is done."""
        if self._reason is None or self._usage is None or self.told:
            raise EngineAborted("the engine ended its stream without saying why or how much")
        self.told = True
        details = self._usage.prompt_tokens_details
        cached = (details.cached_tokens or 0) if details else 0
        return Finish(self._reason, self._usage.prompt_tokens, self._usage.completion_tokens, cached)


def _reason(told: str) -> Literal["stop", "length"]:
    match told:
        case "stop" | "length":
            return told
        case _:
            raise EngineAborted(f"the engine ended the answer with {told[:40]!r}")


def _failure(failure: _Failure) -> GenerationError:
    told = str(failure.code)
    code = int(told) if told.isascii() and told.isdigit() else 500
    detail = failure.message[:DETAIL_CHARACTERS]
    if 400 <= code < 500:
        return EngineRefused(f"the engine refused the request with {code} in its stream", status=code, detail=detail)
    return EngineAborted(f"the engine failed with {code} in its stream", detail=detail)


async def _events(response: aiohttp.ClientResponse, clock: _Clock) -> AsyncIterator[bytes]:
    """The `data:` payloads of a stream of server-sent events, one line each as vLLM writes them."""
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
        for line in lines.feed(data):
            yield line


class Lines:
    """Cuts a stream of bytes into the payloads of its `data:` lines, whatever the pieces it comes in."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Payloads that end in `data`; raises EngineAborted on a line longer than `LONGEST_LINE` bytes."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE:
            raise EngineAborted("the engine's stream holds a line without end")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
