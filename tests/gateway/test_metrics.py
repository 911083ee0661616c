"""What is counted, how little of it a client can make grow, and what a scrape costs."""

import asyncio
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import generate_latest
from starlette.testclient import TestClient
from starlette.types import Message, Receive

import gateway.telemetry.exposition
from deploy.pins import Pin, Pins
from gateway.app import create_app
from gateway.auth import Authenticator
from gateway.caller import Caller
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import Metrics
from retrieval.acl import Principal
from serving.errors import EngineAborted
from serving.scripted import Script
from tests.gateway.house import REFUND, House, make_house, opening, pinned_manifest, pinned_recipe

PINNED = {"index": pinned_recipe().name, "model": pinned_manifest().name}
JUNK = 10_000
DAYS: dict[str, object] = {
    "type": "json_schema",
    "json_schema": {"name": "days", "schema": {"type": "object", "properties": {"days": {"type": "integer"}}}},
}


def series(text: str) -> set[str]:
    """Names and labels of all samples."""
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def test_metrics_move(house: House) -> None:
    def counted() -> dict[str, float]:
        measured = {
            "requests": (
                "twinpin_requests_total",
                {"method": "POST", "route": "/v1/answer", "status": "200", **PINNED},
            ),
            "seconds": ("twinpin_request_seconds_count", {"route": "/v1/answer"}),
            "answered": ("twinpin_answers_total", {"outcome": "answered", "reason": "none", **PINNED}),
            "abstained": ("twinpin_answers_total", {"outcome": "abstained", "reason": "no_hits", **PINNED}),
            "misses": ("twinpin_retrieval_misses_total", {"index": PINNED["index"]}),
            "first token": ("twinpin_first_token_seconds_count", PINNED),
            "between tokens": ("twinpin_inter_token_seconds_count", {"model": PINNED["model"]}),
            "end to end": ("twinpin_answer_seconds_count", PINNED),
            "tokens": ("twinpin_tokens_total", {"kind": "completion", "model": PINNED["model"]}),
            "of tenants": ("twinpin_tenant_tokens_total", {"kind": "completion", "tenant": "other"}),
            "valid": ("twinpin_citations_total", {"validity": "valid", "model": PINNED["model"]}),
            "cost": ("twinpin_cost_dollars_total", {"model": PINNED["model"]}),
        }
        return {short: house.count(name, **labels) for short, (name, labels) in measured.items()}

    before = counted()
    house.ask()
    assert house.ask(stream=True).status_code == 200
    house.ask(caller="eve")
    after = counted()
    moved = {name: after[name] - before[name] for name in after}
    assert moved.pop("cost") > 0
    words = 24
    assert moved == {
        **{"requests": 3, "seconds": 3, "answered": 2, "abstained": 1, "misses": 1, "end to end": 3, "first token": 2},
        **{"tokens": words, "of tenants": words, "between tokens": words - 2, "valid": 2},
    }
    assert house.count("twinpin_answers_in_flight") == 0
    assert house.count("twinpin_requests_in_flight") == 1, "the scrape itself"


def test_every_stage_is_timed(house: House) -> None:
    house.ask()
    timed = {stage for stage in re.findall(r'twinpin_stage_seconds_count\{stage="(\w+)"\} 1\.0', exposed(house))}
    found = {"retrieval", "embed", "search", "rerank", "pack", "confidence"}
    assert timed == {*found, "prompt", "generation", "grounding"}


def exposed(house: House) -> str:
    return house.client.get("/metrics").text


def test_what_no_passage_supports_is_counted(house: House) -> None:
    house.model.says(f"{REFUND} Refunds are paid in seashells by the board of directors.")
    house.ask()
    assert house.count("twinpin_unsupported_answers_total", **PINNED) == 1


def test_a_stream_that_fails_counts_as_the_failure_that_it_was(house: House) -> None:
    house.model.script = Script(("Customers ", EngineAborted("gone")))
    assert house.ask(stream=True).status_code == 200
    assert house.count("twinpin_requests_total", route="/v1/answer", status="503", **PINNED) == 1
    assert house.count("twinpin_requests_total", route="/v1/answer", status="200") == 0


@pytest.mark.parametrize(("said", "result"), [('{"days": 45}', "fits"), ('{"days": "many"}', "violates"), ("45", None)])
def test_answers_are_held_against_their_schema(tmp_path: Path, said: str, result: str | None) -> None:
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
    house = make_house(tmp_path)
    model = pinned_manifest("schema", output_schema=schema if result else None)
    house.served.add(model.served_name)
    house.pin(Pin(pinned_recipe().name), Pin(house.describe(model)))
    house.model.says(said)
    house.app = create_app(house.settings, opening(house))
    with TestClient(house.app) as client:
        house.client = client
        house.generator._accept = lambda request: house.model.script  # type: ignore[method-assign]  # not by its schema
        assert house.ask().status_code == 200
        assert house.count("twinpin_format_checks_total") == (1 if result else 0)
        assert house.count("twinpin_format_checks_total", result=str(result), model=model.name) == (1 if result else 0)


@pytest.mark.parametrize(
    ("said", "format", "result"),
    [
        ('{"days": 45}', DAYS, "fits"),
        ('{"days": "many"}', DAYS, "violates"),
        ('{"days": 4', DAYS, "violates"),
        ('{"days": 45}', {"type": "json_object"}, "fits"),
        ("[45]", {"type": "json_object"}, "violates"),
        ("45", {"type": "text"}, None),
        ("45", {"type": "json_schema", "json_schema": {"schema": {"$ref": "http://127.0.0.1:9/schema"}}}, None),
    ],
)
def test_answers_are_held_against_the_format_that_their_client_asked_for(
    house: House, said: str, format: dict[str, object], result: str | None
) -> None:
    house.model.says(said)
    house.generator._accept = lambda request: house.model.script  # type: ignore[method-assign]  # not by its schema
    answer = house.ask(response_format=format).json()
    assert (answer["reason"] == "policy") == (result == "violates")
    assert house.chat(response_format=format, stream=True).status_code == 200
    counted = {one: house.count("twinpin_format_checks_total", result=one) for one in ("fits", "violates")}
    assert counted == {one: 2 if one == result else 0 for one in counted}


def test_a_part_that_is_gone_shows(house: House) -> None:
    house.client.get("/readyz")
    assert house.count("twinpin_part_ready", part="engine") == 1
    house.readiness._asked = float("-inf")
    house.served.clear()
    assert house.client.get("/readyz").status_code == 503
    assert (house.count("twinpin_part_ready", part="engine"), house.count("twinpin_part_ready", part="catalog")) == (
        0,
        1,
    )


def test_pins_and_how_far_indexes_are_show(house: House) -> None:
    assert house.count("twinpin_pinned_version", axis="index", pin="stable", version=PINNED["index"]) == 1
    assert house.count("twinpin_pinned_version", axis="model", pin="stable", version=PINNED["model"]) == 1
    assert house.count("twinpin_index_followed_timestamp_seconds", index=PINNED["index"]) > 1.7e9


def test_what_users_say_and_refusals_are_counted_within_bounds() -> None:
    metrics = Metrics(["acme"])
    metrics.release(1, Pins(Pin("idx-a"), Pin("mdl-a")), ok=True)
    for version in ("mdl-a", "mdl-gone", "mdl-gone-too"):
        metrics.feedback("idx-a", version, rating="down", failure="stale knowledge", corrected=True)
    for tenant in ("acme", "b", "c"):
        metrics.budget_refused("tokens", "tenant", tenant)
    told = {"rating": "down", "failure": "stale knowledge", "corrected": "yes", "index": "idx-a"}
    value = metrics.registry.get_sample_value
    assert value("twinpin_feedback_total", {**told, "model": "mdl-a"}) == 1
    assert value("twinpin_feedback_total", {**told, "model": "other"}) == 2
    refused = {"limit": "tokens", "whose": "tenant"}
    assert value("twinpin_budget_refusals_total", {**refused, "tenant": "acme"}) == 1
    assert value("twinpin_budget_refusals_total", {**refused, "tenant": "other"}) == 2


def test_versions_that_are_gone_take_their_series_with_them_one_flip_later() -> None:
    metrics = Metrics()

    def named(index: str) -> set[str]:
        metrics.release(1, Pins(Pin(index), Pin("mdl")), ok=True)
        metrics.request("POST", "/v1/answer", 200, 0.1, Used(index, "mdl"))
        collected = [sample.labels for family in metrics.registry.collect() for sample in family.samples]
        return {labels["index"] for labels in collected if labels.get("index")}

    assert [named(index) for index in ("idx-a", "idx-b", "idx-c", "idx-b")] == [
        {"idx-a"},
        {"idx-a", "idx-b"},
        {"idx-b", "idx-c"},
        {"idx-b", "idx-c"},
    ]


class Used:
    """The versions of a request."""

    def __init__(self, index: str, model: str) -> None:
        self.index, self.model = index, model


class Anybody:
    """An authenticator that finds another tenant behind every key."""

    async def caller(self, headers: Mapping[str, str], deadline: float | None = None) -> Caller:
        name = headers["authorization"]
        return Caller(Principal(name, name, frozenset({"staff"}), frozenset({"ask", "search"})), name)


async def test_ten_thousand_made_up_names_make_no_series(tmp_path: Path) -> None:
    """Models, tenants, routes, methods, headers and fields, each with a name that was never there before."""
    house = make_house(tmp_path, metric_tenants="acme, tallis")
    house.model.says(f"{REFUND[:-1]} [1].")
    app = create_app(house.settings, opening(house))
    async with app.router.lifespan_context(app):
        app.state.parts = replace(app.state.parts, authenticator=cast("Authenticator", Anybody()))

        async def ask(number: int) -> None:
            made_up = f"madeup{number:05}"
            method, path, body = REQUESTS[number % len(REQUESTS)]
            headers = {
                "authorization": made_up,
                "x-request-id": made_up,
                made_up: made_up,
                "content-type": "application/json",
            }
            scope = {
                **{"type": "http", "http_version": "1.1", "scheme": "http", "query_string": made_up.encode()},
                **{"method": method.format(made_up).upper(), "path": path.format(made_up), "root_path": ""},
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
            await app(scope, _receiving(json.dumps(body).replace("madeup", made_up).encode()), _dropping)

        await asyncio.gather(app.state.parts.readiness.checks(), app.state.parts.follower.look())
        for number in range(len(REQUESTS)):
            await ask(number)
        before = series(metrics_of(app.state.parts.metrics))
        for number in range(JUNK):
            await ask(number)
        after = metrics_of(app.state.parts.metrics)
        assert "madeup" not in after.lower()
        assert series(after) == before
        counted = [
            float(line.rpartition(" ")[2]) for line in after.splitlines() if line.startswith("twinpin_requests_total")
        ]
        assert sum(counted) == JUNK + len(REQUESTS)


REQUESTS: list[tuple[str, str, object]] = [
    ("GET", "/{}", None),
    ("{}", "/v1/answer", None),
    ("POST", "/v1/answer/{}", {}),
    ("GET", "/v1/documents/{}", None),
    ("GET", "/v1/ingestions/{}", None),
    ("POST", "/v1/chat/completions", {"model": "madeup", "messages": [{"role": "user", "content": "madeup"}]}),
    ("POST", "/v1/answer", {"question": "madeup", "user": "madeup", "conversation": "madeup", "madeup": 1}),
    ("POST", "/v1/search", {"query": "madeup", "filter": {"category": ["madeup"]}}),
    ("POST", "/v1/answer", {"question": "Refund, madeup?", "user": "madeup", "filter": {"category": ["madeup"]}}),
    ("POST", "/v1/feedback", {"answer": "madeup", "rating": "madeup", "failure": "madeup"}),
]


def metrics_of(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def _receiving(body: bytes) -> Receive:
    """Give a body, and then nothing more."""
    bodies = [body]

    async def receive() -> Message:
        if not bodies:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": bodies.pop()}

    return receive


async def _dropping(message: Message) -> None:
    return


async def test_scrapes_that_come_together_are_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.telemetry.exposition, "_FRESH_SECONDS", 60.0)
    collected, metrics = count(1), Metrics()
    metrics.requests_in_flight.set_function(lambda: float(next(collected)))
    exposition = Exposition(metrics.registry)
    texts = await asyncio.gather(*(exposition.text(compressed=number % 2 == 0) for number in range(20)))
    assert next(collected) == 2
    assert gzip.decompress(texts[0]) == texts[1]


async def test_the_text_is_that_of_the_library() -> None:
    metrics = Metrics()
    metrics.release(3, Pins(Pin("idx-a", candidate="idx-b"), Pin("mdl-a")), ok=False)
    metrics.request("POST", 'odd "route" \\ of\ntwo lines', 200, 12.5, Used("idx-a", "mdl-a"))
    metrics.generated("mdl-a", [0.5, 1e-7, 3e9], fits=True, sanitized=True)
    for _ in range(2):
        text = await Exposition(metrics.registry).text(compressed=False)
        assert text == generate_latest(metrics.registry)
        metrics.request("GET", "/healthz", 200, 0.001)


def test_a_scraper_that_takes_gzip_gets_it(house: House) -> None:
    plain, compressed = (
        house.client.get("/metrics", headers={"accept-encoding": coding}) for coding in ("identity", "gzip")
    )
    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert plain.headers["content-type"] == compressed.headers["content-type"]
    assert "# TYPE twinpin_requests_total counter" in compressed.text
