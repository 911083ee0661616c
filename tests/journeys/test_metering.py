"""What callers are told that they used is what the engine itself counted, answer by answer and in all."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.journeys.product import PATIENCE, QUESTIONS, Product

pytestmark = pytest.mark.real_engine

REQUESTS, CALLERS = 200, 16
COUNTED = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total")
PROBE = {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 1, "temperature": 0.0}


def test_streamed_usage_is_the_engines_own_count_over_two_hundred_answers(product: Product) -> None:
    """Between them the gateway probes the engine, one token each; what a probe takes is known from one made here."""
    probe = _probe(product)
    before, used_before = _counted(product), _used(product)
    asked = [(QUESTIONS[n % len(QUESTIONS)], 1 + n % 5) for n in range(REQUESTS)]
    with ThreadPoolExecutor(CALLERS) as callers:
        told = list(callers.map(lambda one: _streamed(product, *one), asked))
    answered = [usage for usage in told if usage["prompt_tokens"]]
    assert len(answered) > REQUESTS / 2, "the control: the engine was asked"
    prompt, said = (sum(usage[name] for usage in told) for name in ("prompt_tokens", "completion_tokens"))
    prompted, generated, requests = _since(product, before, len(answered))
    probes = requests - len(answered)
    assert prompted == prompt + probes * probe["prompt_tokens"]
    assert generated == said + probes * probe["completion_tokens"]
    used = _used(product)
    assert [used[name] - used_before[name] for name in ("requests", "prompt_tokens", "completion_tokens")] == [
        REQUESTS,
        prompt,
        said,
    ]


def _streamed(product: Product, question: str, tokens: int) -> dict[str, Any]:
    with product.streaming(question, max_tokens=tokens) as events:
        usage: dict[str, Any] = dict(events)["usage"]["usage"]
    assert usage["completion_tokens"] <= tokens
    return usage


def _probe(product: Product) -> dict[str, int]:
    body = {"model": product.stack.served, **PROBE}
    answer = httpx2.post(f"{product.stack.engine_url}/v1/chat/completions", json=body, timeout=PATIENCE).json()
    usage: dict[str, int] = answer["usage"]
    return usage


def _since(product: Product, before: list[float], answers: int) -> tuple[float, ...]:
    """By how much the engine's counters have risen, once they tell of all answers and stand still."""
    last: list[float] = []
    for _ in itertools.repeat(None, 100):
        now = _counted(product)
        if now == last and now[-1] - before[-1] >= answers:
            return tuple(after - earlier for after, earlier in zip(now, before, strict=True))
        last = now
        time.sleep(0.2)
    pytest.fail("the engine's counters do not tell of all answers")


def _counted(product: Product) -> list[float]:
    exposed = httpx2.get(f"{product.stack.engine_url}/metrics").text.splitlines()
    return [sum(float(line.rpartition(" ")[2]) for line in exposed if line.startswith(name)) for name in COUNTED]


def _used(product: Product) -> dict[str, float]:
    days = product.http.get("/v1/usage", headers=product.headers("ana")).json()["days"]
    return {name: sum(day[name] for day in days) for name in ("requests", "prompt_tokens", "completion_tokens")}
