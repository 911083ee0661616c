"""Over a real socket: questions that are the same at once are answered once, whoever leaves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.keys import create_key
from serving.errors import EngineAborted
from serving.scripted import Script
from tests.gateway.house import REFUND, REFUND_QUESTION, events, make_house
from tests.gateway.librarians import BADGE
from tests.gateway.test_live import Live, serving, until

CROWD = 32


@pytest.fixture
async def live(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    """A gateway that has learnt already how many answers its engine takes; its settings are the test's."""
    monkeypatch.setattr("gateway.limits.concurrency._FIRST", 2 * CROWD)
    settings = getattr(request, "param", {})
    house = make_house(tmp_path, max_concurrency=2 * CROWD, cache="process", **settings)
    house.keys["root"] = create_key(house.settings.keys, tenant="acme", subject="root", groups=[], scopes=["admin"])
    async with serving(house) as running:
        running.house.model.gate = asyncio.Event()
        yield running


def at_once(live: Live, number: int, **fields: Any) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(live.ask(**fields)) for _ in range(number)]


async def flying(live: Live, number: int) -> None:
    await until(lambda: live.house.limits.in_flight == number and len(live.house.generator.exchanges) > 0)


def go_on(live: Live) -> None:
    assert live.house.model.gate is not None
    live.house.model.gate.set()


async def facts(live: Live, answer: str) -> dict[str, Any]:
    told = await live.client.get(f"/v1/records/{answer}", headers=live.house.headers("root"))
    found: dict[str, Any] = told.json()["facts"]
    return found


async def test_a_crowd_that_asks_the_same_makes_one_call_to_the_model(live: Live) -> None:
    asking = [*at_once(live, CROWD // 2), *at_once(live, CROWD // 2, stream=True)]
    await flying(live, CROWD)
    go_on(live)
    answers = await asyncio.gather(*asking)
    assert [one.status_code for one in answers] == [200] * CROWD
    assert len(live.house.generator.exchanges) == 1
    assert sorted(one.headers["x-twinpin-cache"] for one in answers) == [*["hit"] * (CROWD - 1), "miss"]
    told = [one.json() for one in answers[: CROWD // 2]]
    streamed = [events(one.content) for one in answers[CROWD // 2 :]]
    said = {one["answer"] for one in told}
    said |= {"".join(event.data["text"] for event in one if event.name == "delta") for one in streamed}
    assert said == {f"{REFUND[:-1]} [1]."}
    records = [await facts(live, one["id"]) for one in told]
    records += [await facts(live, one[0].data["id"]) for one in streamed]
    assert sorted(one["cost"] > 0 for one in records) == [*[False] * (CROWD - 1), True]
    assert {one["outcome"] for one in records} == {"answered"}
    assert (await live.ask()).headers["x-twinpin-cache"] == "hit"


async def test_who_leaves_stops_nobody_and_who_stays_pays(live: Live) -> None:
    (first,) = at_once(live, 1)
    await flying(live, 1)
    others = at_once(live, 3)
    await until(lambda: live.house.limits.in_flight == 4)
    first.cancel()
    others[2].cancel()
    await until(lambda: live.house.limits.in_flight == 2)
    go_on(live)
    answers = await asyncio.gather(*others[:2])
    assert [one.json()["answer"] for one in answers] == [f"{REFUND[:-1]} [1]."] * 2
    assert sorted(one.json()["usage"]["cost"] > 0 for one in answers) == [False, True]
    (exchange,) = live.house.generator.exchanges
    assert not exchange.left_early


async def test_the_engine_is_free_as_soon_as_nobody_wants_the_answer(live: Live) -> None:
    asking = at_once(live, 5)
    await flying(live, 5)
    for one in asking[1:]:
        one.cancel()
    await until(lambda: live.house.limits.in_flight == 1)
    (exchange,) = live.house.generator.exchanges
    assert exchange.running, "the control: somebody wants it"
    asking[0].cancel()
    await until(lambda: not exchange.running)
    assert exchange.left_early
    await until(lambda: live.house.limits.in_flight == 0)
    go_on(live)
    assert (await live.ask()).headers["x-twinpin-cache"] == "miss", "what was given up is not kept"


async def test_what_fails_fails_for_all_and_is_not_kept(live: Live) -> None:
    live.house.model.script = Script(("Customers may", EngineAborted("scripted")))
    asking = [*at_once(live, 3), *at_once(live, 2, stream=True)]
    await flying(live, 5)
    go_on(live)
    answers = await asyncio.gather(*asking)
    assert [one.status_code for one in answers[:3]] == [503] * 3
    assert all(events(one.content)[-1].name == "error" for one in answers[3:])
    assert len(live.house.generator.exchanges) == 1
    live.house.model.says(REFUND)
    assert (await live.ask()).headers["x-twinpin-cache"] == "miss"


async def test_others_who_ask_the_same_do_not_share(live: Live) -> None:
    asking = [*at_once(live, 2), *at_once(live, 2, caller="hanneke"), *at_once(live, 2, caller="oscar")]
    await until(lambda: len(live.house.generator.exchanges) == 3 and live.house.limits.in_flight == 6)
    go_on(live)
    answers = await asyncio.gather(*asking)
    assert [one.headers["x-twinpin-cache"] for one in answers] == ["miss", "hit"] * 3


@pytest.mark.parametrize("live", [{"cache_freshness": "ttl"}], indirect=True)
async def test_colleagues_whom_a_list_tells_apart_meanwhile_do_not_share(live: Live) -> None:
    """What is found for the one from then on is not what would be found for the other."""
    (first,) = at_once(live, 1)
    await flying(live, 1)
    (colleague,) = at_once(live, 1, caller="asker")
    await until(lambda: live.house.limits.in_flight == 2)
    assert len(live.house.generator.exchanges) == 1, "the control: they share"
    secret = {"text": BADGE, "access": {"allow": ["group:staff"], "deny": ["user:ana"]}}
    told = await live.client.put("/v1/documents/badge.md?tenant=acme", json=secret, headers=live.house.headers("root"))
    assert told.status_code == 201
    (late,) = at_once(live, 1, caller="asker")
    await until(lambda: len(live.house.generator.exchanges) == 2)
    go_on(live)
    answers = await asyncio.gather(first, colleague, late)
    assert [one.headers["x-twinpin-cache"] for one in answers] == ["miss", "hit", "miss"]
    again = [await live.ask(caller=caller) for caller in ("ana", "asker")]
    assert [one.headers["x-twinpin-cache"] for one in again] == ["miss", "miss"], "neither was kept for all of them"


async def test_a_wish_for_a_new_answer_is_not_given_one_that_is_on_its_way(live: Live) -> None:
    (first,) = at_once(live, 1)
    await flying(live, 1)
    wished = asyncio.create_task(
        live.client.post(
            "/v1/answer",
            json={"question": REFUND_QUESTION},
            headers={**live.house.headers("ana"), "cache-control": "no-cache"},
        )
    )
    await until(lambda: len(live.house.generator.exchanges) == 2)
    (third,) = at_once(live, 1)
    await until(lambda: live.house.limits.in_flight == 3)
    go_on(live)
    told = [one.headers["x-twinpin-cache"] for one in await asyncio.gather(first, wished, third)]
    assert told == ["miss", "miss", "hit"]
    assert len(live.house.generator.exchanges) == 2


async def test_who_is_in_a_hurry_hurries_nobody_else(live: Live) -> None:
    hurried = asyncio.create_task(
        live.client.post(
            "/v1/answer",
            json={"question": REFUND_QUESTION},
            headers={**live.house.headers("ana"), "x-request-timeout": "0.5"},
        )
    )
    await flying(live, 1)
    (patient,) = at_once(live, 1)
    late = await hurried
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert late.json()["error"]["message"].startswith("the model did not answer in time"), "finding had ended"
    go_on(live)
    answer = await patient
    assert (answer.status_code, answer.headers["x-twinpin-cache"]) == (200, "hit")
    assert answer.json()["usage"]["cost"] > 0
    assert len(live.house.generator.exchanges) == 1
