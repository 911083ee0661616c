"""More is asked than can be answered in time: who is refused, at what cost, and when a request is over for good."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response

from serving.scripted_server import Behaviour
from tests.engines import Engines, running_engines
from tests.gateway.house import REFUND_QUESTION, House, events, make_house
from tests.gateway.issuer import Issuer, entry, served, write_identity
from tests.gateway.test_engines import STABLE, gateway, until

SLOWLY, PIECES = 0.1, 10


@contextmanager
def slow_engine(folder: Path, delay: float = SLOWLY, **settings: Any) -> Iterator[tuple[House, Engines, int]]:
    """A gateway whose engine takes a second for an answer."""
    with running_engines() as engines:
        port = engines.start(Behaviour(STABLE.served_name, tokens=PIECES, delay=delay))
        house = make_house(folder, engine_url=f"http://127.0.0.1:{port}", **settings)
        with gateway(house):
            yield house, engines, port


def together(house: House, callers: list[str]) -> list[Response]:
    """They ask at once."""
    with ThreadPoolExecutor(len(callers)) as threads:
        return list(threads.map(lambda caller: house.ask(caller=caller), callers))


def test_who_would_wait_too_long_is_told_so_before_anything_is_spent(tmp_path: Path) -> None:
    with slow_engine(tmp_path, engine_connections=2, metric_tenants="acme") as (house, _, _):
        answers = together(house, ["ana"] * 6)
        assert sorted(one.status_code for one in answers) == [200, 200, 429, 429, 429, 429]
        for refused in (one for one in answers if one.status_code == 429):
            assert refused.json()["error"]["code"] == "overloaded"
            assert 1 <= int(refused.headers["retry-after"]) <= 3
        assert house.count("twinpin_overload_refusals_total", priority="interactive") == 4
        assert house.count("twinpin_answers_total") == 2, "those who were refused left no record"
        assert house.count("twinpin_stage_seconds_count", stage="retrieval") == 2
        assert house.client.get("/v1/usage", headers=house.headers("ana")).json()["days"][0]["requests"] == 2
        assert together(house, ["ana"] * 2)[0].status_code == 200, "places were given back"


def test_searches_are_not_refused_for_the_engine(tmp_path: Path) -> None:
    with slow_engine(tmp_path, engine_connections=1) as (house, _, _), ThreadPoolExecutor(1) as threads:
        asked = threads.submit(house.ask)
        until(lambda: house.count("twinpin_answers_in_flight") == 1)
        assert house.ask().status_code == 429
        assert house.search().status_code == 200
        assert asked.result().status_code == 200


def test_batches_leave_room_for_those_who_wait(tmp_path: Path) -> None:
    limits = tmp_path / "limits.yaml"
    limits.write_text("tenants: {other: {priority: batch}}", "utf-8")
    with slow_engine(tmp_path, engine_connections=4, limits=limits) as (house, _, _):
        batch = together(house, ["oscar"] * 4)
        assert sorted(one.status_code for one in batch) == [200, 200, 200, 429]
        assert house.count("twinpin_overload_refusals_total", priority="batch") == 1
        assert [one.status_code for one in together(house, ["ana"] * 4)] == [200] * 4


def test_an_engine_that_pushes_back_is_429_and_no_outage(tmp_path: Path) -> None:
    with running_engines() as engines:
        behaviour = Behaviour(STABLE.served_name, tokens=PIECES, delay=SLOWLY, slots=1, queue=0)
        house = make_house(tmp_path, engine_url=f"http://127.0.0.1:{engines.start(behaviour)}")
        with gateway(house):
            answers = together(house, ["ana"] * 3)
            assert sorted(one.status_code for one in answers) == [200, 429, 429]
            assert {one.json()["error"]["code"] for one in answers if one.status_code == 429} == {"overloaded"}
            assert house.count("twinpin_answers_limit") < 16


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_may_have_less_time_and_the_engine_is_free_when_it_is_over(tmp_path: Path, stream: bool) -> None:
    with slow_engine(tmp_path) as (house, engines, port):
        began = time.monotonic()
        asked = {"question": REFUND_QUESTION, "stream": stream}
        told = house.post("/v1/answer", asked, **{"x-request-timeout": "0.5"})
        assert 0.4 < time.monotonic() - began < 2.0
        if stream:
            *said, end = events(told.content)
            assert [one.name for one in said][:2] == ["sources", "delta"]
            assert (end.name, end.data["error"]["code"]) == ("error", "deadline_exceeded")
        else:
            assert (told.status_code, told.json()["error"]["code"]) == (504, "deadline_exceeded")
        until(lambda: engines.running(port) == 0)
        assert house.ask().status_code == 200, "one who is in a hurry takes the engine from nobody"


def test_a_callers_time_runs_while_their_issuer_is_asked(tmp_path: Path) -> None:
    with served(Issuer(wait=5.0)) as issuer:
        identity = entry(issuer, scopes={"default": ["ask"]})
        house = make_house(tmp_path, identity=write_identity(tmp_path / "identity.yaml", identity))
        with gateway(house):
            began = time.monotonic()
            headers = {"authorization": f"Bearer {issuer.token()}", "x-request-timeout": "0.5"}
            told = house.client.post("/v1/answer", json={"question": REFUND_QUESTION}, headers=headers)
            assert (told.status_code, told.json()["error"]["code"]) == (504, "deadline_exceeded")
            assert time.monotonic() - began < 4.0


def test_a_caller_has_no_more_time_than_the_deployment_gives(tmp_path: Path) -> None:
    with slow_engine(tmp_path, answer_seconds=0.5) as (house, _, _):
        told = house.post("/v1/answer", {"question": REFUND_QUESTION}, **{"x-request-timeout": "60"})
        assert told.status_code == 504


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "1e3", "0.0", "", "1234567"])
def test_what_is_no_time_is_refused(house: House, seconds: str) -> None:
    for path, body in (("/v1/answer", {"question": REFUND_QUESTION}), ("/v1/search", {"query": REFUND_QUESTION})):
        told = house.post(path, body, **{"x-request-timeout": seconds})
        assert (told.status_code, told.json()["error"]["param"]) == (422, "x-request-timeout")


def test_an_engine_that_is_busy_is_ready(tmp_path: Path) -> None:
    with running_engines() as engines:
        behaviour = Behaviour(STABLE.served_name, tokens=PIECES, delay=0.3, slots=1, queue=0)
        house = make_house(tmp_path, engine_url=f"http://127.0.0.1:{(port := engines.start(behaviour))}")
        with gateway(house), ThreadPoolExecutor(1) as threads:
            asked = threads.submit(house.ask)
            until(lambda: engines.running(port) == 1)
            assert house.ask().status_code == 429
            ready = house.client.get("/readyz")
            assert (ready.status_code, ready.json()["checks"]["engine"]) == (200, "ready")
            assert asked.result().status_code == 200


def test_answers_that_are_kept_are_given_however_busy_the_engine_is(tmp_path: Path) -> None:
    with (
        slow_engine(tmp_path, engine_connections=1, cache="process") as (house, engines, port),
        ThreadPoolExecutor(1) as threads,
    ):
        until(lambda: house.ask().headers.get("x-twinpin-cache") == "hit")
        answers = house.count("twinpin_answers_total")
        other = "How many days of annual leave does every employee have?"
        asked = threads.submit(house.ask, other)
        until(lambda: engines.running(port) == 1)
        assert house.ask("Who is paid how much?").status_code == 429
        kept = house.ask()
        assert (kept.status_code, kept.headers["x-twinpin-cache"]) == (200, "hit")
        assert asked.result().status_code == 200
        assert house.count("twinpin_answers_total") == answers + 2, "those who were refused left no record"
