"""`POST /v1/answer` as a stream: the order of its events, and that it says the same as the JSON body."""

from typing import Any

import pytest

from serving.errors import EngineAborted
from serving.scripted import Script
from tests.gateway.house import PAYOUT, REFUND, REFUND_QUESTION, Event, House, events

SCRIPTS = {
    "answered": f"{REFUND[:-1]} [1].",
    "attached": f"{REFUND} {PAYOUT}",
    "review": f"{REFUND} Refunds are paid in seashells by the board of directors.",
    "unknown": "I do not know.",
    "markers": f"{REFUND[:-1]} [1] [7]. See also [8] .",
    "unicode": "Rückgaben 📦 kosten nichts ß [2].",
    "empty": "",
}


def streamed(house: House, question: str = REFUND_QUESTION, caller: str = "ana") -> list[Event]:
    response = house.ask(question, caller, stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    return events(response.content)


def words(told: list[Event]) -> str:
    return "".join(event.data["text"] for event in told if event.name == "delta")


def one(told: list[Event], name: str) -> Any:
    (event,) = (event for event in told if event.name == name)
    return event.data


def test_events_come_in_the_promised_order(house: House) -> None:
    names = [event.name for event in streamed(house)]
    deltas = names.count("delta")
    assert deltas == 12
    assert names == ["sources", *["delta"] * deltas, "verdict", "usage", "done"]


def test_sources_are_the_passages_with_their_places(house: House) -> None:
    sources = one(streamed(house), "sources")
    assert sources["object"] == "answer"
    assert sources["id"].startswith("ans_")
    assert sources["passages"] == house.search(limit=3).json()["passages"]


@pytest.mark.parametrize("said", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_text_and_verdict_are_the_same_streamed_or_not(house: House, said: str) -> None:
    house.model.says(said)
    whole, told = house.ask().json(), streamed(house)
    assert words(told).encode() == whole["answer"].encode()
    fields = ("status", "finish", "reason", "citations", "unsupported", "warnings", "confidence")
    assert one(told, "verdict") == {name: whole[name] for name in fields}
    assert one(told, "usage")["usage"] == whole["usage"]
    assert one(told, "usage")["timings"].keys() == whole["timings"].keys()


@pytest.mark.parametrize(
    ("question", "caller", "reason"),
    [("zebra quartz", "ana", "below_threshold"), (REFUND_QUESTION, "eve", "no_hits")],
)
def test_an_abstention_streams_like_any_answer(house: House, question: str, caller: str, reason: str) -> None:
    told = streamed(house, question, caller)
    assert [event.name for event in told] == ["sources", "delta", "verdict", "usage", "done"]
    assert words(told) == house.ask(question, caller).json()["answer"] == "I do not know."
    assert one(told, "verdict") == {
        "status": "abstained",
        "finish": "stop",
        "reason": reason,
        "citations": [],
        "unsupported": [],
        "warnings": [],
        "confidence": house.ask(question, caller).json()["confidence"],
    }


def test_a_failure_after_the_first_byte_is_an_error_event_and_no_done(house: House) -> None:
    broken = EngineAborted("the engine gave up on 10.0.0.7", detail="CUDA error")
    house.model.script = Script(("Customers", " may", broken))
    response = house.ask(stream=True)
    told = events(response.content)
    assert [event.name for event in told] == ["sources", "delta", "delta", "error"]
    error = told[-1].data["error"]
    assert (error["type"], error["code"]) == ("server_error", "engine_unavailable")
    assert error["request_id"] == response.headers["x-request-id"]
    assert "10.0.0.7" not in response.text
    assert "CUDA" not in response.text


def test_an_unexpected_failure_after_the_first_byte_tells_nothing_internal(house: House) -> None:
    house.model.fault = ZeroDivisionError("at /srv/secret.py line 7")
    told = events(house.ask(stream=True).content)
    assert [event.name for event in told] == ["sources", "error"]
    assert told[-1].data["error"]["code"] == "internal_error"
    assert "secret" not in str(told[-1].data)


def test_the_place_in_flight_is_free_again_after_each_ending(house: House) -> None:
    streamed(house)
    house.model.script = Script(("Customers", EngineAborted("gone")))
    house.ask(stream=True)
    house.ask()
    assert house.limits.in_flight == 0
