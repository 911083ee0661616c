"""Erasing a document reaches what was answered from it: no byte of it is left, and the chain of records holds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from deploy.keys import create_key
from retrieval.records.store import RecordStore, known_heads
from tests.gateway.house import REFUND, House, make_house
from tests.gateway.librarians import hire, path, put, send
from tests.gateway.test_live import serving, until
from tests.gateway.test_records import kept, lost, open_house, record
from tests.proofs.residue import residue

WORDS = "Zeppelins moor at the heliport on alternate Thursdays."
QUESTION = "When do zeppelins moor at the heliport?"
GONE = {"alternate Thursdays", "Zeppelins moor"}


@pytest.fixture
def house(tmp_path: Path, logged: list[structlog.typing.EventDict]) -> Iterator[House]:
    with open_house(tmp_path, record_content="redacted") as made:
        hire(made)
        scopes = ["ask", "search", "feedback", "review"]
        made.keys["fay"] = create_key(made.settings.keys, tenant="acme", subject="fay", groups=["staff"], scopes=scopes)
        put(made, "airships.md", WORDS)
        yield made


def answered(house: House) -> str:
    house.model.says(f"{WORDS[:-1]} [1].")
    answer = house.ask(QUESTION, "fay").json()
    assert answer["citations"][0]["document"] == "airships.md"
    identified: str = answer["id"]
    return identified


def erase(house: House) -> dict[str, object]:
    response = send(house, "DELETE", f"{path('airships.md')}?erase=true", "wanda")
    assert response.status_code == 200, response.text
    stores = {one["store"]: one for one in response.json()["receipt"]["stores"]}
    found: dict[str, object] = stores["records"]
    return found


def whole(house: House) -> bool:
    """Whether the chain is as it was written."""
    store: RecordStore = house.app.state.parts.records
    portal = house.client.portal
    assert portal is not None

    async def verified() -> bool:
        _, fault = await store.book.verify(await known_heads(store))
        return fault is None

    return portal.call(verified)


def test_no_byte_is_left_in_records_feedback_reviews_and_the_spool(house: House, tmp_path: Path) -> None:
    about = answered(house)
    told = {"answer": about, "rating": "down", "failure": "hallucination", "comment": f"It says {WORDS}"}
    assert house.post("/v1/feedback", told, "fay").status_code == 200
    decided = {"answer": about, "decision": "correct", "correction": f"Not so: {WORDS}"}
    assert house.post("/v1/review", decided, "fay").status_code == 200
    house.model.says(f"{REFUND[:-1]} [1].")
    quoting = house.ask(f"Within how many days is a refund? I read: {WORDS}", filter={"category": ["policy"]}).json()
    other = house.ask().json()["id"]
    assert len(kept(house)) == 5
    assert residue(tmp_path, GONE) != [], "the control: the words are there before"
    version = record(house, about)["sources"]["passages"][0]["version"]
    last = answered(house)

    receipt = erase(house)

    assert (receipt["found"], "records erased" in str(receipt["done"])) == (0, True)
    assert "twinpin records export" in str(receipt["done"]), "what cannot be reached is named"
    assert residue(tmp_path, {*GONE, version}) == []
    for erased in (about, last):
        found = record(house, erased)
        assert (found["sources"], found["words"], sorted(found["erased"])) == ({}, {}, ["sources", "words"])
        assert (found["facts"]["outcome"], found["subject"]) == ("answered", "fay")
    assert [one["words"] for one in record(house, about)["about"]] == [{}, {}]
    assert record(house, quoting["id"])["words"] == {}
    assert record(house, other)["words"]["answer"] == f"{REFUND[:-1]} [1]."
    assert whole(house)


def test_an_answer_that_was_under_way_comes_without_words(house: House, tmp_path: Path) -> None:
    """Its record is in the spool, of which SQL takes nothing until the document is erased."""
    store: RecordStore = house.app.state.parts.records
    original = store.book.append
    store.book.append = lost  # type: ignore[method-assign,assignment]
    about = answered(house)
    refused = send(house, "DELETE", f"{path('airships.md')}?erase=true", "wanda")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "erasure_incomplete")
    store.book.append = original  # type: ignore[method-assign]
    asyncio.run(asyncio.sleep(0))
    erase(house)
    assert record(house, about)["words"] == {}
    assert residue(tmp_path, GONE) == []
    assert whole(house)


async def test_an_answer_under_way_while_its_person_is_erased_comes_without_them(tmp_path: Path) -> None:
    house = make_house(tmp_path, record_content="redacted")
    for name, scopes in (("fay", ["ask"]), ("root", ["admin"])):
        house.keys[name] = create_key(house.settings.keys, tenant="acme", subject=name, groups=["staff"], scopes=scopes)
    async with serving(house) as live:
        house.model.gate = asyncio.Event()
        asking = asyncio.create_task(live.ask("fay", user="fay-of-the-app"))
        await until(lambda: len(house.generator.exchanges) == 1)
        root = house.headers("root")
        gone = await live.client.delete("/v1/records", params={"tenant": "acme", "subject": "fay"}, headers=root)
        assert (gone.status_code, gone.json()["records"]) == (200, 0)
        house.model.gate.set()
        answers = [(await asking).json()["id"], (await live.ask("fay")).json()["id"]]
        first, second = [(await live.client.get(f"/v1/records/{one}", headers=root)).json() for one in answers]
        assert (first["subject"], first["person"], first["words"]) == (None, {}, {})
        assert sorted(first["erased"]) == ["person", "words"]
        assert first["facts"]["outcome"] == "answered"
        assert (second["subject"], second["erased"]) == ("fay", []), "who comes again is somebody again"
        store = house.app.state.parts.records
        assert (await store.book.verify(await known_heads(store)))[1] is None
    assert residue(tmp_path, {"fay-of-the-app"}) == []


def test_another_tenant_that_said_the_same_keeps_it(house: House) -> None:
    asked = house.ask(f"Is it true? {WORDS}", "oscar").json()["id"]
    answered(house)
    erase(house)
    assert WORDS in record(house, asked)["words"]["question"]
    assert whole(house)
