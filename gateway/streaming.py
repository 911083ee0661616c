"""One stream of answer events, two renderings: server-sent events while it comes, or one JSON body at its end.

The whole answer runs in one task of the request. When the client goes away that task is cancelled, which closes the
connection to the engine and so frees it.
"""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from typing import Any, Protocol, cast

import msgspec
import structlog
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gateway.answers.events import AnswerEvent, Sources, Usage, Verdict
from gateway.answers.exchange import Exchange
from gateway.errors import GatewayError, as_gateway_error
from gateway.limits.admission import Admission

_log = structlog.get_logger()
_EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store"}
encode = msgspec.json.Encoder().encode


class Wire(Protocol):
    """How one API shows an answer. Streams are bytes of `text/event-stream`; `b""` sends nothing."""

    def body(self, sources: Sources, verdict: Verdict, usage: Usage) -> object:
        """The whole answer as one JSON value."""
        ...

    def head(self) -> bytes:
        """What opens a stream."""
        ...

    def event(self, event: AnswerEvent) -> bytes:
        """One event."""
        ...

    def done(self) -> bytes:
        """What closes a stream that did not fail."""
        ...

    def failure(self, error: GatewayError, request_id: str) -> bytes:
        """What ends a stream that failed."""
        ...


class AnswerResponse(Response):
    """Runs an answer and sends it. An error before the first byte is raised, so that it gets its own status."""

    def __init__(
        self,
        exchange: Exchange,
        events: AsyncGenerator[AnswerEvent],
        wire: Wire,
        admission: AbstractAsyncContextManager[Admission],
        *,
        stream: bool,
    ) -> None:
        super().__init__()
        self._exchange = exchange
        self._events = events
        self._wire = wire
        self._admission = admission
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until done or until the client has gone."""
        async with AsyncExitStack() as stack:
            async with asyncio.timeout_at(self._exchange.deadline):
                admission = await stack.enter_async_context(self._admission)
            scope["state"]["limits"] = admission.headers
            if self._stream:
                sending = self._send_stream(send, scope["state"], admission)
            else:
                sending = self._send_body(send, scope["state"], admission)
            try:
                await unless_disconnected(sending, receive)
            finally:
                await self._settle(admission)

    async def _settle(self, admission: Admission) -> None:
        """What it took, sent or not: nothing is generated for it any more."""
        admission.spent = self._exchange.spending()
        await admission.settle()

    def _made_by(self, sources: Sources, state: dict[str, Any]) -> dict[str, str]:
        """Which versions answer, and whether anew, is known for certain once the first event is there."""
        state["pins"] = self._exchange.pins
        return {**self._exchange.pins.headers(), "x-twinpin-cache": sources.cache}

    async def _send_body(self, send: Send, state: dict[str, Any], admission: Admission) -> None:
        seen: dict[type, Any] = {}
        async with aclosing(self._events) as events:
            async for event in events:
                seen[type(event)] = event
        body = encode(self._wire.body(seen[Sources], seen[Verdict], seen[Usage]))
        headers = self._made_by(seen[Sources], state) | {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "server-timing": server_timing(seen[Usage].timings),
        }
        await self._settle(admission)
        await send(_start(headers))
        await send({"type": "http.response.body", "body": body})

    async def _send_stream(self, send: Send, state: dict[str, Any], admission: Admission) -> None:
        started = False
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    told = self._wire.event(event)
                    if isinstance(event, Sources):  # always the first
                        timing = {"server-timing": server_timing(event.timings)}
                        await send(_start(self._made_by(event, state) | _EVENT_STREAM | timing))
                        told = self._wire.head() + told
                        started = True
                    if told:
                        await send(_more(told))
            ending = self._wire.done()
        except Exception as error:
            if not started:
                raise
            failure = _told(error, state["request_id"])
            state["failed_status"] = failure.status  # the head of the stream said 200
            ending = self._wire.failure(failure, state["request_id"])
        await self._settle(admission)
        await send({"type": "http.response.body", "body": ending})


async def unless_disconnected(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Finish `work`, or cancel it as soon as the client closes the connection."""
    working = cast("asyncio.Task[Any]", asyncio.current_task())
    leaving = asyncio.create_task(_disconnected(receive))
    left = False

    def leave(_: asyncio.Task[None]) -> None:
        nonlocal left
        left = not working.cancelling() and working.cancel()

    leaving.add_done_callback(leave)
    try:
        await work
    except asyncio.CancelledError:
        if not left or working.cancelling() > 1:  # somebody else's, too
            raise
    finally:
        leaving.remove_done_callback(leave)
        if left:
            working.uncancel()
        leaving.cancel()
        await asyncio.wait({leaving})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _told(error: Exception, request_id: str) -> GatewayError:
    told = as_gateway_error(error)
    _log.error("stream_failed", request_id=request_id, code=told.code, exc_info=error)
    return told


def _start(headers: dict[str, str]) -> Message:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": 200, "headers": raw}


def _more(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def server_timing(seconds: Mapping[str, float]) -> str:
    """The `Server-Timing` header: milliseconds per stage."""
    return ", ".join(f"{stage};dur={1000 * took:.1f}" for stage, took in seconds.items())


def sse(event: str, data: object) -> bytes:
    """One named server-sent event with a JSON value."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), encode(data))
