"""`POST /v1/chat/completions`: OpenAI's shapes, streamed or not, with ours under `twinpin`."""

from typing import Any

import pytest

from serving.errors import EngineAborted, EngineUnavailable
from serving.scripted import Script
from tests.gateway.house import REFUND, REFUND_QUESTION, House, chunks


def content(told: list[Any]) -> str:
    choices = [chunk["choices"][0] for chunk in told if chunk != "[DONE]" and chunk["choices"]]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def test_a_completion_has_openais_shape(house: House) -> None:
    completion = house.chat().json()
    assert completion["id"].startswith("ans_")
    assert completion["object"] == "chat.completion"
    assert completion["model"] == "twinpin"
    assert isinstance(completion["created"], int)
    (choice,) = completion["choices"]
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "stop", None)
    message = choice["message"]
    assert (message["role"], message["content"], message["refusal"]) == ("assistant", f"{REFUND[:-1]} [1].", None)
    usage = completion["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 12
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


def test_citations_are_annotations_on_the_message(house: House) -> None:
    message = house.chat().json()["choices"][0]["message"]
    (annotation,) = message["annotations"]
    assert annotation["type"] == "url_citation"
    cited = annotation["url_citation"]
    assert message["content"][cited["start_index"] : cited["end_index"]] == "[1]"
    assert (cited["title"], cited["url"]) == ("policies/refunds.md", "policies/refunds.md#deadlines")


def test_everything_of_the_native_answer_is_under_twinpin(house: House) -> None:
    native, ours = house.ask().json(), house.chat().json()["twinpin"]
    assert native.keys() - {"answer"} <= ours.keys()
    differs = {"id", "created", "timings", "answer"}
    assert {name: ours[name] for name in native.keys() - differs} == {
        name: native[name] for name in native.keys() - differs
    }


def test_an_abstention_is_a_completion_too(house: House) -> None:
    completion = house.chat("zebra quartz").json()
    assert completion["choices"][0]["message"]["content"] == "I do not know."
    assert completion["choices"][0]["message"]["annotations"] == []
    assert (completion["twinpin"]["status"], completion["twinpin"]["reason"]) == ("abstained", "below_threshold")


def test_an_answer_cut_at_its_limit_says_length(house: House) -> None:
    whole = house.chat(max_tokens=3).json()["choices"][0]
    assert (whole["finish_reason"], whole["message"]["content"]) == ("length", "Customers may ask")
    assert house.chat(max_completion_tokens=3).json()["choices"][0]["finish_reason"] == "length"
    told = chunks(house.chat(max_tokens=3, stream=True).content)
    assert [chunk["choices"][0]["finish_reason"] for chunk in told[:-1]][-1] == "length"


def test_a_stream_is_role_words_annotations_and_an_end(house: House) -> None:
    response = house.chat(stream=True)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    told = chunks(response.content)
    assert told[-1] == "[DONE]"
    first, *middle, last = told[:-1]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "annotations" in middle[-1]["choices"][0]["delta"]
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in (first, *middle))
    same = {(chunk["id"], chunk["object"], chunk["model"], chunk["created"]) for chunk in told[:-1]}
    assert len(same) == 1
    assert not any("usage" in chunk for chunk in told[:-1])


def test_a_stream_says_the_same_as_the_completion(house: House) -> None:
    completion, told = house.chat().json(), chunks(house.chat(stream=True).content)
    message = completion["choices"][0]["message"]
    assert content(told).encode() == message["content"].encode()
    assert told[-3]["choices"][0]["delta"]["annotations"] == message["annotations"]
    differs = {"id", "created", "timings"}
    streamed, whole = told[-2]["twinpin"], completion["twinpin"]
    assert {name: streamed[name] for name in streamed.keys() - differs} == {
        name: whole[name] for name in whole.keys() - differs
    }


def test_usage_comes_in_a_last_chunk_without_choices_when_asked_for(house: House) -> None:
    told = chunks(house.chat(stream=True, stream_options={"include_usage": True}).content)
    assert told[-1] == "[DONE]"
    assert told[-2]["choices"] == []
    assert told[-2]["usage"] == house.chat().json()["usage"]
    assert all(chunk["usage"] is None for chunk in told[:-2])


def test_a_failure_after_the_first_byte_is_an_error_object_and_no_done(house: House) -> None:
    house.model.script = Script(("Customers", EngineAborted("gone")))
    response = house.chat(stream=True)
    told = chunks(response.content)
    assert response.status_code == 200
    assert "[DONE]" not in response.text
    assert told[-1]["error"]["code"] == "engine_unavailable"
    assert told[-1]["error"]["request_id"] == response.headers["x-request-id"]


def test_the_engine_going_away_before_the_first_byte_has_its_own_status(house: House) -> None:
    house.model.script = Script(refused=EngineUnavailable("refused"))
    assert house.chat(stream=True).status_code == 503


def test_fields_that_the_model_version_pins_are_accepted_and_named(house: House) -> None:
    sent: dict[str, Any] = {"temperature": 1.7, "top_p": 0.2, "seed": 9, "logit_bias": {"50256": -100}, "stop": None}
    completion = house.chat(**sent)
    assert completion.json()["twinpin"]["ignored"] == ["logit_bias", "seed", "temperature", "top_p"]
    plain = house.chat()
    assert plain.json()["twinpin"]["ignored"] == []
    tempered, pinned = house.generator.exchanges[-2:]
    assert tempered.request.sampling == pinned.request.sampling


@pytest.mark.parametrize("asked", ["gpt-4o", "twinpin ", "mdl-smollm2-6195bed8", "../../etc/passwd"])
def test_an_unknown_model_is_not_found_and_never_passed_on(house: House, asked: str) -> None:
    response = house.chat(model=asked)
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["code"], error["param"], error["type"]) == ("model_not_found", "model", "invalid_request_error")
    assert house.generator.exchanges == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"n": 2}, "n"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "42", "tool_call_id": "x"}]}, "messages"),
        ({"messages": [{"role": "critic", "content": "42"}]}, "messages.0.role"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, None),
        ({"messages": [{"role": "assistant", "content": "I said so."}]}, "messages"),
        ({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "  \n "}]}, "messages"),
        ({"messages": [{"role": "user", "content": "a" * 8_001}]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
        ({"stream": "maybe"}, "stream"),
    ],
)
def test_what_cannot_be_asked_is_refused_naming_the_field(
    house: House, change: dict[str, Any], field: str | None
) -> None:
    messages = [{"role": "user", "content": REFUND_QUESTION}]
    accepted = {"model": "twinpin", "messages": messages, "n": 1}
    assert house.post("/v1/chat/completions", accepted).status_code == 200
    response = house.post("/v1/chat/completions", accepted | change)
    assert response.status_code == 422
    assert response.json()["error"]["param"] == field


def test_an_image_cannot_be_asked_about(house: House) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}]
    response = house.post(
        "/v1/chat/completions", {"model": "twinpin", "messages": [{"role": "user", "content": parts}]}
    )
    assert response.status_code == 422
    assert response.json()["error"]["param"].startswith("messages.0.content")


def test_history_is_honoured(house: House) -> None:
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good morning."},
        {"role": "user", "content": REFUND_QUESTION},
    ]
    response = house.post("/v1/chat/completions", {"model": "twinpin", "messages": turns})
    assert response.json()["twinpin"]["status"] == "answered"
    told = [(message.role, message.content) for message in house.generator.exchanges[-1].request.messages]
    assert told[1:3] == [("user", "Hello"), ("assistant", "Good morning.")]
