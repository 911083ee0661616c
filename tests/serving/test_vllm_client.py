"""The vLLM client's own promises: failures by name, what it sends, timeouts, and streams cut anywhere."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import (
    EngineAborted,
    EngineGone,
    EngineRefused,
    EngineUnavailable,
    GenerationError,
    GenerationTimeout,
    WrongModel,
)
from serving.generator import Finish, GenerationRequest, Message, Piece, Sampling, Text
from serving.scripted_server import Behaviour, Mode, scripted_app
from serving.vllm_client import Timeouts, VllmGenerator
from serving.vllm_wire import LONGEST_LINE, AnswerReader, Lines
from tests.conftest import free_port

MODEL = "scripted"
PATIENT = Timeouts(connect=2, first_piece=5, between_pieces=5, total=10)


def request(**changes: object) -> GenerationRequest:
    given: dict[str, object] = {
        "model": MODEL,
        "messages": (Message("user", "[1] Refunds take 45 days. How long do refunds take?"),),
        "max_tokens": 32,
        "sampling": Sampling(),
        "response_format": None,
        "cache_salt": None,
        "request_id": "req-1",
    }
    return GenerationRequest(**(given | changes))  # type: ignore[arg-type]  # built from names, checked by the class


@asynccontextmanager
async def client(app: web.Application, timeouts: Timeouts = PATIENT) -> AsyncIterator[VllmGenerator]:
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    generator = VllmGenerator(f"http://127.0.0.1:{runner.addresses[0][1]}", timeouts=timeouts, connections=2)
    try:
        yield generator
    finally:
        await generator.close()
        await runner.cleanup()


async def answer(generator: VllmGenerator, asked: GenerationRequest | None = None) -> list[Piece]:
    async with generator.generate(asked or request()) as stream:
        return [piece async for piece in stream]


def app_streaming(*parts: bytes) -> web.Application:
    async def complete(incoming: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(incoming)
        for part in parts:
            await response.write(part)
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    return app


def event(**fields: object) -> bytes:
    return b"data: " + json.dumps({"model": MODEL, "choices": []} | fields).encode() + b"\n\n"


def choice(content: str | None, finish_reason: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}]}


USAGE = event(usage={"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}})
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("unavailable", EngineUnavailable),
        ("abort", EngineAborted),
        ("garbage", EngineAborted),
        ("cut", EngineAborted),
        ("error", EngineAborted),
        ("other-model", WrongModel),
    ],
)
async def test_every_failure_has_its_name(mode: Mode, error: type[GenerationError]) -> None:
    async with client(scripted_app(Behaviour(MODEL, mode=mode))) as generator:
        with pytest.raises(error):
            await answer(generator)


async def test_unavailable_says_when_to_come_back() -> None:
    async with client(scripted_app(Behaviour(MODEL, mode="unavailable"))) as generator:
        with pytest.raises(EngineUnavailable) as caught:
            await answer(generator)
    assert caught.value.retry_after == 7


async def test_the_engines_own_words_stay_out_of_the_message() -> None:
    async with client(scripted_app(Behaviour(MODEL))) as generator:
        with pytest.raises(EngineRefused) as caught:
            await answer(generator, request(model="secret-name"))
    assert caught.value.status == 404
    assert "secret-name" in caught.value.detail
    assert "secret-name" not in str(caught.value)


async def test_an_error_object_in_the_stream_keeps_its_meaning() -> None:
    failure = b'data: {"error": {"message": "prompt of tenant x is too long", "code": 400}}\n\n'
    async with client(app_streaming(failure, DONE)) as generator:
        with pytest.raises(EngineRefused) as caught:
            await answer(generator)
    assert caught.value.status == 400
    assert "tenant x" not in str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [
        [event(**choice("Yes")), DONE],
        [event(**choice("Yes")), USAGE, DONE],
        [event(**choice("Yes", "stop")), DONE],
        [event(**choice("Yes", "stop")), USAGE],
        [event(**choice("Yes", "content_filter")), USAGE, DONE],
        [event(**choice("Yes", "stop")), USAGE, DONE, DONE],
        [b"data: [1, 2]\n\n"],
        [b'data: {"model": "scripted", "choices": [{"delta": {"content": "\xff"}}]}\n\n'],
        [],
    ],
)
async def test_a_stream_without_a_proper_end_is_aborted(parts: list[bytes]) -> None:
    async with client(app_streaming(*parts)) as generator:
        with pytest.raises(EngineAborted):
            await answer(generator)


async def test_counts_come_from_the_engine() -> None:
    parts = [
        b": a comment\n\n",
        event(**choice("")),
        event(**choice("Yes")),
        event(**choice(None, "stop")),
        USAGE,
        DONE,
    ]
    async with client(app_streaming(*parts)) as generator:
        assert await answer(generator) == [Text("Yes"), Finish("stop", 9, 1, 4)]


@pytest.mark.parametrize(
    ("timeouts", "phase"),
    [
        (Timeouts(first_piece=5, between_pieces=0.1, total=10), "between_pieces"),
        (Timeouts(first_piece=5, between_pieces=5, total=0.1), "total"),
    ],
)
async def test_a_hanging_engine_meets_a_named_timeout(timeouts: Timeouts, phase: str) -> None:
    async with client(scripted_app(Behaviour(MODEL, mode="hang")), timeouts) as generator:
        with pytest.raises(GenerationTimeout) as caught:
            await answer(generator)
    assert caught.value.phase == phase


async def test_where_nobody_takes_the_connection_nobody_is() -> None:
    """A listener whose queue is full drops what comes, as a machine does that is gone without a word."""
    with ExitStack() as held:
        hole = held.enter_context(socket.socket())
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(hole.getsockname())
        timeouts = Timeouts(connect=0.3, first_piece=5, between_pieces=5, total=10)
        generator = VllmGenerator(f"http://127.0.0.1:{hole.getsockname()[1]}", timeouts=timeouts, connections=2)
        with pytest.raises(EngineGone, match=r"took no connection within 0\.3 s"):
            await answer(generator)
        await generator.close()


async def test_an_error_shows_no_password() -> None:
    generator = VllmGenerator(f"http://ana:secret@127.0.0.1:{free_port()}", timeouts=PATIENT, connections=2)
    with pytest.raises(EngineGone, match="at http://127") as told:
        await answer(generator)
    assert "secret" not in str(told.value)
    await generator.close()


@pytest.mark.parametrize("status", [429, 503])
async def test_an_engine_that_is_asked_how_it_is_has_no_queue_to_be_full(status: int) -> None:
    """As vLLM whose core died, or a proxy with nobody behind it."""

    async def health(incoming: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/health", health)
    async with client(app) as generator:
        with pytest.raises(EngineUnavailable, match=str(status)) as failed:
            await generator.check(MODEL)
    assert type(failed.value) is EngineUnavailable


async def test_an_engine_that_never_starts_meets_the_first_timeout() -> None:
    async def complete(incoming: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    async with client(app, Timeouts(first_piece=0.1)) as generator:
        with pytest.raises(GenerationTimeout) as caught:
            await answer(generator)
    assert caught.value.phase == "first_piece"


async def test_what_is_sent() -> None:
    seen: list[tuple[dict[str, object], str | None]] = []

    async def complete(incoming: web.Request) -> web.Response:
        seen.append((await incoming.json(), incoming.headers.get("x-request-id")))
        return web.Response(status=400, text="enough")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    asked = request(response_format=wanted, cache_salt="abc", sampling=Sampling(0.2, 0.9, 3, 1.1, ("END",)))
    async with client(app) as generator:
        for one in (asked, request()):
            with pytest.raises(EngineRefused):
                await answer(generator, one)
    full, plain = seen
    assert full[1] == "req-1"
    assert full[0] == {
        "model": MODEL,
        "messages": [{"role": "user", "content": asked.messages[0].content}],
        "max_tokens": 32,
        "temperature": 0.2,
        "top_p": 0.9,
        "repetition_penalty": 1.1,
        "seed": 3,
        "stop": ["END"],
        "response_format": wanted,
        "cache_salt": "abc",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert not {"seed", "stop", "response_format", "cache_salt"} & set(plain[0])


async def test_finished_answers_share_one_connection() -> None:
    peers: set[object] = set()
    app = scripted_app(Behaviour(MODEL))

    async def remember(incoming: web.Request, response: web.StreamResponse) -> None:
        peers.add(incoming.transport and incoming.transport.get_extra_info("peername"))

    app.on_response_prepare.append(remember)
    async with client(app) as generator:
        for _ in range(3):
            assert isinstance((await answer(generator))[-1], Finish)
    assert len(peers) == 1


@given(st.lists(st.text("ab \r", max_size=8), max_size=6), st.data())
def test_lines_are_the_same_at_every_split(payloads: list[str], data: st.DataObject) -> None:
    stream = b"".join(b"data: " + payload.encode() + b"\n\n" for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    lines = Lines()
    got = [
        line
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for line in lines.feed(stream[start:end])
    ]
    assert got == [payload.encode().strip() for payload in payloads]


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(EngineAborted):
        list(Lines().feed(b"data: " + b"x" * LONGEST_LINE))


def said(*words: str) -> list[bytes]:
    """The payloads of the events that bring these words."""
    chunks = ({"model": MODEL, "choices": [{"delta": {"content": word}, "finish_reason": None}]} for word in words)
    return [json.dumps(chunk).encode() for chunk in chunks]


def test_words_that_come_together_are_one_piece_of_as_many_tokens() -> None:
    usage = {"model": MODEL, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
    last = {"model": MODEL, "choices": [{"delta": {}, "finish_reason": "stop"}]}
    reader = AnswerReader(MODEL)
    assert list(reader.read(said("Forty", "-five"))) == [Text("Forty-five", 2)]
    ending = [*said(" days."), json.dumps(last).encode(), json.dumps(usage).encode(), b"[DONE]"]
    assert list(reader.read(ending)) == [Text(" days.", 1), Finish("stop", 5, 3, 0)]
    assert reader.finished


def test_what_was_said_before_an_error_that_came_with_it_is_not_lost() -> None:
    pieces = AnswerReader(MODEL).read([*said("Forty", "-five"), b'{"error": {"message": "died", "code": 500}}'])
    assert next(pieces) == Text("Forty-five", 2)
    with pytest.raises(EngineAborted):
        next(pieces)
