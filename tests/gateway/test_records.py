"""Every answer leaves its record: what is in it, who may see it, and what happens when it cannot be kept."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from httpx2 import Response
from starlette.testclient import TestClient

from deploy.keys import create_key
from gateway.app import create_app
from serving.records import question_digest
from serving.redaction import redact
from tests.gateway.house import REFUND, REFUND_QUESTION, House, events, make_house, opening


@contextmanager
def open_house(folder: Path, **settings: Any) -> Iterator[House]:
    """A house with other settings; `root` may see all records."""
    made = make_house(folder, **settings)
    made.keys["root"] = create_key(made.settings.keys, tenant="acme", subject="root", groups=[], scopes=["admin"])
    made.model.says(f"{REFUND[:-1]} [1].")
    with reopened(made):
        yield made


@contextmanager
def reopened(house: House) -> Iterator[House]:
    """Another process on the same data."""
    house.app = create_app(house.settings, opening(house))
    with TestClient(house.app) as client:
        house.client = client
        yield house


@pytest.fixture
def house(tmp_path: Path, logged: list[structlog.typing.EventDict]) -> Iterator[House]:
    """Words are kept, redacted."""
    with open_house(tmp_path, record_content="redacted") as made:
        yield made


@pytest.fixture
def required(tmp_path: Path, logged: list[structlog.typing.EventDict]) -> Iterator[House]:
    """No answer without its record, and room for one only."""
    with open_house(tmp_path, audit="required", record_spool_bytes=70_000) as made:
        yield made


def record(house: House, answer: str) -> dict[str, Any]:
    response = house.client.get(f"/v1/records/{answer}", headers=house.headers("root"))
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def kept(house: House) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.client.get("/v1/records", headers=house.headers("root")).json()["data"]
    return found


def test_a_record_says_who_asked_what_was_found_and_which_versions_answered(house: House) -> None:
    asked = house.ask(user="u-42", conversation="c-1", filter={"category": ["policy"]}).json()
    found = record(house, asked["id"])
    assert (found["kind"], found["tenant"], found["subject"]) == ("answer", "acme", "ana")
    person = found["person"]
    assert person["credential"] == f"key:{house.keys['ana'][:10]}"
    assert (person["user"], person["conversation"]) == ("u-42", "c-1")
    assert person["question_digest"] == question_digest(REFUND_QUESTION)
    assert person["narrowed"]["category"] == ["policy"]
    facts = found["facts"]
    told = {name: facts[name] for name in ("index", "model", "generation", "assignment", "fallback_for")}
    assert told == asked["versions"]
    assert (facts["outcome"], facts["citations"], facts["unsupported"]) == ("answered", 1, 0)
    assert facts["cost"] == asked["usage"]["cost"]
    assert facts["timings"]["total"] == pytest.approx(asked["timings"]["total"], abs=0.001)
    cited, place = asked["citations"][0], found["sources"]["citations"][0]
    assert [place[name] for name in ("document", "version", "quote_digest")] == [
        cited[name] for name in ("document", "version", "quote_digest")
    ]
    best = found["sources"]["passages"][0]
    assert (best["document"], best["version"]) == (cited["document"], cited["version"])
    assert best["dense"] > 0
    assert best["rerank"] is None
    assert found["words"] == {
        "question": REFUND_QUESTION,
        "history": [],
        "searched_for": None,
        "answer": f"{REFUND[:-1]} [1].",
        "quotes": [REFUND],
        "response_format": None,
    }


def test_words_are_redacted_wherever_they_stand(house: House) -> None:
    house.model.says(f"{REFUND[:-1]} [1], says hr@acme.example.")
    before = [{"role": "user", "content": "I am ana@acme.example"}, {"role": "assistant", "content": "Hello"}]
    question = {"role": "user", "content": f"{REFUND_QUESTION} My card is 4111 1111 1111 1111."}
    asked = house.post("/v1/answer", {"messages": [*before, question]}).json()
    words = record(house, asked["id"])["words"]
    assert words["question"] == f"{REFUND_QUESTION} My card is [card]."
    assert words["history"] == [["user", "I am [email]"], ["assistant", "Hello"]]
    assert words["answer"].endswith("says [email].")


def test_without_content_no_word_of_anybody_is_kept(tmp_path: Path) -> None:
    with structlog.testing.capture_logs(), open_house(tmp_path) as house:
        house.ask("Within how many days may Xanthippe ask for a refund?")
        assert kept(house)[0]["words"] == {}
    held = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "catalog.db-shm"]
    assert {"catalog.db", "head.jws"} <= {path.name for path in held}
    assert [path.name for path in held if b"Xanthippe" in path.read_bytes()] == []
    found = b"".join(path.read_bytes() for path in held if path.name.startswith("catalog.db"))
    assert b'"outcome":"' in found, "the control: records are in clear"


def abstains(house: House) -> Response:
    return house.ask("What is the capital of Peru?", filter={"category": ["none"]})


def streams(house: House) -> Response:
    return house.ask(stream=True)


def chats(house: House) -> Response:
    return house.chat()


def fails(house: House) -> Response:
    house.model.fault = TimeoutError()
    return house.ask()


@pytest.mark.parametrize(
    ("how", "outcome"), [(abstains, "abstained"), (streams, "answered"), (chats, "answered"), (fails, "failed")]
)
def test_every_end_leaves_one_record(house: House, how: Callable[[House], Response], outcome: str) -> None:
    how(house)
    assert [one["facts"]["outcome"] for one in kept(house)] == [outcome]


def test_records_are_for_administrators(house: House) -> None:
    asked = house.ask().json()["id"]
    for path in (f"/v1/records/{asked}", "/v1/records"):
        assert house.client.get(path, headers=house.headers("ana")).status_code == 403
    missing = house.client.get("/v1/records/ans_0", headers=house.headers("root"))
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


def test_records_are_listed_in_pages(house: House) -> None:
    ids = [house.ask(caller=caller).json()["id"] for caller in ("ana", "oscar", "ana", "hanneke")]
    found, query = [], "limit=3"
    while query:
        page = house.client.get(f"/v1/records?{query}", headers=house.headers("root")).json()
        found += [one["id"] for one in page["data"]]
        query = page["next"] and f"limit=3&after={page['next']}"
    assert found == ids
    only = house.client.get("/v1/records?tenant=other&kind=answer", headers=house.headers("root")).json()["data"]
    assert [one["id"] for one in only] == [ids[1]]
    late = house.client.get("/v1/records?since=2999-01-01T00:00:00Z", headers=house.headers("root")).json()
    assert late == {"object": "list", "data": [], "next": None}
    for wrong in ("after=x", "since=yesterday", "kind=none"):
        assert house.client.get(f"/v1/records?{wrong}", headers=house.headers("root")).status_code == 422


def test_a_record_is_durable_before_the_answer_is_acknowledged(
    required: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No verdict, no usage and no `done` before the disk has it."""
    order: list[str] = []
    synced = os.fdatasync

    def told(descriptor: int) -> None:
        synced(descriptor)
        order.append("durable")

    monkeypatch.setattr(os, "fdatasync", told)
    with required.client.stream(
        "POST", "/v1/answer", json={"question": REFUND_QUESTION, "stream": True}, headers=required.headers("ana")
    ) as response:
        body = b"".join(response.iter_bytes())
    assert [one.name for one in events(body)][-3:] == ["verdict", "usage", "done"]
    assert order == ["durable"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_disk_that_fails_gives_no_answer(required: House, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fails)
        broken.setattr(os, "fsync", fails)
        response = required.ask(stream=stream)
        if stream:
            told = events(response.content)
            assert [one.name for one in told if one.name != "delta"] == ["sources", "error"]
            assert told[-1].data["error"]["code"] == "records_unavailable"
        else:
            assert (response.status_code, response.json()["error"]["code"]) == (503, "records_unavailable")
        asked = len(required.generator.exchanges)
        refused = required.ask()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "records_unavailable")
        assert len(required.generator.exchanges) == asked, "nothing was spent"
        assert "retry-after" in refused.headers
        counted = required.metrics()
        assert (counted["twinpin_records_refused_total"], counted["twinpin_records_dropped_total"]) == (2, 0)
        ready = required.client.get("/readyz").json()
        assert ready["checks"]["records"] == "records_unavailable"
    until(lambda: required.ask().status_code == 200)


def until(holds: Callable[[], bool]) -> None:
    for _ in range(100):
        if holds():
            return
        asyncio.run(asyncio.sleep(0.05))
    raise AssertionError("not within five seconds")


def test_a_full_spool_refuses_where_records_are_required(required: House) -> None:
    """SQL takes nothing, so that the spool fills; there is room for one answer at a time."""
    portal = required.client.portal
    assert portal is not None
    records = required.app.state.parts.records
    records.book.append = lost
    answered = 0
    while required.ask().status_code == 200:
        answered += 1
    assert 1 <= answered < 20
    assert required.ask().json()["error"]["code"] == "records_unavailable"
    assert required.metrics()["twinpin_record_spool_bytes"] > 0
    del records.book.append
    until(lambda: required.ask().status_code == 200)
    assert len(kept(required)) >= answered + 1


async def lost(records: object) -> None:
    from retrieval.errors import CatalogError

    raise CatalogError("the catalog database does not answer")


def test_best_effort_answers_and_tells_what_it_lost(
    tmp_path: Path, logged: list[structlog.typing.EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with open_house(tmp_path) as house, monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fails)
        broken.setattr(os, "fsync", fails)
        asked = [house.ask() for _ in range(3)]
        until(lambda: house.metrics()["twinpin_records_dropped_total"] == 3)
        assert house.metrics()["twinpin_records_refused_total"] == 0
        assert [one["event"] for one in logged if one["log_level"] == "error"][:1] == ["record_spool_failed"]
        dropped = [one for one in logged if one["event"] == "record_dropped"]
        assert {one["id"] for one in dropped} == {one.json()["id"] for one in asked}, "the first of them, too"


@pytest.mark.parametrize("stream", [False, True])
def test_some_tenants_get_no_answer_without_its_record_while_all_others_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with open_house(tmp_path, audit_tenants="other, absent") as house, monkeypatch.context() as broken:
        assert [house.ask(caller=one, stream=stream).status_code for one in ("ana", "oscar")] == [200, 200]
        broken.setattr(os, "fdatasync", fails)
        broken.setattr(os, "fsync", fails)
        cut = house.ask(caller="oscar", stream=stream)
        assert "records_unavailable" in cut.text
        assert (cut.status_code, "verdict" in cut.text) == ((200, False) if stream else (503, False))
        asked = len(house.generator.exchanges)
        assert house.ask(caller="oscar", stream=stream).status_code == 503
        assert len(house.generator.exchanges) == asked, "nothing was spent"
        assert house.ask(caller="ana", stream=stream).status_code == 200
        until(lambda: house.metrics()["twinpin_records_dropped_total"] == 1)
        assert house.metrics()["twinpin_records_refused_total"] == 2
        assert house.client.get("/readyz").status_code == 200


def test_what_was_spooled_is_moved_by_the_next_gateway(tmp_path: Path) -> None:
    with structlog.testing.capture_logs():
        with open_house(tmp_path) as house:
            house.app.state.parts.records.book.append = lost
            ids = [house.ask().json()["id"] for _ in range(3)]
        with reopened(house):
            assert [one["id"] for one in kept(house)] == ids


def test_a_person_is_erased_by_administrators(house: House) -> None:
    ids = {caller: house.ask(caller=caller).json()["id"] for caller in ("ana", "hanneke", "oscar")}
    path = "/v1/records?tenant=acme&subject=ana"
    assert house.client.delete(path, headers=house.headers("ana")).status_code == 403
    done = house.client.delete(path, headers=house.headers("root")).json()
    assert (done["object"], done["records"]) == ("records.erased", 1)
    found = record(house, ids["ana"])
    assert (found["subject"], found["person"], found["words"]) == (None, {}, {})
    assert sorted(found["erased"]) == ["person", "words"]
    assert found["facts"]["outcome"] == "answered"
    assert all(record(house, ids[other])["words"] for other in ("hanneke", "oscar"))
    assert house.client.delete("/v1/records?subject=ana", headers=house.headers("root")).status_code == 422


def test_long_histories_are_redacted_beside_the_loop(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    on: list[int] = []

    def noted(text: str) -> str:
        on.append(threading.get_ident())
        return redact(text)

    monkeypatch.setattr("gateway.records.recording.redact", noted)
    house.ask()
    loop = set(on)
    on.clear()
    turns = [{"role": "user", "content": "4-" * 10_000}, {"role": "assistant", "content": "It is 45 days."}]
    body = {"messages": [*turns, {"role": "user", "content": REFUND_QUESTION}]}
    assert house.post("/v1/answer", body).status_code == 200
    assert on
    assert loop.isdisjoint(on)
