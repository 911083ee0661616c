"""Whole promises over HTTP with a real model: cited answers, abstentions, nothing of others, streams, departures."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.journeys.product import OFF_TOPIC, QUESTIONS, Product

pytestmark = pytest.mark.real_engine

STARTED_WITHIN, FREED_WITHIN = 20.0, 2.0
SALARIES = "What is the pay range of band E3?"


def collected(product: Product, question: str, caller: str = "ana") -> dict[str, Any]:
    """A stream's words and verdict."""
    with product.streaming(question, caller) as events:
        told = list(events)
    names = [name for name, _ in told]
    deltas = names.count("delta")
    assert names == ["sources", *["delta"] * deltas, "verdict", "usage", "done"]
    words = "".join(data["text"] for name, data in told if name == "delta")
    return {"answer": words, **dict(told)["verdict"], "passages": dict(told)["sources"]["passages"]}


async def test_answers_carry_citations_that_are_true(product: Product) -> None:
    answers = [product.ask(question) for question in QUESTIONS]
    for answer in answers:
        await product.require_true(answer["citations"], "tallis")
        for begin, stop in (*(one["answer_span"] for one in answer["citations"]), *answer["unsupported"]):
            assert 0 <= begin < stop <= len(answer["answer"])
        if answer["status"] == "answered":
            assert answer["citations"]
            assert answer["unsupported"] == []
    assert any(answer["status"] == "answered" and answer["citations"] for answer in answers)


def test_an_answer_names_its_versions_and_the_engines_own_counts(product: Product) -> None:
    answer = product.ask(QUESTIONS[0])
    assert (answer["versions"]["index"], answer["versions"]["model"]) == (product.stack.index, product.stack.model)
    assert answer["usage"]["prompt_tokens"] > 100
    assert 0 < answer["usage"]["completion_tokens"] < 400
    assert 0 < answer["timings"]["first_token"] <= answer["timings"]["total"]


@pytest.mark.parametrize("caller", ["ana", "farah"])
def test_what_no_document_is_about_is_not_answered(product: Product, caller: str) -> None:
    answer = product.ask(OFF_TOPIC, caller)
    assert (answer["status"], answer["reason"], answer["citations"]) == ("abstained", "below_threshold", [])


@pytest.mark.parametrize("question", QUESTIONS[:3])
async def test_another_tenant_sees_nothing_of_it(product: Product, question: str) -> None:
    found = product.search(question, "ana")
    assert found, "the control: there is something to be hidden"
    assert all(passage["document"].startswith("tallis/") for passage in found)
    for passage in product.search(question, "farah"):
        assert passage["document"].startswith("corvane/")
    streamed = collected(product, question, "farah")
    assert all(passage["document"].startswith("corvane/") for passage in streamed["passages"])
    await product.require_true(streamed["citations"], "corvane")
    assert "tallis" not in str(streamed).lower()


@pytest.mark.parametrize("question", [*QUESTIONS[:2], SALARIES])
def test_a_caller_in_no_group_sees_nothing(product: Product, question: str) -> None:
    answer = product.ask(question, "eve")
    assert (answer["status"], answer["reason"]) == ("abstained", "no_hits")
    assert (answer["citations"], answer["usage"]["prompt_tokens"]) == ([], 0)
    assert product.search(question, "eve") == []
    assert collected(product, question, "eve")["passages"] == []


def test_a_group_opens_what_it_may_read_and_no_filter_does(product: Product) -> None:
    private = "tallis/hr/salary-bands-2026.md"
    assert private in {passage["document"] for passage in product.search(SALARIES, "hanneke")}
    for fields in ({}, {"filter": {"category": "hr"}}):
        found = product.post("/v1/search", {"query": SALARIES, "limit": 50, **fields}).json()["passages"]
        assert private not in {passage["document"] for passage in found}
    assert private not in str(collected(product, SALARIES, "ana"))


@pytest.mark.parametrize("question", [*QUESTIONS[:2], OFF_TOPIC])
def test_a_stream_says_what_the_json_body_says(product: Product, question: str) -> None:
    product.ask(question)  # so that the prompt is in the engine's cache for both
    whole, streamed = product.ask(question), collected(product, question)
    for name in ("answer", "status", "reason", "citations", "unsupported"):
        assert streamed[name] == whole[name]


def test_history_is_honoured_and_a_long_one_still_fits(product: Product) -> None:
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"Remark {n}. " * 30} for n in range(200)]
    turns.append({"role": "user", "content": QUESTIONS[0]})
    response = product.post("/v1/answer", {"messages": turns, "max_tokens": 8})
    assert response.status_code == 200
    alone = product.ask(QUESTIONS[0], max_tokens=8)["usage"]["prompt_tokens"]
    assert response.json()["usage"]["prompt_tokens"] > alone


@pytest.mark.parametrize(
    "response_format", [{"type": "nonsense"}, {"type": "json_schema", "json_schema": {"name": "x"}}]
)
def test_a_response_format_that_cannot_be_is_refused(product: Product, response_format: dict[str, Any]) -> None:
    for stream in (False, True):
        body = {"question": QUESTIONS[0], "response_format": response_format, "stream": stream}
        response = product.post("/v1/answer", body)
        assert (response.status_code, response.json()["error"]["param"]) == (422, "response_format")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
def test_a_client_that_goes_away_frees_the_engine(product: Product, stream: bool) -> None:
    address, left = urlsplit(product.stack.url), _left(product)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(_long_request(product, stream))
        _wait(lambda: _running(product) > 0, STARTED_WITHIN, "the control: the engine was never at work for it")
    _wait(lambda: _running(product) == 0, FREED_WITHIN, "the engine still works for a client that has gone")
    _wait(lambda: _left(product) == left + 1, FREED_WITHIN, "the answer was not recorded as left")


def _long_request(product: Product, stream: bool) -> bytes:
    """A question whose answer has to be a list too long for the model to end it soon."""
    long_list = {"type": "array", "items": {"type": "integer"}, "minItems": 60}
    response_format = {"type": "json_schema", "json_schema": {"name": "list", "schema": long_list}}
    asked = {"question": QUESTIONS[0], "stream": stream, "response_format": response_format}
    body = json.dumps(asked).encode()
    headers = {**product.headers("ana"), "content-type": "application/json", "content-length": str(len(body))}
    lines = ["POST /v1/answer HTTP/1.1", "host: here", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _wait(reached: Callable[[], bool], within: float, otherwise: str) -> None:
    started = time.monotonic()
    while not reached():
        assert time.monotonic() - started < within, otherwise
        time.sleep(0.02)


def _running(product: Product) -> float:
    """Answers that the engine is working on, by its own account."""
    return _sum(product.stack.engine_url, "vllm:num_requests_running", "")


def _left(product: Product) -> float:
    """Answers whose client went away, by the gateway's account."""
    return _sum(product.stack.url, "twinpin_answers_total", 'outcome="left"')


def _sum(url: str, name: str, label: str) -> float:
    exposed = httpx2.get(f"{url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in exposed if line.startswith(name) and label in line)
