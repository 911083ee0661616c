"""Requests that are made to take long or to break something: a refusal that says what is wrong, and soon."""

import time
from typing import Any

import pytest

from gateway.http.bounds import DEEPEST, MOST_FIELDS, MOST_VALUES
from tests.gateway.house import REFUND_QUESTION, House

QUESTION = f'"question": "{REFUND_QUESTION}"'
NOT_JSON, FORMAT = "the body is not valid JSON", "response_format: "
DEEP, LARGE = f"{FORMAT}it is nested deeper", f"{FORMAT}it holds more than {MOST_VALUES}"
NO_NUMBER = f"{FORMAT}it holds a number that JSON has not"


def asked(*fields: str) -> str:
    return "{" + ", ".join([QUESTION, *fields]) + "}"


def formatted(value: str) -> str:
    return asked(f'"response_format": {{"a": {value}}}')


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


TURNS = ",".join(['{"role": "user", "content": "x"}'] * 10_000)
FIELDS = [f'"k{number}": 0' for number in range(40_000)]
CASES = {
    "unclosed": ("[" * 500_000, NOT_JSON),
    "deep in an unknown field": (asked(f'"x": {nested(200_000)}'), NOT_JSON),
    "deep": (formatted(nested(200_000)), NOT_JSON),
    "a little too deep": (formatted(nested(DEEPEST)), DEEP),
    "a huge number": (asked(f'"max_tokens": {"9" * 500_000}'), NOT_JSON),
    "a large number": (asked(f'"max_tokens": {"9" * 4_000}'), "max_tokens: "),
    "a huge number in a format": (formatted("9" * 500_000), NOT_JSON),
    "no number": (formatted("NaN"), NO_NUMBER),
    "an endless number": (formatted("[1e999999]"), NO_NUMBER),
    "many values": (formatted(f"[{','.join('0' * 250_000)}]"), LARGE),
    "many fields": (asked(*FIELDS[: MOST_FIELDS + 1]), f"more than {MOST_FIELDS}"),
    "more fields than are looked at": (asked(*FIELDS), f"more than {MOST_VALUES}"),
    "the same further in": (asked('"filter": {' + ",".join(FIELDS) + "}"), f"more than {MOST_VALUES}"),
    "many turns": (f'{{"messages": [{TURNS}]}}', "messages: "),
    "many categories": (asked('"filter": {"category": ["x"' + ', "x"' * 90_000 + "]}"), "filter.category: "),
    "half a character": ('{"question": "\\ud800 refund"}', NOT_JSON),
    "a character no database has": ('{"question": "a\\u0000 refund"}', "question: "),
    "the same in a turn": ('{"messages": [{"role": "user", "content": "a\\u0000b"}]}', "messages.0.content: "),
    "the same in a name": (asked('"user": "a\\u0000b"'), "user: "),
}


@pytest.mark.parametrize(("body", "told"), CASES.values(), ids=CASES.keys())
def test_what_is_made_to_hurt_is_refused_at_once(house: House, body: str, told: str) -> None:
    began = time.process_time()
    sent = {"content-type": "application/json", **house.headers("ana")}
    response = house.client.post("/v1/answer", content=body.encode(), headers=sent)
    assert response.status_code == 422
    assert response.json()["error"]["message"].startswith(told)
    assert len(response.content) < 500
    assert time.process_time() - began < 1.0


def test_a_chat_takes_unknown_fields_but_not_any_number(house: House) -> None:
    extras: dict[str, Any] = {f"k{n}": 0 for n in range(MOST_FIELDS + 1)}
    assert house.chat(**extras).status_code == 422
    extras.popitem()
    assert house.chat(**extras).json()["twinpin"]["ignored"] == sorted(extras)


def test_a_format_of_usual_size_is_taken(house: House) -> None:
    schema: object = {"type": "integer"}
    for _ in range(8):
        schema = {"type": "object", "properties": {f"field{n}": schema for n in range(2)}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert house.ask(response_format=wanted).status_code == 200
