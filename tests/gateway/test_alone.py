"""`"retrieval": "none"`: the tuned model by itself, by the leave of its version, and said to be nothing more."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from deploy.pins import Pin
from gateway.app import create_app
from tests.gateway.house import House, events, make_house, opening, pinned_manifest, pinned_recipe

ALONE = pinned_manifest("alone", system_alone="You sort letters by subject.")
LETTER = "Dear all, my parcel never came. Which subject is this?"


@pytest.fixture
def free(tmp_path: Path) -> Iterator[House]:
    """A house whose pinned model version may be asked without documents."""
    house = make_house(tmp_path)
    house.pin(Pin(pinned_recipe().name), Pin(house.describe(ALONE)))
    with TestClient(create_app(house.settings, opening(house))) as house.client:
        yield house


def test_the_model_answers_alone_and_the_answer_says_so(free: House) -> None:
    free.model.says("Deliveries.")
    answer = free.ask(LETTER, retrieval="none").json()
    asked = free.generator.exchanges[-1].request
    assert [(one.role, one.content) for one in asked.messages] == [
        ("system", "You sort letters by subject."),
        ("user", LETTER),
    ]
    assert (answer["answer"], answer["status"], answer["reason"]) == ("Deliveries.", "answered", "not_retrieved")
    assert (answer["citations"], answer["unsupported"], answer["confidence"]) == ([], [], None)
    assert "retrieval" not in answer["timings"]


def test_a_marker_the_model_makes_up_points_nowhere_and_goes(free: House) -> None:
    free.model.says("Deliveries [1].")
    assert free.ask(LETTER, retrieval="none").json()["answer"] == "Deliveries."


def test_a_stream_and_the_openai_api_do_the_same(free: House) -> None:
    free.model.says("Deliveries.")
    told = {one.name: one.data for one in events(free.ask(LETTER, retrieval="none", stream=True).content)}
    assert told["sources"]["passages"] == []
    assert told["verdict"]["reason"] == "not_retrieved"
    chat = free.chat(LETTER, retrieval="none").json()
    assert chat["choices"][0]["message"]["content"] == "Deliveries."
    assert chat["twinpin"]["reason"] == "not_retrieved"


def test_the_record_and_the_metrics_tell_it_apart(free: House) -> None:
    free.model.says("Deliveries.")
    misses = free.count("twinpin_retrieval_misses_total")
    free.ask(LETTER, retrieval="none")
    assert free.count("twinpin_answers_total", outcome="answered", reason="not_retrieved") == 1
    assert free.count("twinpin_retrieval_misses_total") == misses


def test_a_history_comes_along_unrewritten(free: House) -> None:
    turns = [("user", "Hello."), ("assistant", "Hello."), ("user", LETTER)]
    body = {"messages": [{"role": role, "content": text} for role, text in turns], "retrieval": "none"}
    assert free.post("/v1/answer", body).status_code == 200
    asked = free.generator.exchanges[-1].request
    assert [one.content for one in asked.messages] == ["You sort letters by subject.", "Hello.", "Hello.", LETTER]


def test_a_version_that_answers_from_documents_only_refuses(house: House) -> None:
    """It could not say honestly that it does not know."""
    for response in (house.ask(retrieval="none"), house.chat(retrieval="none")):
        error = response.json()["error"]
        assert (response.status_code, error["param"]) == (422, "retrieval")
        assert pinned_manifest().name in error["message"]
    assert house.generator.exchanges == []


def test_no_other_word_will_do(house: House) -> None:
    assert house.ask(retrieval="off").status_code == 422
