"""A scripted stand-in for a vLLM server, for benchmarks of the gateway and tests of the client; it is not a model.

    python -m serving.scripted_server --port 8001 --model scripted --tokens 64 --delay-ms 0

It answers with words of the first passage in the prompt, so that the grounding has work, and says in `/v1/models`
that it is scripted. `--mode` or the header `x-scripted-mode` makes it misbehave.
"""

import argparse
import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Literal, get_args

from aiohttp import web

from serving.output import wanted_schema
from serving.scripted import least_instance, pieces_of

Mode = Literal["ok", "unavailable", "abort", "drain", "garbage", "hang", "cut", "error", "other-model"]

OWNER = "twinpin-scripted"
_FIRST_PASSAGE = re.compile(r"\[1\]|<passage[^>]*>|-+ passage 1 -+")
_WORDS = re.compile(r"\w[^\s<>\[\]]*")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the stand-in serves: at most `tokens` pieces an answer, `delay` seconds before each.

    `slots` answers at once, the others wait their turn, `queue` of them at most; None is no end of either.
    """

    model: str
    tokens: int = 64
    delay: float = 0.0
    mode: Mode = "ok"
    slots: int | None = None
    queue: int | None = None


class Load:
    """How many answers are being streamed now, how many wait, and how many were begun so far."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.running = self.waiting = self.begun = 0
        self._slots = asyncio.Semaphore(behaviour.slots) if behaviour.slots else None
        self._queue = behaviour.queue

    @property
    def full(self) -> bool:
        """Whether nobody else may wait."""
        busy = self._slots is not None and self._slots.locked()
        return busy and self._queue is not None and self.waiting >= self._queue

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for it, and have it for the length of the block."""
        self.waiting += 1
        try:
            if self._slots is not None:
                await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        self.begun += 1
        try:
            yield
        finally:
            self.running -= 1
            if self._slots is not None:
                self._slots.release()


BEHAVIOUR: web.AppKey[Behaviour] = web.AppKey("behaviour", Behaviour)
LOAD: web.AppKey[Load] = web.AppKey("load", Load)


def scripted_app(behaviour: Behaviour) -> web.Application:
    """The server as an aiohttp application."""
    app = web.Application(client_max_size=16 << 20)
    app[BEHAVIOUR] = behaviour
    app[LOAD] = Load(behaviour)
    app.router.add_get("/health", _health)
    app.router.add_get("/metrics", _metrics)
    app.router.add_get("/v1/models", _models)
    app.router.add_post("/v1/chat/completions", _complete)
    return app


async def _health(request: web.Request) -> web.Response:
    return web.Response()


async def _metrics(request: web.Request) -> web.Response:
    behaviour, load = request.app[BEHAVIOUR], request.app[LOAD]
    told = {"vllm:num_requests_running": load.running, "vllm:num_requests_waiting": load.waiting}
    lines = (f'{name}{{model_name="{behaviour.model}"}} {value}.0\n' for name, value in told.items())
    return web.Response(text="".join(lines))


async def _models(request: web.Request) -> web.Response:
    model = request.app[BEHAVIOUR].model
    return web.json_response({"object": "list", "data": [{"id": model, "object": "model", "owned_by": OWNER}]})


async def _complete(request: web.Request) -> web.StreamResponse:
    behaviour = request.app[BEHAVIOUR]
    mode = request.headers.get("x-scripted-mode", behaviour.mode)
    body: dict[str, Any] = await request.json()
    load = request.app[LOAD]
    if load.full:
        return _error(503, "too many requests are waiting", {})  # for how long vLLM does not say either
    if mode == "unavailable":
        return _error(503, "not now", {"Retry-After": "7"})
    if body["model"] != behaviour.model:
        return _error(404, f"The model `{body['model']}` does not exist.", {})
    limit = int(body.get("max_tokens", behaviour.tokens))
    if limit < 1:
        return _error(400, f"max_tokens must be at least 1, got {limit}.", {})
    pieces = answer_pieces(body, behaviour.tokens)
    answer = _Answer(behaviour, mode, body["model"], _count(body), pieces[:limit], len(pieces) > limit)
    async with load.turn():
        return await _stream(request, answer) if body.get("stream") else await _whole(answer)


def _error(status: int, message: str, headers: Mapping[str, str]) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status, headers=headers)


def answer_pieces(body: Mapping[str, Any], tokens: int) -> tuple[str, ...]:
    """The scripted answer to a request's body, in pieces: words of the first passage and a marker, or JSON.

    Without a passage the last message's own words, again and again, so that everybody gets as many.
    """
    schema = wanted_schema(body.get("response_format"))
    if schema is not None:
        return (json.dumps(least_instance(schema)),)
    asked = str(body["messages"][-1]["content"])
    passage = _FIRST_PASSAGE.search(asked)
    words = _WORDS.findall(asked, passage.end() if passage else 0) or ["scripted"]
    if passage is None:
        return pieces_of(" ".join(islice(cycle(words), tokens)))
    return pieces_of(f"{' '.join(words[: max(tokens - 1, 1)]).rstrip('.')} [1].")


def _count(body: Mapping[str, Any]) -> int:
    return sum(len(str(message["content"]).split()) for message in body["messages"])


@dataclass(frozen=True, slots=True)
class _Answer:
    behaviour: Behaviour
    mode: str
    model: str
    prompt_tokens: int
    pieces: tuple[str, ...]
    cut: bool

    @property
    def finish_reason(self) -> str:
        return "abort" if self.mode in ("abort", "drain") else "length" if self.cut else "stop"

    @property
    def usage(self) -> dict[str, object]:
        completion = len(self.pieces)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
        }

    def chunk(self, choices: list[dict[str, object]], **extra: object) -> bytes:
        model = "another" if self.mode == "other-model" else self.model
        head = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0, "model": model}
        return b"data: " + json.dumps(head | {"choices": choices} | extra).encode() + b"\n\n"

    def piece(self, text: str, finish_reason: str | None = None) -> bytes:
        return self.chunk([{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}])


async def _whole(answer: _Answer) -> web.Response:
    for _ in answer.pieces:
        await asyncio.sleep(answer.behaviour.delay)
    message = {"role": "assistant", "content": "".join(answer.pieces)}
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
    body = {"id": "chatcmpl-scripted", "object": "chat.completion", "created": 0, "model": answer.model}
    return web.json_response(body | {"choices": [choice], "usage": answer.usage})


async def _stream(request: web.Request, answer: _Answer) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    async for event in _events(answer):
        await response.write(event)
        if request.transport is None or request.transport.is_closing():
            break
    return response


async def _events(answer: _Answer) -> AsyncIterator[bytes]:
    yield answer.chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
    for position, piece in enumerate(() if answer.mode == "drain" else answer.pieces):
        if answer.behaviour.delay:
            await asyncio.sleep(answer.behaviour.delay)
        yield answer.piece(piece)
        if position == 0:
            async for event in _misbehave(answer):
                yield event
            if answer.mode == "cut":
                return
    yield answer.piece("", answer.finish_reason)
    yield answer.chunk([], usage=answer.usage)
    yield b"data: [DONE]\n\n"


async def _misbehave(answer: _Answer) -> AsyncIterator[bytes]:
    if answer.mode == "garbage":
        yield b"data: {not json\n\n"
    elif answer.mode == "error":
        yield b'data: {"error": {"message": "engine core died", "code": 500}}\n\n'
    elif answer.mode == "hang":
        await asyncio.Event().wait()


def main() -> None:
    """Serve on loopback until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="scripted")
    parser.add_argument("--tokens", type=int, default=64, help="most pieces an answer has")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="milliseconds before each piece")
    parser.add_argument("--slots", type=int, help="answers at once; the others wait")
    parser.add_argument("--queue", type=int, help="how many may wait; the others are refused")
    parser.add_argument("--mode", choices=get_args(Mode), default="ok")
    options = parser.parse_args()
    behaviour = Behaviour(
        options.model, options.tokens, options.delay_ms / 1000, options.mode, options.slots, options.queue
    )
    web.run_app(
        scripted_app(behaviour), host="127.0.0.1", port=options.port, access_log=None, handler_cancellation=True
    )


if __name__ == "__main__":
    main()
