"""A library behind a gateway: every document has its outcome, in order, whatever happens to those beside it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from deploy.client import Gateway, GatewayRefused
from deploy.remote import RemoteLibrary
from deploy.settings import Settings
from retrieval.acl import Access
from retrieval.errors import DocumentMissing
from retrieval.newdocument import NewDocument, given_digest
from tests.gateway.house import House
from tests.gateway.librarians import BADGE, LANYARD

STAFF = Access("acme", frozenset({"group:staff"}))


@pytest.fixture
def library(served: House, environment: pytest.MonkeyPatch) -> Iterator[RemoteLibrary]:
    environment.setenv("TWINPIN_API_KEY", served.keys["root"])
    with Gateway(Settings()) as gateway:
        yield RemoteLibrary(gateway)


def new(name: str, text: str = BADGE, access: Access = STAFF) -> NewDocument:
    return NewDocument(name, "a.md", f"{text} {name}".encode(), access, "docs")


async def test_a_document_arrives_as_it_was_given(library: RemoteLibrary) -> None:
    given = NewDocument(
        id="Übersicht/a b.md",
        name="Ü b.md",
        raw="# Ü\n\nWörter 📦".encode(),
        access=Access("acme", frozenset({"group:staff", "user:ana"}), frozenset({"user:eve"})),
        origin="docs",
        title="Ein Titel",
        source="https://intranet.example/%C3%9C",
        category="visits",
        updated=date(2026, 3, 1),
        expires=date(2030, 1, 1),
        supersedes="old/a.md",
    )
    (outcome,) = await library.put([given])
    (known,) = await library.known("docs")
    assert (outcome.tenant, outcome.document, outcome.status) == ("acme", given.id, "added")
    assert (known.version, known.given, known.access) == (outcome.version, given_digest(given), given.access)
    for field in ("id", "name", "origin", "title", "source", "category", "updated", "expires", "supersedes"):
        assert getattr(known, field) == getattr(given, field)
    assert await library.known("another") == []


async def test_outcomes_stand_in_the_order_of_what_was_given(library: RemoteLibrary) -> None:
    """The gateway does not even accept some of them, and takes only one tenant's in a request."""
    other = replace(STAFF, tenant="other")
    given = [
        new("a"),
        new("../b"),
        new("c", access=other),
        new("d", access=replace(STAFF, allow=frozenset())),
        new("e", access=other),
        replace(new("f"), name="f.pdf"),
        new("g"),
        new("g", LANYARD),
    ]
    outcomes = await library.put(given)
    assert [(one.tenant, one.document) for one in outcomes] == [(one.access.tenant, one.id) for one in given]
    statuses = ["added", "refused", "added", "refused", "added", "failed", "added", "updated"]
    assert [one.status for one in outcomes] == statuses
    assert "write an id like a path" in str(outcomes[1].reason)
    assert "allow" in str(outcomes[3].reason)
    assert [one.status for one in await library.put(given)][:1] == ["unchanged"]


async def test_more_than_a_request_takes_goes_in_several(
    library: RemoteLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.remote._MOST_DOCUMENTS", 3)
    outcomes = await library.put([new(str(n)) for n in range(8)])
    assert [one.status for one in outcomes] == ["added"] * 8
    assert sorted(one.id for one in await library.known("docs")) == [str(n) for n in range(8)]
    monkeypatch.setattr("deploy.remote._MOST_BYTES", 10)
    assert [one.status for one in await library.put([new(str(n)) for n in range(3)])] == ["unchanged"] * 3


async def test_what_is_too_large_is_its_own_outcome(library: RemoteLibrary) -> None:
    huge = replace(new("huge"), raw=b"a" * 75_600_000)
    outcomes = await library.put([huge, new("small")])
    assert [one.status for one in outcomes] == ["refused", "added"]
    assert "larger than" in str(outcomes[0].reason)


async def test_access_and_deletion_are_true_when_they_return(library: RemoteLibrary) -> None:
    await library.put([new("a/b")])
    changed = await library.grant("acme", "a/b", Access("acme", frozenset(), frozenset({"user:eve"})))
    assert changed.access == Access("acme", frozenset(), frozenset({"user:eve"}))
    await library.delete("acme", "a/b")
    with pytest.raises(DocumentMissing):
        await library.delete("acme", "a/b")
    with pytest.raises(DocumentMissing):
        await library.grant("acme", "a/b", STAFF)
    with pytest.raises(DocumentMissing):
        await library.delete("other", "policies/refunds.md/none")


async def test_a_queue_that_stands_still_is_told_and_nothing_is_lost(
    served: House, library: RemoteLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(limit: int) -> list[object]:
        return []

    monkeypatch.setattr("deploy.remote._PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(served.app.state.parts.library.intake.ingestions, "waiting", nothing)
    with pytest.raises(GatewayRefused, match="1 documents waiting: they are safe"):
        await library.put([new("a")])
