"""Around every request, in plain ASGI: its id, the limit on its body, its count and its duration."""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.draining import Draining
from gateway.telemetry.metrics import METHODS, OTHER, Metrics
from gateway.telemetry.tracing import Tracing

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestEdge:
    """Gives a request its id (the caller's own, if it is a plain one), bounds its body and counts how it ended."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, tracing: Tracing, draining: Draining, max_body_bytes: Mapping[str, int]
    ) -> None:
        """`max_body_bytes` is by the beginning of the path; the longest that fits counts, and "" fits all."""
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._draining = draining
        self._max_body_bytes = sorted(max_body_bytes.items(), reverse=True)  # of two that fit, the longer one is first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with an id, a bounded body and a counted end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        headers = dict(scope["headers"])
        state["request_id"] = request_id = _request_id(headers)
        state["arrived"] = asyncio.get_running_loop().time()
        started, status = time.perf_counter(), 499

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [*state.get("limits", ()), (b"x-request-id", request_id.encode())]
                if self._draining.begun:
                    own.append((b"connection", b"close"))  # so that the next request is sent elsewhere
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        with self._tracing.request(scope["path"], scope["headers"]) as state["trace"]:
            try:
                with self._metrics.requests_in_flight.track_inprogress():
                    await self._app(scope, self._bounded(scope["path"], headers, receive), counted)
            except Exception:
                status = 500 if status == 499 else status
                raise
            finally:
                self._ended(scope, state.get("failed_status", status), time.perf_counter() - started)

    def _ended(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else OTHER
        route, state = _template(scope), scope["state"]
        self._metrics.request(method, route, status, seconds, state.get("pins"))
        state["trace"].answered(method, route, status)

    def _bounded(self, path: str, headers: Mapping[bytes, bytes], receive: Receive) -> Receive:
        limit = self._limit(path)
        declared = headers.get(b"content-length", b"0")
        taken = int(declared) if declared.isdigit() and int(declared) > limit else 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive() if taken <= limit else {"type": "http.request", "body": b""}
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, f"the request body is larger than {limit} bytes: send less")
            return message

        return bounded

    def _limit(self, path: str) -> int:
        return next(
            limit for start, limit in self._max_body_bytes if not start or path == start or path.startswith(f"{start}/")
        )


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"


def _template(scope: Scope) -> str:
    """The route's template, so that no path a client made up becomes a label."""
    return getattr(scope.get("route"), "path", OTHER)
