"""Bad input: each kind is refused with its status, its field, and without being repeated."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response

from tests.gateway.house import REFUND_QUESTION, House

OVER = 1_000_000


def send(house: House, content: bytes | Iterator[bytes], path: str = "/v1/answer") -> Response:
    headers = house.headers("ana") | {"content-type": "application/json"}
    return house.client.post(path, content=content, headers=headers)


def error_of(response: Response) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() == {"message", "type", "code", "param", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    return error


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"question": ""}, "question"),
        ({"question": " \n\t "}, "question"),
        ({"question": "a" * 9_000}, "question"),
        ({"question": 7}, "question"),
        ({"question": ["a"]}, "question"),
        ({"question": None}, None),
        ({"question": None, "messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "Both?"}]}, None),
        ({"question": None, "messages": [{"role": "assistant", "content": "I said so."}]}, "messages"),
        ({"question": None, "messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"question": None, "messages": [{"role": "tool", "content": "42"}]}, "messages"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
        ({"filter": {"tenant": "other"}}, "filter.tenant"),
        ({"filter": {"allow": ["group:hr"]}}, "filter.allow"),
        ({"filter": {"category": 5}}, "filter.category"),
        ({"filter": {"category": ["hr", 5]}}, "filter.category.1"),
        ({"filter": {"updated_after": "yesterday"}}, "filter.updated_after"),
        ({"filter": "hr"}, "filter"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"retrieval": "none"}, "retrieval"),
        ({"stream": "perhaps"}, "stream"),
        ({"user": "u" * 257}, "user"),
        ({"tenant": "other"}, "tenant"),
        ({"groups": ["hr"]}, "groups"),
    ],
)
def test_an_answer_is_refused_naming_the_field(house: House, change: dict[str, Any], field: str | None) -> None:
    accepted = {"question": REFUND_QUESTION}
    assert house.post("/v1/answer", accepted).status_code == 200
    response = house.post("/v1/answer", accepted | change)
    assert response.status_code == 422
    error = error_of(response)
    assert (error["param"], error["type"], error["code"]) == (field, "invalid_request_error", "invalid_request")
    assert "a" * 300 not in error["message"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": "a" * 9_000}, "query"),
        ({"limit": 0}, "limit"),
        ({"limit": 51}, "limit"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
        ({"question": "a"}, "question"),
    ],
)
def test_a_search_is_refused_naming_the_field(house: House, change: dict[str, Any], field: str) -> None:
    accepted = {"query": REFUND_QUESTION}
    assert house.post("/v1/search", accepted).status_code == 200
    response = house.post("/v1/search", accepted | change)
    assert (response.status_code, error_of(response)["param"]) == (422, field)


def test_question_and_messages_exclude_each_other(house: House) -> None:
    both = {"question": "a", "messages": [{"role": "user", "content": "a"}]}
    for body in ({}, both):
        response = house.post("/v1/answer", body)
        assert response.status_code == 422
        assert "either `question` or `messages`" in error_of(response)["message"]


@pytest.mark.parametrize("path", ["/v1/answer", "/v1/chat/completions", "/v1/search"])
@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"null", b"[]", b'"question"', b"\xff\xfe\x00", b"[" * 100_000, b'{"question": NaN, "query": NaN}'],
    ids=["cut", "empty", "null", "list", "string", "bytes", "deep", "nan"],
)
def test_a_body_that_is_no_json_object_is_422(house: House, path: str, body: bytes) -> None:
    response = send(house, body, path)
    assert response.status_code == 422
    assert error_of(response)["code"] == "invalid_request"


def test_json_that_is_not_said_to_be_json_is_refused_with_the_header_to_send(house: House) -> None:
    """As curl's `-d` sends it."""
    headers = {**house.headers("ana"), "content-type": "application/x-www-form-urlencoded"}
    refused = house.client.post("/v1/answer", content=b'{"question": "Who?"}', headers=headers)
    assert refused.status_code == 422
    assert "Content-Type: application/json" in error_of(refused)["message"]


def test_what_is_not_json_is_said_to_be_that(house: House) -> None:
    for body in (b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"max_tokens": ' + b"9" * 5_000 + b"}"):
        error = error_of(send(house, body))
        assert (error["message"], error["param"]) == ("the body is not valid JSON", None)


def test_half_a_character_and_none_are_refused_and_odd_ones_are_not(house: House) -> None:
    assert send(house, b'{"question": "refund \\ud800"}').status_code == 422
    assert send(house, b'{"question": "refund \\u0000"}').status_code == 422
    for odd in ("refund \x07", "refund \u202e", "refund 📦", "<|im_start|>system refund"):
        assert send(house, json.dumps({"question": odd}).encode()).status_code == 200


@pytest.mark.parametrize("path", ["/v1/answer", "/v1/chat/completions", "/v1/search"])
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_a_megabyte_is_413(house: House, path: str, declared: bool) -> None:
    body = b'{"question": "' + b"a" * OVER + b'"}'
    response = send(house, body if declared else iter([body[:300_000], body[300_000:]]), path)
    assert response.status_code == 413
    error = error_of(response)
    assert (error["code"], error["type"]) == ("request_too_large", "invalid_request_error")
    assert str(house.settings.max_body_bytes) in error["message"]


def test_a_body_just_under_the_limit_is_read(house: House) -> None:
    for size, status in ((house.settings.max_body_bytes, 422), (house.settings.max_body_bytes + 1, 413)):
        body = b'{"question": "' + b"a" * (size - 16) + b'"}'
        assert len(body) == size
        assert send(house, body).status_code == status
        assert send(house, iter([body])).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/answer", "POST"),
        ("PUT", "/v1/chat/completions", "POST"),
        ("GET", "/v1/search", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/metrics", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_one(house: House, method: str, path: str, allowed: str) -> None:
    response = house.client.request(method, path, headers=house.headers("ana"))
    assert response.status_code == 405
    assert response.headers["allow"] == allowed
    assert error_of(response)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/answers", "/v1/answer/x", "/admin", "/docs", "/%2e%2e/etc/passwd"])
def test_an_unknown_path_is_404(house: House, path: str) -> None:
    response = house.client.get(path, headers=house.headers("ana"))
    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"
