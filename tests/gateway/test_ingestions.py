"""The queue: what was accepted is taken in, whatever happens to the documents beside it or to the process."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.app import create_app
from gateway.documents.ingesting import Intake
from retrieval.catalog import Catalog
from retrieval.documents import Documents, Outcome
from retrieval.errors import StoreError
from retrieval.newdocument import NewDocument
from retrieval.sql.ingestions import Ingestions
from tests.gateway.house import House, make_house, opening
from tests.gateway.librarians import BADGE, LANYARD, STAFF, found, hire, path, put, send, texts

BROKEN = {"name": "broken.pdf", "content": "JVBERi0xLjc="}


@pytest.fixture
def house(house: House) -> House:
    return hire(house)


def accept(house: House, documents: Sequence[Mapping[str, Any]], caller: str = "wanda") -> str:
    """Hand documents over; the ingestion's id."""
    many = [{"access": STAFF, **one} for one in documents]
    response = send(house, "POST", "/v1/documents", caller, {"documents": many})
    assert response.status_code == 202, response.text
    assert (response.json()["object"], response.json()["documents"]) == ("ingestion", len(documents))
    return str(response.json()["id"])


def ended(house: House, ingestion: str, caller: str = "wanda") -> dict[str, Any]:
    """Its progress, once it is done."""
    for _ in range(500):
        progress: dict[str, Any] = send(house, "GET", f"/v1/ingestions/{ingestion}", caller).json()
        if progress["state"] == "done":
            return progress
        time.sleep(0.02)
    pytest.fail("the ingestion never ended")


def test_a_bad_document_holds_up_none_of_the_good_ones(house: House) -> None:
    put(house, "foreign.md", "Somebody else wrote this.", origin="handbook")
    ingestion = accept(
        house,
        [
            {"id": "one.md", "text": BADGE},
            {"id": "broken.pdf", "file": BROKEN},
            {"id": "foreign.md", "text": LANYARD},
            {"id": "itself.md", "text": LANYARD, "supersedes": "itself.md"},
            {"id": "two.md", "text": LANYARD},
        ],
    )
    progress = ended(house, ingestion)
    assert (progress["object"], progress["id"]) == ("ingestion", ingestion)
    assert progress["counts"] == {"added": 2, "failed": 1, "refused": 2}
    assert [one["document"] for one in progress["items"]] == [
        "one.md",
        "broken.pdf",
        "foreign.md",
        "itself.md",
        "two.md",
    ]
    reasons = {one["document"]: one["reason"] for one in progress["items"]}
    assert reasons["one.md"] is None
    assert "cannot be parsed" in reasons["broken.pdf"]
    assert "another source" in reasons["foreign.md"]
    assert {"one.md", "two.md"} <= found(house, "visitors badge lanyard")
    assert house.metrics()['twinpin_documents_total{status="added"}'] == 3
    assert house.metrics()['twinpin_documents_total{status="failed"}'] == 1


def test_the_same_document_twice_ends_as_the_later_one(house: House) -> None:
    progress = ended(house, accept(house, [{"id": "a.md", "text": BADGE}, {"id": "a.md", "text": LANYARD}]))
    assert progress["counts"] == {"added": 1, "updated": 1}
    assert LANYARD in texts(house, "visitors")
    assert BADGE not in texts(house, "visitors")
    again = ended(house, accept(house, [{"id": "a.md", "text": LANYARD}]))
    assert again["counts"] == {"unchanged": 1}


def test_an_ingestion_is_reverted_document_by_document(house: House) -> None:
    put(house, "a.md", BADGE)
    put(house, "b.md", BADGE)
    ingestion = accept(house, [{"id": name, "text": LANYARD} for name in ("a.md", "b.md", "new.md")])
    ended(house, ingestion)
    put(house, "b.md", "Somebody mended this since.")
    response = send(house, "POST", f"/v1/ingestions/{ingestion}/revert", "wanda", {})
    items = {one["document"]: one for one in response.json()["items"]}
    assert (response.status_code, response.json()["object"]) == (200, "ingestion.reverted")
    assert {name: one["status"] for name, one in items.items()} == {
        "a.md": "updated",
        "b.md": "refused",
        "new.md": "refused",
    }
    assert items["b.md"]["code"] == items["new.md"]["code"] == "cannot_revert"
    assert send(house, "GET", path("a.md"), "wanda").json()["text"] == BADGE


def test_an_ingestion_that_changed_nothing_cannot_be_reverted(house: House) -> None:
    put(house, "a.md", BADGE)
    ingestion = accept(house, [{"id": "a.md", "text": BADGE}])
    ended(house, ingestion)
    response = send(house, "POST", f"/v1/ingestions/{ingestion}/revert", "wanda", {})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "cannot_revert")


def test_what_was_deleted_or_hidden_meanwhile_stays_so(house: House) -> None:
    """The queue stands still while documents change under it."""
    put(house, "deleted.md", BADGE)
    put(house, "hidden.md", BADGE)
    with standing(house):
        ingestion = accept(house, [{"id": name, "text": LANYARD} for name in ("deleted.md", "hidden.md")])
        assert send(house, "GET", f"/v1/ingestions/{ingestion}", "wanda").json()["counts"] == {"waiting": 2}
        running = send(house, "POST", f"/v1/ingestions/{ingestion}/revert", "wanda", {})
        assert running.json()["error"]["code"] == "cannot_revert"
        send(house, "DELETE", path("deleted.md"), "wanda")
        send(house, "PATCH", path("hidden.md", "/access"), "wanda", {"allow": [], "deny": []})
    ended(house, ingestion)
    assert send(house, "GET", path("deleted.md"), "wanda").status_code == 404
    assert send(house, "GET", path("hidden.md"), "wanda").json()["access"]["allow"] == []
    assert found(house, "visitors lanyard badge") & {"deleted.md", "hidden.md"} == set()


def test_what_was_put_while_older_content_waited_stays(house: House) -> None:
    put(house, "corrected.md", BADGE)
    with standing(house):
        older = accept(house, [{"id": name, "text": LANYARD} for name in ("corrected.md", "other.md")])
        put(house, "corrected.md", "Visitors need nothing at all.")
        later = accept(house, [{"id": "other.md", "text": BADGE}])
    items = ended(house, older)["items"]
    assert [item["status"] for item in items] == ["refused", "added"]
    assert "while this waited" in items[0]["reason"]
    assert ended(house, later)["items"][0]["status"] == "updated", "ingestions wait in line"
    assert send(house, "GET", path("corrected.md"), "wanda").json()["text"] == "Visitors need nothing at all."


def test_access_that_was_taken_away_meanwhile_is_not_given_back_by_the_same_content(house: House) -> None:
    put(house, "hidden.md", BADGE)
    with standing(house):
        ingestion = accept(house, [{"id": "hidden.md", "text": BADGE}])
        send(house, "PATCH", path("hidden.md", "/access"), "wanda", {"allow": [], "deny": []})
    ended(house, ingestion)
    assert send(house, "GET", path("hidden.md"), "wanda").json()["access"]["allow"] == []


@contextmanager
def standing(house: House) -> Iterator[None]:
    """While inside, the worker of this house takes nothing in."""
    intake: Intake = house.app.state.parts.library.intake
    real = stand_still(intake)
    yield
    intake.ingestions = real
    intake.wake()


def stand_still(intake: Intake) -> Ingestions:
    """Let nothing seem to wait; what really does."""

    class Nothing(Ingestions):
        async def waiting(self, limit: int) -> list[Any]:
            return []

    real = intake.ingestions
    intake.ingestions = Nothing(intake.documents.catalog)
    return real


def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    house = hire(make_house(tmp_path))
    with living(house):
        stand_still(house.app.state.parts.library.intake)
        ingestion = accept(house, [{"id": f"{n}.md", "text": f"{BADGE} {n}"} for n in range(5)])
    with living(house):
        assert ended(house, ingestion)["counts"] == {"added": 5}
        assert {f"{n}.md" for n in range(5)} <= found(house, "visitors yellow badge")


@contextmanager
def living(house: House) -> Iterator[None]:
    """The gateway runs inside."""
    house.app = create_app(house.settings, opening(house))
    with TestClient(house.app) as client:
        house.client = client
        yield


class Faulty:
    """Documents whose `put` fails as told: for a document by its name, or for everything."""

    def __init__(self, real: Documents) -> None:
        self.catalog, self.indexes = real.catalog, real.indexes
        self._real = real
        self.faults: dict[str, Exception] = {}
        self.out: Exception | None = None
        self.calls: list[list[str]] = []

    async def put(
        self, new: Sequence[NewDocument], *, ingestion: str = "", accepted: Mapping[str, int] | None = None
    ) -> list[Outcome]:
        self.calls.append([one.id for one in new])
        for fault in (self.out, *(self.faults.get(one.id) for one in new)):
            if fault is not None:
                raise fault
        return await self._real.put(new, ingestion=ingestion, accepted=accepted)


@pytest.fixture
async def catalog(tmp_path: Path) -> Any:
    async with Catalog.open(tmp_path / "catalog.db") as opened:
        yield opened


class NoIndexes:
    def serving(self) -> Sequence[Any]:
        return []

    def retained(self) -> Sequence[Any]:
        return []


class Words:
    """A parser in this process."""

    def parse(self, name: str, raw: bytes) -> Any:
        from retrieval.ingest.parse import parse

        return parse(name, raw)


@pytest.fixture
def faulty(catalog: Catalog) -> Faulty:
    return Faulty(Documents(catalog, NoIndexes(), Words()))


async def queue(catalog: Catalog, *names: str, tenant: str = "acme") -> str:
    import msgspec

    from retrieval.acl import Access

    access = Access(tenant, frozenset({"group:staff"}))
    new = [NewDocument(name, "a.md", f"About {name}.".encode(), access, "api") for name in names]
    return await Ingestions(catalog).accept(tenant, "wanda", [(one.id, msgspec.msgpack.encode(one)) for one in new])


async def states(catalog: Catalog, ingestion: str, tenant: str = "acme") -> dict[str, str]:
    progress = await Ingestions(catalog).progress(tenant, ingestion)
    assert progress is not None
    return {one.document: one.status for one in progress.items}


async def test_a_document_that_breaks_the_worker_is_its_own_outcome(catalog: Catalog, faulty: Faulty) -> None:
    ingestion = await queue(catalog, "a", "poison", "b")
    faulty.faults["poison"] = ZeroDivisionError()
    intake = Intake(Ingestions(catalog), faulty)  # type: ignore[arg-type]  # what it uses of Documents
    assert await intake.work() == 3
    assert await states(catalog, ingestion) == {"a": "added", "poison": "failed", "b": "added"}
    assert await intake.work() == 0


async def test_a_document_that_a_part_fails_on_again_and_again_is_given_up(catalog: Catalog, faulty: Faulty) -> None:
    ingestion = await queue(catalog, "a", "poison", "b")
    faulty.faults["poison"] = StoreError("no")
    intake = Intake(Ingestions(catalog), faulty)  # type: ignore[arg-type]  # what it uses of Documents
    rounds = 0
    while "waiting" in (await states(catalog, ingestion)).values():
        rounds += 1
        try:
            await intake.work()
        except StoreError:
            assert rounds < 10
    assert await states(catalog, ingestion) == {"a": "added", "poison": "failed", "b": "added"}
    assert rounds > 2


async def test_when_a_part_is_gone_nothing_is_settled_and_all_is_taken_in_later(
    catalog: Catalog, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingestion = await queue(catalog, "a", "b")

    async def gone() -> None:
        raise StoreError("gone")

    intake = Intake(Ingestions(catalog), faulty)  # type: ignore[arg-type]  # what it uses of Documents
    faulty.out = StoreError("gone")
    with monkeypatch.context() as patched:
        patched.setattr(catalog, "check", gone)
        for _ in range(20):
            with pytest.raises(StoreError):
                await intake.work()
    assert await states(catalog, ingestion) == {"a": "waiting", "b": "waiting"}
    assert len(faulty.calls) == 20
    faulty.out = None
    await intake.work()
    assert await states(catalog, ingestion) == {"a": "added", "b": "added"}


async def test_a_tenant_with_little_does_not_wait_for_one_with_much(catalog: Catalog, faulty: Faulty) -> None:
    many = await queue(catalog, *(f"{n}" for n in range(100)))
    few = await queue(catalog, "only", tenant="other")
    await Intake(Ingestions(catalog), faulty).work()  # type: ignore[arg-type]  # what it uses of Documents
    assert await states(catalog, few, "other") == {"only": "added"}
    first, *_, last = (await states(catalog, many)).values()
    assert (first, last) == ("added", "waiting")


async def test_what_another_release_accepted_is_an_outcome(catalog: Catalog, faulty: Faulty) -> None:
    kept = Ingestions(catalog)
    ingestion = await kept.accept("acme", "wanda", [("a", b"\xc1nothing"), ("b", b"")])
    await Intake(kept, faulty).work()  # type: ignore[arg-type]  # what it uses of Documents
    assert await states(catalog, ingestion) == {"a": "failed", "b": "failed"}


async def test_the_worker_wakes_for_what_comes(catalog: Catalog, faulty: Faulty) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    intake = Intake(Ingestions(catalog), faulty, heard.put_nowait)  # type: ignore[arg-type]  # what it uses of Documents
    running = asyncio.create_task(intake.run())
    try:
        for n in range(3):
            await queue(catalog, f"{n}")
            intake.wake()
            assert await heard.get() == "added"
    finally:
        running.cancel()
        await asyncio.wait([running])
