"""Answers that are given again: what tells them from others, whom they are given to, and what ends them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from httpx2 import Response
from starlette.testclient import TestClient

from deploy.keys import create_key
from deploy.pins import Pin
from gateway.app import create_app
from gateway.cache.opening import CacheRefused
from serving.errors import EngineAborted
from serving.scripted import Script
from tests.gateway.house import (
    OTHER_REFUND,
    PAYOUT,
    REFUND,
    REFUND_QUESTION,
    VACATION,
    House,
    chunks,
    events,
    make_house,
    opening,
    pinned_manifest,
)
from tests.gateway.librarians import BADGE, hire, path, put, send

MINE = {"id", "created", "usage", "timings", "cache"}
TURN = {"role": "user", "content": REFUND_QUESTION}


@pytest.fixture
def house(tmp_path: Path, logged: list[structlog.typing.EventDict]) -> Iterator[House]:
    """Answers are kept in the process."""
    yield from opened(make_house(tmp_path, cache="process"))


@pytest.fixture
def by_time(tmp_path: Path, logged: list[structlog.typing.EventDict]) -> Iterator[House]:
    """Answers are kept whatever changes."""
    yield from opened(make_house(tmp_path, cache="process", cache_freshness="ttl"))


def opened(house: House) -> Iterator[House]:
    hire(house)
    house.model.says(f"{REFUND[:-1]} [1].")
    house.app = create_app(house.settings, opening(house))
    with TestClient(house.app) as client:
        house.client = client
        yield house


def calls(house: House) -> int:
    """How often the model was asked."""
    return len(house.generator.exchanges)


def outcome(response: Response) -> str:
    """Header and body say the same."""
    assert response.status_code == 200, response.text
    said: str = response.headers["x-twinpin-cache"]
    assert response.json().get("cache", response.json().get("twinpin", {}).get("cache")) == said
    return said


def asked_twice(house: House, **fields: Any) -> tuple[str, str]:
    return outcome(house.ask(**fields)), outcome(house.ask(**fields))


def test_an_answer_is_given_again_and_says_the_same(house: House) -> None:
    first, again = house.ask(), house.ask()
    assert (outcome(first), outcome(again)) == ("miss", "hit")
    assert calls(house) == 1
    before, after = first.json(), again.json()
    assert {name: before[name] for name in before.keys() - MINE} == {name: after[name] for name in after.keys() - MINE}
    assert before["answer"] == f"{REFUND[:-1]} [1]."
    assert before["citations"] != []
    assert after["id"] != before["id"]
    assert after["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0, "cost": 0.0}
    assert after["timings"].keys() == {"total"}


def test_a_stream_tells_the_same_events_again(house: House) -> None:
    first, again = (house.ask(stream=True) for _ in range(2))
    assert [one.headers["x-twinpin-cache"] for one in (first, again)] == ["miss", "hit"]
    before, after = events(first.content), events(again.content)
    assert [one.name for one in before] == [one.name for one in after]
    assert [one for one in before if one.name == "delta"] == [one for one in after if one.name == "delta"]
    assert len([one for one in after if one.name == "delta"]) == 12
    told = [{**one.data} for one in (before[0], after[0])]
    assert [one.pop("cache") for one in told] == ["miss", "hit"]
    assert told[0]["passages"] == told[1]["passages"] != []
    assert [one.data for one in before if one.name == "verdict"] == [one.data for one in after if one.name == "verdict"]


def test_one_wire_is_given_what_was_made_for_the_other(house: House) -> None:
    assert outcome(house.ask()) == "miss"
    chat = house.chat()
    assert outcome(chat) == "hit"
    assert chat.json()["choices"][0]["message"]["annotations"] != []
    assert chat.json()["usage"]["total_tokens"] == 0
    streamed = house.chat(stream=True)
    assert streamed.headers["x-twinpin-cache"] == "hit"
    told = chunks(streamed.content)
    assert told[-1] == "[DONE]"
    assert told[-2]["twinpin"]["cache"] == "hit"
    assert calls(house) == 1


def test_an_abstention_is_kept_as_well(house: House) -> None:
    question = "zxqv wvuq qqqz"
    assert asked_twice(house, question=question, caller="eve") == ("miss", "hit")
    assert house.ask(question, "eve").json()["status"] == "abstained"
    assert calls(house) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"question": f"{REFUND_QUESTION} Please."},
        {"filter": {"category": "policy"}},
        {"filter": {"updated_after": "2026-01-01"}},
        {"max_tokens": 50},
        {"response_format": {"type": "json_object"}},
        {"caller": "hanneke"},
    ],
    ids="-".join,
)
def test_whatever_decides_an_answer_makes_another_one(house: House, fields: dict[str, Any]) -> None:
    assert outcome(house.ask()) == "miss"
    assert outcome(house.ask(**fields)) == "miss"
    assert outcome(house.ask()) == "hit"


@pytest.mark.parametrize(
    "fields",
    [
        {"question": f"  {REFUND_QUESTION.replace(' ', '  ')} "},
        {"conversation": "c-1", "user": "u-1"},
        {"max_tokens": 96},
        {"max_tokens": 4_000},
        {"caller": "asker"},
    ],
    ids="-".join,
)
def test_what_decides_nothing_does_not(house: House, fields: dict[str, Any]) -> None:
    assert outcome(house.ask()) == "miss"
    assert outcome(house.ask(**fields)) == "hit"


def test_a_follow_up_is_another_question_after_other_turns(house: House) -> None:
    def told(*before: str) -> Response:
        turns = [{"role": "user", "content": one} for one in before]
        return house.post("/v1/answer", {"messages": [*turns, TURN]})

    assert [outcome(told(*before)) for before in ((), ("a",), ("b",), ("a", "b"), ("a",))] == [*["miss"] * 4, "hit"]
    assert outcome(house.ask()) == "hit", "the same question without turns"


def test_nobody_is_given_what_another_tenant_was_told(house: House) -> None:
    assert outcome(house.ask()) == "miss"
    house.model.says(f"{OTHER_REFUND[:-1]} [1].")
    other = house.ask(caller="oscar")
    assert outcome(other) == "miss"
    assert "90 days" in other.json()["answer"]
    assert "45 days" in house.ask().json()["answer"]


def test_colleagues_are_given_each_others_answers_unless_a_list_tells_them_apart(house: House) -> None:
    house.keys["ben"] = create_key(
        house.settings.keys, tenant="acme", subject="ben", groups=["staff", "lisbon"], scopes=["ask"]
    )
    assert (outcome(house.ask()), outcome(house.ask(caller="ben"))) == ("miss", "hit")
    kept_from_ben = {"allow": ["group:staff"], "deny": ["user:ben"]}
    assert put(house, "surprise.md", BADGE, access=kept_from_ben).status_code == 201
    assert (outcome(house.ask()), outcome(house.ask(caller="ben"))) == ("miss", "miss")
    assert (outcome(house.ask()), outcome(house.ask(caller="ben"))) == ("hit", "hit")
    before, ana, ben = (exchange.request.cache_salt for exchange in house.generator.exchanges)
    assert before == ana != ben


def test_any_change_of_the_tenants_documents_ends_what_was_kept(house: House) -> None:
    assert asked_twice(house) == ("miss", "hit")
    assert put(house, "front-desk.md", BADGE).status_code == 201
    assert asked_twice(house) == ("miss", "hit")
    assert put(house, "other.md", BADGE, "wim").status_code == 201
    assert outcome(house.ask()) == "hit", "another tenant's changes are none of theirs"


def test_who_may_not_read_a_passage_any_more_is_given_nothing_of_it(by_time: House) -> None:
    assert asked_twice(by_time) == ("miss", "hit")
    readers = {"allow": ["group:hr"], "deny": []}
    assert send(by_time, "PATCH", path("policies/refunds.md", "/access"), "wanda", readers).status_code == 200
    by_time.model.says("I do not know.")
    after = by_time.ask()
    assert outcome(after) == "miss"
    assert "45 days" not in after.text


def test_new_words_end_what_was_said_of_the_old_ones(by_time: House) -> None:
    assert asked_twice(by_time) == ("miss", "hit")
    # handed in by another source it would be refused: deleted first
    assert send(by_time, "DELETE", path("policies/refunds.md"), "wanda").status_code == 200
    assert outcome(by_time.ask()) == "miss"


def test_by_time_a_change_elsewhere_ends_nothing(by_time: House) -> None:
    assert asked_twice(by_time) == ("miss", "hit")
    assert put(by_time, "front-desk.md", BADGE).status_code == 201
    assert outcome(by_time.ask()) == "hit"


def test_other_versions_have_answers_of_their_own(house: House) -> None:
    assert outcome(house.ask()) == "miss"
    other = house.describe(pinned_manifest(answer_tokens=90))
    index = house.ask().json()["versions"]["index"]
    model = house.ask().json()["versions"]["model"]
    house.pin(Pin(index), Pin(other, previous=model))
    while house.ask().json()["versions"]["model"] != other:
        continue
    assert house.ask().json()["versions"] != model
    house.pin(Pin(index), Pin(model, previous=other))
    while house.ask().json()["versions"]["model"] != model:
        continue
    asked = calls(house)
    back = house.ask()
    assert (outcome(back), calls(house)) == ("hit", asked)
    assert back.json()["versions"]["generation"] == 3, "how it was asked for, and not how it was made"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (f"{REFUND} Refunds are paid in seashells by the board of directors.", "review"),
        (" ".join(["word"] * 200), "cut"),
    ],
)
def test_what_should_not_be_said_again_is_not_kept(house: House, said: str, why: str) -> None:
    house.model.says(said)
    assert asked_twice(house) == ("miss", "miss")
    assert calls(house) == 2
    assert house.count("twinpin_cache_writes_total", result=why) == 2


def test_what_failed_is_made_anew(house: House) -> None:
    house.model.script = Script(("Customers may", EngineAborted("scripted")))
    assert house.ask().status_code == 503
    house.model.says(f"{REFUND[:-1]} [1].")
    assert asked_twice(house) == ("miss", "hit")


@pytest.mark.parametrize(
    ("wish", "said", "after"),
    [
        ("no-store", "bypass", "hit"),
        ("no-cache", "miss", "hit"),
        ("max-age=0", "miss", "hit"),
        ("max-age=600", "hit", "hit"),
        ("private, No-Cache", "miss", "hit"),
        ("immutable=3, what", "hit", "hit"),
    ],
)
def test_a_request_may_wish_for_a_new_answer(house: House, wish: str, said: str, after: str) -> None:
    assert outcome(house.ask()) == "miss"
    wished = house.post("/v1/answer", {"question": REFUND_QUESTION}, **{"cache-control": wish})
    assert outcome(wished) == said
    assert outcome(house.ask()) == after


def test_a_request_may_wish_to_leave_nothing(house: House) -> None:
    for _ in range(2):
        left = house.post("/v1/answer", {"question": REFUND_QUESTION}, **{"cache-control": "no-store"})
        assert outcome(left) == "bypass"
    assert outcome(house.ask()) == "miss"
    assert house.count("twinpin_cache_entries") == 1


def test_an_answer_that_is_given_again_has_its_own_record_and_costs_nothing(house: House) -> None:
    ids = [house.ask().json()["id"] for _ in range(2)]
    records = [send(house, "GET", f"/v1/records/{one}", "root").json() for one in ids]
    assert [one["facts"]["cache"] for one in records] == ["miss", "hit"]
    assert records[0]["facts"]["cost"] > records[1]["facts"]["cost"] == 0
    assert records[1]["facts"]["prompt_tokens"] == 0
    assert records[0]["facts"]["outcome"] == records[1]["facts"]["outcome"] == "answered"
    assert records[0]["sources"] == records[1]["sources"] is not None
    assert records[0]["person"] == records[1]["person"]
    used = send(house, "GET", "/v1/usage", "ana").json()
    assert used is not None
    assert house.count("twinpin_answers_total") == 2
    assert house.count("twinpin_tokens_total", kind="prompt") == records[0]["facts"]["prompt_tokens"]
    assert house.count("twinpin_cache_answers_total", outcome="hit", reason="kept") == 1
    assert house.count("twinpin_cache_answers_total", outcome="miss", reason="absent") == 1


def test_an_erasure_lets_go_of_every_answer_of_the_tenant_and_says_so(house: House) -> None:
    house.ask()
    house.model.says(f"{VACATION[:-1]} [1].")
    house.ask("How many days of annual leave does every employee have?")
    house.model.says(f"{OTHER_REFUND[:-1]} [1].")
    house.ask(caller="oscar")
    assert house.count("twinpin_cache_entries") == 3
    receipt = send(house, "DELETE", f"{path('policies/refunds.md')}?erase=true", "wanda").json()
    (told,) = [one for one in receipt["receipt"]["stores"] if one["store"] == "answer cache"]
    assert told["done"] == "all kept answers of the tenant dropped"
    assert (told["scanned"], told["found"]) == (0, 0), "nothing of the tenant's is left to look through"
    assert house.count("twinpin_cache_entries") == 1
    assert PAYOUT not in house.ask().text


def test_erasing_a_person_lets_go_of_the_tenants_answers(house: House) -> None:
    house.ask()
    assert send(house, "DELETE", "/v1/records?tenant=acme&subject=ana", "root").status_code == 200
    assert house.count("twinpin_cache_entries") == 0


def test_without_a_cache_every_answer_is_made(tmp_path: Path, logged: list[structlog.typing.EventDict]) -> None:
    for house in opened(make_house(tmp_path)):
        assert asked_twice(house) == ("bypass", "bypass")
        assert calls(house) == 2


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"cache": "redis"}, "TWINPIN_CACHE_SECRET is not set"),
        ({"cache": "redis", "cache_secret": "short"}, "TWINPIN_CACHE_SECRET has less"),
        ({"cache": "redis", "cache_secret": "s" * 32}, "TWINPIN_REDIS_URL"),
        ({"cache": "off", "cache_secret": "short"}, "TWINPIN_CACHE_SECRET has less"),
    ],
)
def test_answers_leave_the_process_only_sealed_and_only_for_somewhere(
    tmp_path: Path, settings: dict[str, Any], missing: str
) -> None:
    house = make_house(tmp_path, **settings)
    with pytest.raises(CacheRefused, match=missing), TestClient(create_app(house.settings, opening(house))):
        pass
