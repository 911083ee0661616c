"""What callers are told when a part is gone: the status, when to come back, and nothing from inside."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from gateway.app import create_app
from retrieval.errors import EmbedderUnavailable
from serving.errors import (
    EngineAborted,
    EngineRefused,
    EngineUnavailable,
    GenerationError,
    GenerationTimeout,
    WrongModel,
)
from serving.scripted import Script
from tests.gateway.house import (
    REFUND_QUESTION,
    House,
    break_catalog,
    make_house,
    opening,
    pinned_manifest,
    pinned_recipe,
)

INSIDE = re.compile(r"Traceback|File \"|\.py\b|/srv|sqlite|SQL|127\.0\.0\.1|10\.0\.0\.7|CUDA|0x[0-9a-f]{6}")
Asking = Callable[[House], Response]


@pytest.fixture
def forgiving(tmp_path: Path) -> Iterator[House]:
    """A house whose client shows the 500 that a caller gets, instead of raising what caused it."""
    made = make_house(tmp_path)
    made.model.says("Customers may ask for a refund within 45 days of purchase.")
    made.app = create_app(made.settings, opening(made))
    with TestClient(made.app, raise_server_exceptions=False) as client:
        made.client = client
        yield made


def native(house: House) -> Response:
    return house.ask()


def native_stream(house: House) -> Response:
    return house.ask(stream=True)


def openai(house: House) -> Response:
    return house.chat()


def openai_stream(house: House) -> Response:
    return house.chat(stream=True)


def searching(house: House) -> Response:
    return house.search()


ANSWERING = pytest.mark.parametrize("asking", [native, native_stream, openai, openai_stream])


def error_of(response: Response) -> dict[str, str]:
    """The error object, once it has been seen that it holds what it has to and nothing from inside."""
    assert response.headers["content-type"] == "application/json"
    assert INSIDE.search(response.text) is None
    error: dict[str, str] = response.json()["error"]
    assert error.keys() == {"message", "type", "code", "param", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["message"]
    return error


@ANSWERING
@pytest.mark.parametrize("retry_after", [None, 7.0, 0.2])
def test_engine_down_is_503_with_retry_after(house: House, asking: Asking, retry_after: float | None) -> None:
    refused = EngineUnavailable("the engine at http://10.0.0.7:8100 cannot be reached", retry_after=retry_after)
    house.model.script = Script(refused=refused)
    response = asking(house)
    assert response.status_code == 503
    assert error_of(response)["code"] == "engine_unavailable"
    assert response.headers["retry-after"] == {None: "5", 7.0: "7", 0.2: "1"}[retry_after]


@ANSWERING
@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (EngineAborted("gave up", detail="CUDA error"), 503, "engine_unavailable"),
        (EngineRefused("refused with 400", status=400, detail="see /srv/vllm/x.py"), 503, "engine_unavailable"),
        (WrongModel("mdl-a", "mdl-b"), 503, "engine_unavailable"),
        (GenerationTimeout("first_piece", 60), 504, "deadline_exceeded"),
    ],
)
def test_each_failure_of_the_engine_has_its_status(
    house: House, asking: Asking, failure: GenerationError, status: int, code: str
) -> None:
    house.model.script = Script(refused=failure)
    response = asking(house)
    assert (response.status_code, error_of(response)["code"]) == (status, code)


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_format_the_engine_cannot_hold_is_the_callers_to_change(house: House, stream: bool) -> None:
    house.model.script = Script(refused=EngineRefused("refused with 400", status=400, detail="see /srv/vllm/x.py"))
    for response in (
        house.ask(stream=stream, response_format={"type": "nonsense"}),
        house.chat(stream=stream, response_format={"type": "nonsense"}),
    ):
        assert response.status_code == 422
        assert error_of(response)["param"] == "response_format"


@pytest.mark.parametrize("asking", [native, openai])
def test_a_generation_that_breaks_off_is_no_answer(house: House, asking: Asking) -> None:
    house.model.script = Script(("Customers may", EngineAborted("the engine gave up")))
    response = asking(house)
    assert response.status_code == 503
    assert "Customers may" not in response.text
    assert response.headers["retry-after"] == "1"
    error_of(response)


@pytest.mark.parametrize("asking", [native, native_stream, openai, openai_stream, searching])
def test_without_the_catalog_nothing_is_shown(house: House, asking: Asking) -> None:
    assert asking(house).status_code == 200
    break_catalog(house.settings.catalog)
    generated = len(house.generator.exchanges)
    response = asking(house)
    assert response.status_code == 503
    assert error_of(response)["code"] == "catalog_unavailable"
    assert int(response.headers["retry-after"]) >= 1
    assert "refund" not in response.text
    assert len(house.generator.exchanges) == generated


def test_an_index_whose_vectors_are_broken_is_503(house: House) -> None:
    async def unfit(question: str, *, scope: str) -> list[float]:
        return [float("nan")] * 256

    finder = house.app.state.parts.release.resolve().index_version.finder
    finder._embedder.embed_query = unfit
    for response in (house.ask(), house.ask(stream=True), house.search()):
        assert response.status_code == 503
        assert error_of(response)["code"] == "store_unavailable"


@pytest.mark.parametrize("asking", [native, native_stream, openai, openai_stream, searching])
def test_without_the_embedding_model_the_answer_is_503_and_says_when_to_come_back(house: House, asking: Asking) -> None:
    async def gone(question: str, *, scope: str) -> list[float]:
        raise EmbedderUnavailable("the server at http://10.0.0.7:8000 cannot be reached")

    house.app.state.parts.release.resolve().index_version.finder._embedder.embed_query = gone
    response = asking(house)
    assert response.status_code == 503
    assert error_of(response)["code"] == "embedder_unavailable"
    assert response.headers["retry-after"] == "5"
    assert "10.0.0.7" not in response.text


def test_a_passage_the_catalog_has_changed_is_not_shown(house: House) -> None:
    with closing(sqlite3.connect(house.settings.catalog)) as database, database:
        database.execute("UPDATE documents SET version = 'sha256:new' WHERE id = 'policies/refunds.md'")
    answer = house.ask().json()
    assert "refund" not in json.dumps(answer).lower()
    assert house.metrics()[f'twinpin_stale_chunks_total{{index="{pinned_recipe().name}"}}'] > 0


@pytest.mark.parametrize("asking", [native, openai])
def test_a_fault_of_ours_is_a_500_that_tells_only_its_id(forgiving: House, asking: Asking) -> None:
    forgiving.model.fault = ZeroDivisionError("division by zero in /srv/app.py")
    response = asking(forgiving)
    assert response.status_code == 500
    assert error_of(response)["code"] == "internal_error"
    assert forgiving.limits.in_flight == 0
    route = "/v1/answer" if asking is native else "/v1/chat/completions"
    assert forgiving.count("twinpin_requests_total", route=route, status="500") == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_question_that_does_not_fit_the_model_is_refused_as_such(house: House, stream: bool) -> None:
    response = house.ask("a " * 3_999, stream=stream)
    assert response.status_code == 422
    error = error_of(response)
    assert error["param"] == "question"
    assert "shorten" in error["message"]


def test_failures_are_counted_by_status_and_by_name(house: House) -> None:
    house.model.script = Script(refused=EngineUnavailable("gone"))
    house.ask()
    house.ask(stream=True)
    versions = {"index": pinned_recipe().name, "model": pinned_manifest().name}
    assert house.count("twinpin_requests_total", route="/v1/answer", status="503", **versions) == 2
    measured = house.metrics()
    failed = [key for key in measured if 'outcome="failed"' in key and key.startswith("twinpin_answers_total")]
    assert [("EngineUnavailable" in key, measured[key]) for key in failed] == [(True, 2)]


@ANSWERING
def test_the_place_in_flight_is_free_again_after_a_failure(house: House, asking: Asking) -> None:
    house.model.script = Script(refused=EngineUnavailable("gone"))
    asking(house)
    assert house.limits.in_flight == 0
    house.model.says("I do not know.")
    assert house.ask(REFUND_QUESTION).status_code == 200
