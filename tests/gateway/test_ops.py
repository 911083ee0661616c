"""Searching, models, health, readiness, metrics, and the headers on every response."""

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from httpx2 import Response
from structlog.typing import EventDict

import gateway.health.readiness
from gateway.health.readiness import Readiness
from retrieval.errors import CatalogError, StoreError
from retrieval.findings import Findings
from retrieval.search import Finder
from serving.errors import EngineBusy, EngineUnavailable
from serving.scripted import Script
from tests.gateway.house import REFUND_QUESTION, House, events, pinned_manifest, pinned_recipe, stored


def test_search_shows_passages_with_places_and_scores(house: House) -> None:
    response = house.search()
    found = response.json()
    assert found.keys() == {"object", "passages", "versions", "degraded", "timings"}
    assert (found["object"], found["degraded"]) == ("search", False)
    pinned = {"index": pinned_recipe().name, "generation": 1, "assignment": {"index": "DEFAULT"}}
    assert found["versions"] == pinned
    first = found["passages"][0]
    assert first["document"] == "policies/refunds.md"
    assert first["updated"] == date(2026, 3, 1).isoformat()
    assert first["scores"].keys() == {"fused", "dense", "bm25", "rerank"}
    for passage in found["passages"]:
        start, end = passage["span"]
        assert stored("acme", passage["document"], passage["version"])[start:end] == passage["text"]
    fused = [passage["scores"]["fused"] for passage in found["passages"]]
    assert fused == sorted(fused, reverse=True)


def test_search_gives_as_many_as_asked_for_and_asks_no_model(house: House) -> None:
    assert [len(house.search(limit=limit).json()["passages"]) for limit in (1, 2, 50)] == [1, 2, 3]
    assert house.generator.exchanges == []


def test_what_was_not_reranked_in_time_is_told_and_counted(
    house: House, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Finder.find

    async def late(*here: Any, **named: Any) -> Findings:
        return replace(await find(*here, **named), degraded=True)

    monkeypatch.setattr(Finder, "find", late)
    assert house.search().json()["degraded"] is True
    assert house.ask().status_code == 200
    assert house.metrics()[f'twinpin_not_reranked_total{{index="{pinned_recipe().name}"}}'] == 2.0
    assert logged[-1]["degraded"] is True


def test_models_lists_the_product_model_and_no_version(house: House) -> None:
    listed = house.client.get("/v1/models", headers=house.headers("ana")).json()
    assert listed["object"] == "list"
    assert [(model["id"], model["object"]) for model in listed["data"]] == [("twinpin", "model")]
    assert house.chat(model=listed["data"][0]["id"]).status_code == 200


def test_the_process_is_alive_whoever_asks(house: House) -> None:
    response = house.client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


def test_ready_names_every_part(house: House) -> None:
    response = house.client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {"catalog": "ready", "index": "ready", "engine": "ready", "background": "ready", "records": "ready"},
        "release": {"generation": 1, "refused": None},
        "limits": {"budgets": "in process", "config": "in force"},
    }


def test_not_ready_without_the_engine_and_says_which_part(house: House) -> None:
    house.model.script = Script(refused=EngineUnavailable("the engine at http://10.0.0.7 cannot be reached"))
    response = house.client.get("/readyz")
    assert response.status_code == 503
    checks = response.json()["checks"]
    others = ("catalog", "index", "background", "records")
    assert checks == {**dict.fromkeys(others, "ready"), "engine": "engine_unavailable"}
    assert "10.0.0.7" not in response.text
    assert house.client.get("/healthz").status_code == 200


def test_a_process_that_is_about_to_end_answers_and_asks_everybody_to_go_elsewhere(house: House) -> None:
    assert "connection" not in house.ask().headers
    house.app.state.draining.begun = True
    response = house.client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "draining")
    for answer in (house.ask(), house.ask(stream=True), house.search(), house.client.get("/nowhere")):
        assert answer.headers["connection"] == "close"
        assert answer.status_code in (200, 404)


async def test_readiness_asks_each_part_at_most_once_in_a_few_seconds() -> None:
    asked = []

    async def probe() -> None:
        asked.append(1)

    readiness = Readiness({"part": probe})
    assert [await readiness.checks() for _ in range(5)] == [{"part": "ready"}] * 5
    assert len(asked) == 1


async def test_a_part_that_hangs_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.health.readiness, "_PATIENCE_SECONDS", 0.01)

    async def hanging() -> None:
        import asyncio

        await asyncio.Event().wait()

    async def gone() -> None:
        raise StoreError("closed")

    async def dumb() -> None:
        raise CatalogError("no answer")

    checks = await Readiness({"engine": hanging, "index": gone, "catalog": dumb}).checks()
    assert checks == {"engine": "timeout", "index": "store_unavailable", "catalog": "catalog_unavailable"}


def test_a_request_id_is_taken_over_when_it_is_a_plain_one_and_else_made(house: House) -> None:
    given = house.post("/v1/answer", {"question": REFUND_QUESTION}, **{"x-request-id": "trace-0001.a_b"})
    assert given.headers["x-request-id"] == "trace-0001.a_b"
    for odd in ("short", "x" * 65, "with space", 'quote"quote', "<script>alert"):
        response = house.post("/v1/answer", {"question": REFUND_QUESTION}, **{"x-request-id": odd})
        assert re.fullmatch(r"req_[0-9a-f]{24}", response.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/models", "/nowhere"])
def test_every_response_has_one_request_id(house: House, path: str) -> None:
    ids = [house.client.get(path).headers.get_list("x-request-id") for _ in range(2)]
    assert [len(found) for found in ids] == [1, 1]
    assert ids[0] != ids[1]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answers_headers_say_how_it_was_made(house: House, stream: bool) -> None:
    for response in (house.ask(stream=stream), house.chat(stream=stream), house.search()):
        headers = response.headers
        assert headers["x-twinpin-index"] == pinned_recipe().name
        assert headers["x-twinpin-model"] == pinned_manifest().name
        assert headers["x-twinpin-generation"] == "1"
        assert (headers["x-ratelimit-limit-concurrency"], headers["x-ratelimit-remaining-concurrency"]) == ("64", "63")
    assert house.ask(stream=stream).headers["x-twinpin-cache"] == "bypass"


FOUND = ["retrieval", "embed", "search", "rerank", "pack", "confidence"]


def _stages(response: Response) -> list[str]:
    return re.findall(r"(\w+);dur=\d+\.\d", response.headers["server-timing"])


def test_a_json_answer_has_its_timing_as_a_header(house: House) -> None:
    assert _stages(house.ask()) == [*FOUND, "prompt", "first_token", "generation", "grounding", "total"]


def test_a_stream_has_the_timing_of_what_came_before_its_first_event(house: House) -> None:
    asked = house.ask(stream=True)
    assert _stages(asked) == _stages(house.chat(stream=True)) == [*FOUND, "prompt", "sources"]
    (usage,) = (event.data for event in events(asked.content) if event.name == "usage")
    assert [*usage["timings"]] == [*FOUND, "prompt", "first_token", "generation", "grounding", "total"], "and the rest"
    assert _stages(house.ask(caller="eve", stream=True)) == [*FOUND, "sources"], "nothing to ask a model"


async def test_an_engine_with_as_much_work_as_it_takes_is_ready() -> None:
    async def busy() -> None:
        raise EngineBusy("the engine answered 503")

    heard: dict[str, bool] = {}
    readiness = Readiness({"engine": busy}, lambda part, *, ready: heard.update({part: ready}))
    assert await readiness.checks() == {"engine": "ready"}
    assert heard == {"engine": True}
