"""The edge around every request, where no route is needed to see it."""

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from gateway.http.draining import Draining
from gateway.http.middleware import RequestEdge
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing

START: Message = {"type": "http.response.start", "status": 204, "headers": [(b"x-own", b"1")]}


def scope(**headers: str) -> Scope:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": "/secret-path", "headers": raw}


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def through(
    app: object, asked: Scope, receive: Receive = nothing, limit: int = 10
) -> tuple[list[Message], Metrics]:
    sent: list[Message] = []
    metrics = Metrics()

    async def send(message: Message) -> None:
        sent.append(message)

    edge = RequestEdge(app, metrics=metrics, tracing=Tracing(), draining=Draining(), max_body_bytes={"": limit})  # type: ignore[arg-type]
    await edge(asked, receive, send)
    return sent, metrics


def counted(metrics: Metrics, status: int) -> float | None:
    labels = {"method": "POST", "route": "other", "status": str(status), "index": "", "model": ""}
    return metrics.registry.get_sample_value("twinpin_requests_total", labels)


async def test_the_id_is_in_state_and_header_and_other_headers_stay() -> None:
    asked = scope(x_request_id="trace-0001")

    async def app(inner: Scope, receive: Receive, send: Send) -> None:
        assert inner["state"]["request_id"] == "trace-0001"
        await send(dict(START))

    sent, metrics = await through(app, asked)
    assert sent[0]["headers"] == [(b"x-own", b"1"), (b"x-request-id", b"trace-0001")]
    assert counted(metrics, 204) == 1


async def test_a_request_that_never_gets_a_response_counts_as_left() -> None:
    async def app(inner: Scope, receive: Receive, send: Send) -> None:
        return

    _, metrics = await through(app, scope())
    assert counted(metrics, 499) == 1


async def test_an_error_before_the_response_counts_as_500_and_goes_on() -> None:
    metrics = Metrics()

    async def app(inner: Scope, receive: Receive, send: Send) -> None:
        raise LookupError

    async def send(message: Message) -> None:
        pytest.fail("nothing is to be sent")

    with pytest.raises(LookupError):
        await RequestEdge(app, metrics=metrics, tracing=Tracing(), draining=Draining(), max_body_bytes={"": 10})(
            scope(), nothing, send
        )
    assert counted(metrics, 500) == 1


async def test_a_lifespan_passes_untouched() -> None:
    seen: list[Scope] = []

    async def app(inner: Scope, receive: Receive, send: Send) -> None:
        seen.append(inner)

    asked: Scope = {"type": "lifespan"}
    await through(app, asked)
    assert seen == [{"type": "lifespan"}]


@pytest.mark.parametrize(
    ("bodies", "declared", "allowed"),
    [
        ([b"0123456789"], None, True),
        ([b"01234", b"56789", b""], None, True),
        ([b"01234", b"567890"], None, False),
        ([b"0123456789a"], None, False),
        ([b"a"], "11", False),
        ([b"a"], "10", True),
        ([b"a"], "many", True),
        ([b"0123456789a"], "1", False),
    ],
)
async def test_no_more_of_a_body_is_read_than_allowed(bodies: list[bytes], declared: str | None, allowed: bool) -> None:
    waiting = list(bodies)

    async def receive() -> Message:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def app(inner: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            continue

    asked = scope(content_length=declared) if declared else scope()
    if allowed:
        await through(app, asked, receive)
    else:
        with pytest.raises(HTTPException) as refused:
            await through(app, asked, receive)
        assert refused.value.status_code == 413


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/v1/documents", True), ("/v1/documents/a/b", True), ("/v1/documentsx", False), ("/v1/answer", False)],
)
async def test_the_longest_path_that_fits_sets_the_limit(path: str, allowed: bool) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"0123456789a"}

    async def app(inner: Scope, receive: Receive, send: Send) -> None:
        await receive()

    edge = RequestEdge(
        app, metrics=Metrics(), tracing=Tracing(), draining=Draining(), max_body_bytes={"": 10, "/v1/documents": 11}
    )
    asked: Scope = {**scope(), "path": path}
    if allowed:
        await edge(asked, receive, _nowhere)
    else:
        with pytest.raises(HTTPException):
            await edge(asked, receive, _nowhere)


async def _nowhere(message: Message) -> None:
    return
