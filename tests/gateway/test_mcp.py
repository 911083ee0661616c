"""`/mcp` as the protocol's own client sees it, over a socket: both tools, as their callers may use them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client

from tests.gateway.house import REFUND, REFUND_QUESTION, House, make_house
from tests.gateway.test_live import Live, serving, until

MESSAGE = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(make_house(tmp_path, max_concurrency=1)) as running:
        yield running


@asynccontextmanager
async def agent(live: Live, caller: str = "ana", **headers: str) -> AsyncIterator[Client]:
    sent = live.house.headers(caller) | headers
    async with httpx2.AsyncClient(headers=sent, timeout=20) as http:
        transport = streamable_http_client(f"http://127.0.0.1:{live.port}/mcp", http_client=http)
        async with Client(transport) as client:
            yield client


def said(result: types.CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text


def post(house: House, body: Any, **headers: str) -> httpx2.Response:
    return house.client.post("/mcp", json=body, headers=ACCEPT | headers)


async def test_an_answer_is_that_of_its_route(live: Live) -> None:
    whole = (
        await live.client.post("/v1/answer", json={"question": REFUND_QUESTION}, headers=live.house.headers("ana"))
    ).json()
    async with agent(live) as client:
        result = await client.call_tool("answer", {"question": REFUND_QUESTION})
    assert not result.is_error
    told = result.structured_content
    for field in ("status", "answer", "citations", "versions", "unsupported"):
        assert told[field] == whole[field]
    assert said(result).startswith(f"{REFUND[:-1]} [1].\n\n[1] policies/refunds.md (policies/refunds.md#deadlines)")


async def test_a_search_is_that_of_its_route(live: Live) -> None:
    body = {"query": REFUND_QUESTION, "limit": 1}
    whole = (await live.client.post("/v1/search", json=body, headers=live.house.headers("ana"))).json()
    async with agent(live) as client:
        result = await client.call_tool("search", body)
    assert result.structured_content["passages"] == whole["passages"]
    assert REFUND in said(result)


async def test_callers_get_what_they_may_see(live: Live) -> None:
    question = {"query": "salary band for engineers"}
    async with agent(live, "hanneke") as client:
        assert "61000" in said(await client.call_tool("search", question))
    async with agent(live, "ana") as client:
        assert "61000" not in said(await client.call_tool("search", question))
    async with agent(live, "eve") as client:
        assert said(await client.call_tool("search", question)) == "Nothing was found."


async def test_tools_are_listed_and_called_by_scope(live: Live) -> None:
    for caller, tools in (("ana", ["search", "answer"]), ("searcher", ["search"]), ("asker", ["answer"])):
        async with agent(live, caller) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == tools
    async with agent(live, "searcher") as client:
        refused = await client.call_tool("answer", {"question": REFUND_QUESTION})
    assert refused.is_error
    assert refused.structured_content["error"]["code"] == "missing_scope"


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("answer", {"question": ""}, "question: "),
        ("answer", {}, "send either"),
        ("answer", {"question": "x", "stream": True}, "stream: the tool has no such argument"),
        ("search", {"query": "x", "limit": 1_000}, "limit: "),
        ("delete", {}, "there is no tool 'delete'"),
    ],
)
async def test_what_cannot_be_meant_is_told_to_the_agent(
    live: Live, tool: str, arguments: dict[str, Any], told: str
) -> None:
    async with agent(live) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert said(result).startswith(told)


async def test_it_is_limited_recorded_and_counted_like_its_route(live: Live) -> None:
    live.house.model.gate = asyncio.Event()
    async with agent(live) as client:
        first = asyncio.create_task(client.call_tool("answer", {"question": REFUND_QUESTION}))
        await until(lambda: live.house.limits.in_flight == 1)
        async with agent(live) as other:
            refused = await other.call_tool("search", {"query": REFUND_QUESTION})
        assert refused.structured_content["error"]["code"] == "overloaded"
        live.house.model.gate.set()
        answer = (await first).structured_content
    exposed = (await live.client.get("/metrics")).text
    assert "twinpin_answers_total{" in exposed
    assert 'route="/mcp"' in exposed
    (day,) = (await live.client.get("/v1/usage", headers=live.house.headers("ana"))).json()["days"]
    assert day["requests"] == 1
    assert answer["usage"]["completion_tokens"] == day["completion_tokens"]


async def test_an_agent_that_leaves_frees_the_engine(live: Live) -> None:
    live.house.model.gate = asyncio.Event()
    async with agent(live) as client:
        call = asyncio.create_task(client.call_tool("answer", {"question": REFUND_QUESTION}))
        await until(lambda: len(live.house.generator.exchanges) == 1)
        call.cancel()
    await until(lambda: live.house.limits.in_flight == 0)


def test_nobody_gets_in_without_a_key(house: House) -> None:
    refused = post(house, MESSAGE)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.json()["error"]["code"] == "invalid_api_key"


def test_only_messages_are_taken(house: House) -> None:
    assert house.client.get("/mcp", headers=house.headers("ana")).status_code == 405
    assert post(house, "no message", **house.headers("ana")).status_code == 400
    listed = post(house, MESSAGE, **house.headers("ana"))
    assert listed.headers["content-type"] == "application/json"
    assert [tool["name"] for tool in listed.json()["result"]["tools"]] == ["search", "answer"]
