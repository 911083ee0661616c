"""Prompts that begin like earlier ones: for the same permissions alone, and every marker still means its passage."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.testclient import TestClient

from deploy.keys import create_key
from deploy.pins import Pin
from gateway.app import create_app
from tests.gateway.house import (
    PAYOUT,
    REFUND,
    REFUND_QUESTION,
    VACATION,
    House,
    events,
    make_house,
    opening,
    pinned_manifest,
    pinned_recipe,
)

QUESTION = "\n\nQuestion: "
PAYOUT_QUESTION = "Within how many working days is the refund paid out?"
Open = Callable[..., AbstractContextManager[House]]


@pytest.fixture
def opened(tmp_path: Path, logged: list[structlog.typing.EventDict]) -> Open:
    """A gateway whose prompts show passages in this order, the question after them."""

    @contextmanager
    def open_house(order: str = "shared_prefix", context: int = 2_000, **settings: Any) -> Iterator[House]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        made = make_house(folder, **settings)
        prompt = replace(pinned_manifest().prompt, question=f"{{passages}}{QUESTION}{{question}}")
        manifest = pinned_manifest(prompt=prompt, passage_order=order, context_tokens=context)
        made.pin(Pin(made.describe(pinned_recipe())), Pin(made.describe(manifest)))
        made.keys["root"] = create_key(made.settings.keys, tenant="acme", subject="root", groups=[], scopes=["admin"])
        made.model.says(f"{REFUND[:-1]} [1].")
        made.app = create_app(made.settings, opening(made))
        with TestClient(made.app) as made.client:
            yield made

    return open_house


@pytest.fixture
def house(opened: Open) -> Iterator[House]:
    with opened() as made:
        yield made


def begun(house: House) -> list[str]:
    """What stood before the question, of each prompt so far."""
    return [one.request.messages[-1].content.partition(QUESTION)[0] for one in house.generator.exchanges]


def in_order(text: str) -> list[str]:
    return sorted((one for one in (REFUND, PAYOUT, VACATION) if one in text), key=text.index)


def test_a_prompt_begins_byte_for_byte_like_an_earlier_one(house: House) -> None:
    for question in (REFUND_QUESTION, PAYOUT_QUESTION):
        assert house.ask(question).status_code == 200
    first, second = begun(house)
    assert in_order(first) == [REFUND, PAYOUT, VACATION]
    assert first == second


def test_as_found_it_does_not(opened: Open) -> None:
    with opened("best_first") as house:
        for question in (REFUND_QUESTION, PAYOUT_QUESTION):
            house.ask(question)
        first, second = begun(house)
    assert (in_order(first)[0], in_order(second)[0]) == (REFUND, PAYOUT)


def test_who_has_other_permissions_learns_nothing_of_it(house: House) -> None:
    house.ask(REFUND_QUESTION)
    house.ask(PAYOUT_QUESTION, caller="hanneke")
    assert in_order(begun(house)[1])[0] == PAYOUT
    salts = {one.request.cache_salt for one in house.generator.exchanges}
    assert len(salts) == 2


def test_markers_mean_the_passages_that_were_shown_under_them(house: House) -> None:
    house.ask(REFUND_QUESTION)
    house.model.says(f"{PAYOUT[:-1]} [2].")
    told = {event.name: event.data for event in events(house.ask(PAYOUT_QUESTION, stream=True).content)}
    assert [one["text"] for one in told["sources"]["passages"]] == [REFUND, PAYOUT, VACATION]
    (cited,) = told["verdict"]["citations"]
    assert (cited["marker"], cited["origin"], cited["quote"]) == (2, "model", PAYOUT)


def test_a_record_has_them_as_they_were_shown_with_the_ranks_they_were_found_at(house: House) -> None:
    house.ask(REFUND_QUESTION)
    answer = house.ask(PAYOUT_QUESTION).json()["id"]
    found = house.client.get(f"/v1/records/{answer}", headers=house.headers("root")).json()["sources"]["passages"]
    assert [one["rank"] for one in found] == [2, 1, 3]
    assert found[1]["fused"] > found[0]["fused"]


def test_a_conversation_has_them_as_found(house: House) -> None:
    """What it begins with, no other prompt does."""
    house.ask(REFUND_QUESTION)
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello."}]
    for _ in range(2):
        messages = [*turns, {"role": "user", "content": PAYOUT_QUESTION}]
        assert house.post("/v1/answer", {"messages": messages}).status_code == 200
    assert [in_order(one)[0] for one in begun(house)] == [REFUND, PAYOUT, PAYOUT]


def test_where_not_all_fit_the_best_do(opened: Open) -> None:
    with opened(context=180) as house:
        for question in (REFUND_QUESTION, PAYOUT_QUESTION):
            assert house.ask(question).status_code == 200
        shown = [in_order(one) for one in begun(house)]
    assert 0 < len(shown[1]) < 3, "the control: one is left out"
    assert shown[1][0] == PAYOUT


def test_an_erased_document_is_in_no_later_prompt_and_the_others_go_on(house: House) -> None:
    house.ask(PAYOUT_QUESTION)
    house.keys["clerk"] = create_key(
        house.settings.keys, tenant="acme", subject="clerk", groups=["staff"], scopes=["documents:write"]
    )
    gone = house.client.delete("/v1/documents/handbook.pdf", headers=house.headers("clerk"))
    assert gone.status_code == 200, gone.text
    house.ask(REFUND_QUESTION)
    assert in_order(begun(house)[1]) == [PAYOUT, REFUND]


@pytest.mark.parametrize(("secret", "same"), [("s3cret" * 8, True), (None, False)])
def test_salts_are_those_of_other_gateways_with_the_same_secret(opened: Open, secret: str | None, same: bool) -> None:
    salts = []
    for _ in range(2):
        with opened(cache_secret=secret) as house:
            house.ask(REFUND_QUESTION)
            salts.append(house.generator.exchanges[-1].request.cache_salt)
    assert (salts[0] == salts[1]) is same
    assert all(salt and len(salt) == 64 for salt in salts)
