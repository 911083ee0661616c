"""Over a real socket: clients that go away, callers that are too many, bodies that are too large."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
import uvicorn

from gateway.app import create_app
from gateway.limits.budgets import Amounts, Lease
from gateway.limits.local_budgets import LocalBudgets
from gateway.limits.redis_budgets import RedisBudgets
from serving.errors import EngineAborted
from serving.scripted import Script
from tests.conftest import free_port
from tests.gateway.house import REFUND_QUESTION, House, make_house, opening
from tests.redis_server import running_redis

SOON = 2.0
MESSAGES = [{"role": "user", "content": REFUND_QUESTION}]


@dataclass
class Live:
    """A house behind a real server of the same event loop."""

    house: House
    client: httpx2.AsyncClient
    port: int

    async def ask(self, caller: str = "ana", **fields: object) -> httpx2.Response:
        body = {"question": REFUND_QUESTION, **fields}
        return await self.client.post("/v1/answer", json=body, headers=self.house.headers(caller))

    async def keep_asking(self, times: int) -> list[int]:
        """One request after the other on one connection: answers, streams, chats and searches; their statuses."""
        chat = {"model": "twinpin", "messages": MESSAGES, "stream": True}
        asked = (
            ("/v1/answer", {"question": REFUND_QUESTION}),
            ("/v1/answer", {"question": REFUND_QUESTION, "stream": True}),
            ("/v1/chat/completions", chat),
            ("/v1/search", {"query": REFUND_QUESTION}),
        )
        async with httpx2.AsyncClient(base_url=self.client.base_url, headers=self.house.headers("ana")) as client:
            return [(await client.post(path, json=body)).status_code for path, body in asked * (times // len(asked))]

    async def leave_after(self, path: str, body: object, first: bytes | None) -> None:
        """Send a request on a connection of its own; close it once `first` has come, or once the model was asked."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n"
        head += f"authorization: Bearer {self.house.keys['ana']}\r\ncontent-length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)
        if first is None:
            await until(lambda: len(self.house.generator.exchanges) > 0)
        else:
            await asyncio.wait_for(reader.readuntil(first), SOON)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(make_house(tmp_path, max_concurrency=2)) as running:
        yield running


@asynccontextmanager
async def serving(house: House) -> AsyncIterator[Live]:
    house.model.says("Customers may ask for a refund within 45 days of purchase [1].")
    house.app = create_app(house.settings, opening(house))
    port = free_port()
    config = uvicorn.Config(house.app, host="127.0.0.1", port=port, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done())
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield Live(house, client, port)
    finally:
        server.should_exit = True
        await task


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(SOON / 400)
    pytest.fail(f"waited {SOON} s in vain")


@pytest.mark.parametrize(
    ("path", "fields", "first"),
    [
        ("/v1/answer", {"question": REFUND_QUESTION}, None),
        ("/v1/answer", {"question": REFUND_QUESTION, "stream": True}, b"event: sources"),
        ("/v1/chat/completions", {"model": "twinpin", "messages": MESSAGES}, None),
        ("/v1/chat/completions", {"model": "twinpin", "messages": MESSAGES, "stream": True}, b"data: "),
    ],
    ids=["json", "stream", "openai", "openai-stream"],
)
async def test_a_client_that_goes_away_frees_the_engine_and_its_place(
    live: Live, path: str, fields: dict[str, object], first: bytes | None
) -> None:
    live.house.model.gate = asyncio.Event()
    await live.leave_after(path, fields, first)
    (exchange,) = live.house.generator.exchanges
    await until(lambda: not exchange.running)
    assert exchange.left_early
    await until(lambda: live.house.limits.in_flight == 0)
    exposed = (await live.client.get("/metrics")).text
    assert 'outcome="left",reason="none"} 1.0' in exposed
    assert "twinpin_answers_in_flight 0.0" in exposed


class Turnstile(asyncio.Event):
    """Lets so many through and no more."""

    def __init__(self, through: int) -> None:
        super().__init__()
        self._left = through

    async def wait(self) -> Literal[True]:
        self._left -= 1
        return True if self._left >= 0 else await super().wait()


async def test_a_client_that_leaves_between_two_words_frees_the_engine(live: Live) -> None:
    live.house.model.script = Script(tuple(f" word{n}" for n in range(90)))
    live.house.model.gate = Turnstile(3)
    async with live.client.stream(
        "POST", "/v1/answer", json={"question": REFUND_QUESTION, "stream": True}, headers=live.house.headers("ana")
    ) as response:
        async for line in response.aiter_lines():
            if line.startswith("event: delta"):
                break
        (exchange,) = live.house.generator.exchanges
        assert exchange.running
    await until(lambda: not exchange.running)
    assert exchange.left_early
    assert 0 < len(exchange.given) < 90
    await until(lambda: live.house.limits.in_flight == 0)
    (day,) = (await live.client.get("/v1/usage", headers=live.house.headers("ana"))).json()["days"]
    assert day["completion_tokens"] == len(exchange.given), "what came, by the model's own count"
    assert 0 <= day["prompt_tokens"] - sum(len(one.content.split()) for one in exchange.request.messages) < 60


async def test_too_many_at_once_are_429_with_retry_after_until_one_ends(live: Live) -> None:
    live.house.model.gate = asyncio.Event()
    waiting = [asyncio.create_task(live.ask(stream=stream)) for stream in (False, True)]
    await until(lambda: len(live.house.generator.exchanges) == 2)
    assert live.house.limits.in_flight == 2
    assert "twinpin_answers_in_flight 2.0" in (await live.client.get("/metrics")).text
    chat = {"model": "twinpin", "messages": MESSAGES, "stream": True}
    for refused in (
        await live.ask(),
        await live.ask(caller="hanneke", stream=True),
        await live.client.post("/v1/chat/completions", json=chat, headers=live.house.headers("ana")),
        await live.client.post("/v1/search", json={"query": "refund"}, headers=live.house.headers("ana")),
    ):
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "overloaded")
    assert len(live.house.generator.exchanges) == 2
    live.house.model.gate.set()
    assert [(await task).status_code for task in waiting] == [200, 200]
    await until(lambda: live.house.limits.in_flight == 0)
    assert (await live.ask()).status_code == 200


def settles_slowly(monkeypatch: pytest.MonkeyPatch, budgets: type[LocalBudgets | RedisBudgets]) -> None:
    """As where Redis is far, so that whoever does not wait for it is overtaken by the caller's next request."""
    settle = budgets.settle

    async def slowly(self: Any, lease: Lease, used: Amounts) -> None:
        await asyncio.sleep(0.02)
        await settle(self, lease, used)

    monkeypatch.setattr(budgets, "settle", slowly)


@pytest.mark.parametrize("budgets", [LocalBudgets, RedisBudgets])
async def test_callers_who_ask_again_at_once_are_as_many_as_the_limit_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budgets: type[LocalBudgets | RedisBudgets]
) -> None:
    """On connections that stay, whatever they ask: the last byte of an answer finds its place given back."""
    settles_slowly(monkeypatch, budgets)
    with running_redis() if budgets is RedisBudgets else contextlib.nullcontext() as redis:
        async with serving(make_house(tmp_path, max_concurrency=8, redis_url=redis and redis.url)) as live:
            asked = await asyncio.gather(*(live.keep_asking(times=24) for _ in range(8)))
            await until(lambda: live.house.limits.in_flight == 0)
            assert {status for statuses in asked for status in statuses} == {200}
            (day,) = (await live.client.get("/v1/usage", headers=live.house.headers("ana"))).json()["days"]
            answers = [one for one in day["models"] if one["model"]]
            assert (day["requests"], answers[0]["requests"]) == (8 * 24, 8 * 18)
            assert answers[0]["completion_tokens"] == sum(len(one.given) for one in live.house.generator.exchanges)


async def test_of_many_at_once_as_many_are_let_in_as_the_budget_has_room_for(tmp_path: Path) -> None:
    """Each holds its estimate while it is answered: ten, and the eleventh that passes the limit by less than one."""
    limits = tmp_path / "limits.yaml"
    limits.write_text("defaults: {tenant: {tokens: 20001/hour}}", "utf-8")
    async with serving(make_house(tmp_path, limits=limits)) as live:
        live.house.model.gate = asyncio.Event()
        asking = [asyncio.create_task(live.ask(stream=n % 2 == 0)) for n in range(64)]
        await until(lambda: sum(task.done() for task in asking) == 53)
        assert live.house.limits.in_flight == 11
        live.house.model.gate.set()
        statuses = [(await task).status_code for task in asking]
        assert (statuses.count(200), statuses.count(429)) == (11, 53)
        assert (await live.ask()).status_code == 200, "far less was used than was held"


async def test_effective_and_idle_cost_are_together_what_the_engine_cost(tmp_path: Path) -> None:
    """A dollar a second: for a while nobody asks, then some do, several at a time, streamed and not."""
    async with serving(make_house(tmp_path, max_concurrency=8, engine_dollars_per_hour=3_600.0)) as live:
        effective, idle, began = _costs(live)
        for _ in range(2):
            await asyncio.sleep(0.3)
            await _ask_slowly(live)
        more_effective, more_idle, ended = _costs(live)
    assert more_effective - effective >= 0.4
    assert more_idle - idle >= 0.6
    assert more_effective - effective + more_idle - idle == pytest.approx(ended - began, rel=0.01)


def _costs(live: Live) -> tuple[float, float, float]:
    """Effective and idle, and when that was."""
    parts = live.house.app.state.parts
    parts.answering._meter.bill()
    now = asyncio.get_running_loop().time()
    samples = [sample for family in parts.metrics.registry.collect() for sample in family.samples]
    effective, idle = (f"twinpin_{kind}_cost_dollars_total" for kind in ("effective", "idle"))
    told = {name: sum(one.value for one in samples if one.name == name) for name in (effective, idle)}
    return told[effective], told[idle], now


async def _ask_slowly(live: Live) -> None:
    live.house.generator.exchanges.clear()
    live.house.model.gate = asyncio.Event()
    asked = [(caller, stream) for caller in ("ana", "hanneke") for stream in (False, True)]
    asking = [asyncio.create_task(live.ask(caller, stream=stream)) for caller, stream in asked]
    await until(lambda: len(live.house.generator.exchanges) == len(asked))
    await asyncio.sleep(0.2)
    live.house.model.gate.set()
    assert {(await task).status_code for task in asking} == {200}


async def test_one_tenants_load_leaves_another_alone(live: Live) -> None:
    live.house.model.gate = asyncio.Event()
    waiting = [asyncio.create_task(live.ask()) for _ in range(2)]
    await until(lambda: live.house.limits.in_flight == 2)
    assert (await live.ask()).status_code == 429
    other = asyncio.create_task(live.ask(caller="oscar"))
    await until(lambda: live.house.limits.in_flight == 3)
    live.house.model.gate.set()
    assert (await other).headers["x-ratelimit-remaining-concurrency"] == "1"
    assert [(await task).status_code for task in waiting] == [200, 200]


async def test_places_are_free_again_after_errors_and_departures(live: Live) -> None:
    live.house.model.script = Script((EngineAborted("gone"),))
    for _ in range(3):
        assert (await live.ask()).status_code == 503
        assert "event: error" in (await live.ask(stream=True)).text
    live.house.model.gate = asyncio.Event()
    for _ in range(3):
        live.house.generator.exchanges.clear()
        await live.leave_after("/v1/answer", {"question": REFUND_QUESTION}, None)
        await until(lambda: live.house.limits.in_flight == 0)
    live.house.model.gate = None
    live.house.model.says("I do not know.")
    assert (await live.ask()).status_code == 200


async def test_answers_at_the_same_time_do_not_mix(live: Live) -> None:
    answers = await asyncio.gather(live.ask(), live.ask(caller="oscar"))
    quotes = [[citation["quote"] for citation in answer.json()["citations"]] for answer in answers]
    assert quotes[0] == ["Customers may ask for a refund within 45 days of purchase."]
    assert quotes[1] == []


@pytest.mark.parametrize("declared", [True, False])
async def test_a_megabyte_is_413_on_the_wire_too(live: Live, declared: bool) -> None:
    body = b'{"question": "' + b"a" * 1_000_000 + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    response = await live.client.post(
        "/v1/answer", content=body if declared else pieces(), headers=live.house.headers("ana")
    )
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"
    assert (await live.ask()).status_code == 200


async def test_a_stream_arrives_while_it_is_made(live: Live) -> None:
    live.house.model.gate = asyncio.Event()
    request = {"question": REFUND_QUESTION, "stream": True}
    async with live.client.stream("POST", "/v1/answer", json=request, headers=live.house.headers("ana")) as response:
        lines = response.aiter_lines()
        assert await asyncio.wait_for(anext(lines), SOON) == "event: sources"
        assert live.house.generator.exchanges[-1].running
        live.house.model.gate.set()
        rest = [line async for line in lines]
    assert "event: done" in rest
