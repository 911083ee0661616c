"""Bringing a library up to date with a source: what goes, goes first; what is given comes with its content."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.acl import Access
from retrieval.catalog import Document
from retrieval.documents import Outcome, Status
from retrieval.errors import DocumentMissing, SourceError, StoreError
from retrieval.ingest.sources import Rule, SourceDocument, Unusable
from retrieval.ingest.sources.document import version_of
from retrieval.ingest.sync import Batch, Report, synchronise
from retrieval.newdocument import NewDocument, given_digest

STAFF, HR = frozenset({"group:staff"}), frozenset({"group:hr"})
BOTH, NOBODY = STAFF | HR, frozenset[str]()


class Died(Exception):
    """The process died here."""


@dataclass(frozen=True, slots=True)
class Given:
    """Content of a test's making; None cannot be read."""

    raw: bytes | None

    def version(self) -> str:
        return version_of(self.read())

    def read(self) -> bytes:
        if self.raw is None:
            raise SourceError("it cannot be read")
        return self.raw


def document(
    name: str, raw: bytes | None = b"text", allow: Iterable[str] = STAFF, tenant: str | None = "acme", **more: object
) -> SourceDocument:
    flaw = str(more.pop("flaw")) if "flaw" in more else None
    rule = Rule(name, tenant=tenant, allow=sorted(allow), **more)  # type: ignore[arg-type]
    return SourceDocument(name, name, "docs", rule, Given(raw), flaw=flaw)


@dataclass
class Listed:
    """A source that gives what it is told."""

    found: Sequence[SourceDocument | Unusable]
    origin: str = "docs"

    def documents(self) -> Sequence[SourceDocument | Unusable]:
        return self.found


@dataclass
class Shelf:
    """A library in memory that notes every call; `dies_at` that call, `broken` bytes are refused by its parser."""

    held: dict[tuple[str, str], Document] = field(default_factory=dict)
    raw: dict[tuple[str, str], bytes] = field(default_factory=dict)
    calls: list[tuple[str, ...]] = field(default_factory=list)
    dies_at: int = -1
    broken: bytes = b"broken"

    async def known(self, origin: str) -> list[Document]:
        return [one for one in self.held.values() if one.origin == origin]

    async def put(self, new: Sequence[NewDocument]) -> list[Outcome]:
        self._note("put", *(one.id for one in new))
        return [self._put(one) for one in new]

    async def grant(self, tenant: str, document: str, access: Access) -> None:
        self._note("grant", tenant, document, ",".join(sorted(access.allow)))
        if (tenant, document) not in self.held:
            raise DocumentMissing(document)
        self.held[tenant, document] = replace(self.held[tenant, document], access=access)

    async def delete(self, tenant: str, document: str) -> None:
        self._note("delete", tenant, document)
        if (tenant, document) not in self.held:
            raise DocumentMissing(document)
        del self.held[tenant, document], self.raw[tenant, document]

    def _note(self, *call: str) -> None:
        if len(self.calls) == self.dies_at:
            raise Died
        self.calls.append(call)

    def _put(self, new: NewDocument) -> Outcome:
        key = new.access.tenant, new.id
        if key in self.held and self.held[key].origin != new.origin:
            return Outcome(*key, "refused", reason="of another source", code="origin_conflict")
        if new.raw == self.broken:
            return Outcome(*key, "failed", reason="cannot be parsed")
        status: Status = "updated" if key in self.held else "added"
        self.held[key] = Document(
            id=new.id, version=version_of(new.raw), title=new.title or new.id, source=new.source or new.id,
            category=new.category, updated=new.updated, supersedes=new.supersedes, access=new.access,
            origin=new.origin, expires=new.expires, name=new.name, given=given_digest(new),
        )  # fmt: skip
        self.raw[key] = new.raw
        return Outcome(*key, status, chunks=1)


async def run(shelf: Shelf, *found: SourceDocument | Unusable, batch: Batch = Batch()) -> Report:  # noqa: B008
    shelf.calls.clear()
    return await synchronise(Listed(found), shelf, lambda *_: None, batch)


def statuses(report: Report) -> list[tuple[str, str]]:
    return [(one.document, one.status) for one in report.outcomes]


async def test_what_is_new_is_put_and_what_is_unchanged_costs_no_call() -> None:
    shelf = Shelf()
    documents = document("a"), document("b", title="Bee", updated="2026-01-01", expires="2027-01-01")
    report = await run(shelf, *documents)
    assert (statuses(report), report.counts, report.chunks) == ([("a", "added"), ("b", "added")], {"added": 2}, 2)
    report = await run(shelf, *documents)
    assert (statuses(report), shelf.calls) == ([("a", "unchanged"), ("b", "unchanged")], [])
    assert (report.troubled, report.departed, report.origin) == ([], [], "docs")


@pytest.mark.parametrize(
    "changed",
    [{"raw": b"new"}, {"title": "T"}, {"category": "c"}, {"updated": "2026-01-01"}, {"expires": "2027-01-01"},
     {"supersedes": "z"}, {"source": "https://x.example"}],
)  # fmt: skip
async def test_any_change_of_content_or_description_is_put_whole(changed: Mapping[str, object]) -> None:
    shelf = Shelf()
    await run(shelf, document("a"), document("b"))
    report = await run(shelf, document("a", **changed), document("b"))  # type: ignore[arg-type]
    assert (statuses(report), shelf.calls) == ([("a", "updated"), ("b", "unchanged")], [("put", "a")])


async def test_a_change_of_access_alone_puts_nothing() -> None:
    shelf = Shelf()
    await run(shelf, document("a", allow=BOTH), document("b", allow=STAFF), document("c", allow=STAFF))
    found = document("a", allow=HR), document("b", allow=BOTH), document("c", allow=HR, deny=["user:eve"])
    assert statuses(await run(shelf, *found)) == [("a", "access"), ("b", "access"), ("c", "access")]
    assert not [call for call in shelf.calls if call[0] == "put"]
    assert [shelf.held["acme", name].access.allow for name in "abc"] == [HR, BOTH, HR]
    assert shelf.held["acme", "c"].access.deny == {"user:eve"}
    assert statuses(await run(shelf, *found)) == [("a", "unchanged"), ("b", "unchanged"), ("c", "unchanged")]


async def test_what_is_gone_or_moved_is_deleted_before_anything_else() -> None:
    shelf = Shelf()
    await run(shelf, document("gone"), document("moved"), document("kept", allow=BOTH))
    report = await run(shelf, document("moved", tenant="other"), document("kept", b"new", allow=HR))
    assert statuses(report) == [("gone", "gone"), ("moved", "moved"), ("moved", "added"), ("kept", "updated")]
    deletions, grants = [("delete", "acme", "gone"), ("delete", "acme", "moved")], [("grant", "acme", "kept", *HR)]
    assert shelf.calls == [*deletions, *grants, ("put", "moved", "kept")]
    assert set(shelf.held) == {("other", "moved"), ("acme", "kept")}
    assert [one.reason for one in report.departed] == [
        "'gone' is not in the source any more: it was deleted in tenant 'acme', until it is put back",
        "'moved' moved to tenant 'other': it was deleted in tenant 'acme'",
    ]
    report = await run(shelf, document("gone"), document("moved", tenant="other"), document("kept", b"new", allow=HR))
    assert report.counts == {"added": 1, "unchanged": 2}


async def test_a_document_that_cannot_come_in_loses_the_access_that_is_taken_and_gets_none() -> None:
    shelf = Shelf()
    names = ("unread", "broken", "flawed", "selfish")
    await run(shelf, *(document(name, allow=BOTH) for name in names))
    wanted = HR | {"group:sales"}
    report = await run(
        shelf,
        document("unread", None, allow=wanted),
        document("broken", b"broken", allow=wanted),
        document("flawed", b"x", allow=wanted, flaw="its date is no date"),
        document("selfish", b"x", allow=wanted, supersedes="selfish"),
    )
    assert [status for _, status in statuses(report)] == ["failed", "failed", "refused", "refused"]
    assert "its date is no date" in (report.troubled[2].reason or "")
    for name in names:
        assert (shelf.held["acme", name].access.allow, shelf.raw["acme", name]) == (HR, b"text")


@pytest.mark.parametrize("rule", [{"allow": []}, {"allow": ["staff"]}, {"deny": ["eve"]}])
async def test_a_document_whose_readers_are_not_said_is_refused_and_read_by_nobody(rule: Mapping[str, object]) -> None:
    shelf = Shelf()
    await run(shelf, document("a"), document("b"))
    for calls in ([("grant", "acme", "a", "")], []):
        report = await run(shelf, document("a", **rule), document("b"))  # type: ignore[arg-type]
        assert (statuses(report), shelf.calls) == ([("a", "refused"), ("b", "unchanged")], calls)
        assert shelf.held["acme", "a"].access.allow == NOBODY
    assert statuses(await run(shelf, document("a"), document("b")))[0] == ("a", "access")


async def test_a_document_whose_tenant_is_not_said_is_read_by_nobody_and_not_gone() -> None:
    shelf = Shelf()
    await run(shelf, document("a"))
    report = await run(shelf, document("a", tenant=None))
    assert (statuses(report), report.departed) == ([("a", "refused")], [])
    assert shelf.held["acme", "a"].access.allow == NOBODY


async def test_an_id_that_is_there_twice_is_refused_and_read_by_those_alone_whom_all_permit() -> None:
    shelf = Shelf()
    await run(shelf, document("a", allow=BOTH))
    report = await run(shelf, document("a", b"1", allow=HR), document("a", b"2", allow=BOTH, deny=["user:eve"]))
    assert statuses(report) == [("a", "refused"), ("a", "refused")]
    assert shelf.held["acme", "a"].access == Access("acme", HR, frozenset({"user:eve"}))
    assert shelf.raw["acme", "a"] == b"text"


async def test_two_tenants_may_use_the_same_id() -> None:
    shelf = Shelf()
    found = document("a", b"1"), document("a", b"2", tenant="other")
    await run(shelf, *found)
    assert statuses(await run(shelf, *found)) == [("a", "unchanged"), ("a", "unchanged")]
    assert statuses(await run(shelf, found[1])) == [("a", "moved"), ("a", "unchanged")]


async def test_what_is_no_document_is_reported() -> None:
    shelf = Shelf()
    report = await run(shelf, Unusable("row 2", "row 2 has no id"), document("a"))
    assert [(one.document, one.reason) for one in report.troubled] == [("row 2", "row 2 has no id")]


async def test_another_sources_documents_are_left_alone() -> None:
    shelf = Shelf()
    await run(shelf, document("a"), document("b"))
    theirs = [replace(document("a", b"theirs"), origin="theirs"), replace(document("c"), origin="theirs")]
    report = await synchronise(Listed(theirs, "theirs"), shelf, lambda *_: None)
    assert statuses(report) == [("a", "refused"), ("c", "added")]
    assert shelf.raw["acme", "a"] == b"text"
    assert (await synchronise(Listed([], "theirs"), shelf, lambda *_: None)).counts == {"gone": 1}
    assert set(shelf.held) == {("acme", "a"), ("acme", "b")}


async def test_batches_are_bounded_by_count_and_by_bytes_and_keep_the_order() -> None:
    shelf = Shelf()
    documents = [document(f"{number:03}", bytes([65 + number]) * (4 if number != 2 else 50)) for number in range(5)]
    report = await run(shelf, *documents, batch=Batch(count=3, size=10))
    assert shelf.calls == [("put", "000", "001"), ("put", "002"), ("put", "003", "004")]
    assert [one.document for one in report.outcomes] == ["000", "001", "002", "003", "004"]
    shelf = Shelf()
    await run(shelf, *documents, batch=Batch(count=2, size=1000))
    assert [len(call) - 1 for call in shelf.calls] == [2, 2, 1]


async def test_outcomes_keep_the_order_of_the_source() -> None:
    shelf = Shelf()
    await run(shelf, *(document(f"{number:03}") for number in range(0, 200, 2)))
    report = await run(shelf, *(document(f"{number:03}") for number in range(200)))
    assert [one.document for one in report.outcomes] == [f"{number:03}" for number in range(200)]
    assert report.counts == {"added": 100, "unchanged": 100}


async def test_a_source_that_cannot_be_seen_whole_changes_nothing() -> None:
    class Cut(Listed):
        def documents(self) -> Sequence[SourceDocument | Unusable]:
            def some() -> Iterable[SourceDocument]:
                yield document("a", allow=HR)
                raise SourceError("page 2 failed")

            return some()  # type: ignore[return-value]

    shelf = Shelf()
    await run(shelf, document("a", allow=BOTH), document("b"))
    shelf.calls.clear()
    with pytest.raises(SourceError, match="page 2 failed"):
        await synchronise(Cut([]), shelf, lambda *_: None)
    assert shelf.calls == []


async def test_what_somebody_else_deletes_during_the_run_is_no_failure() -> None:
    class Vanishing(Shelf):
        async def known(self, origin: str) -> list[Document]:
            found = await super().known(origin)
            self.held.clear()
            return found

    shelf = Shelf()
    await run(shelf, document("gone"), document("narrowed", allow=BOTH), document("widened"), document("kept"))
    shelf = Vanishing(shelf.held, shelf.raw)
    report = await run(shelf, document("narrowed", allow=HR), document("widened", allow=BOTH), document("kept"))
    assert statuses(report) == [("narrowed", "added"), ("widened", "refused"), ("kept", "unchanged")]
    assert "was deleted while this ran" in (report.troubled[0].reason or "")


async def test_a_library_that_fails_stops_the_run() -> None:
    class Full(Shelf):
        async def put(self, new: Sequence[NewDocument]) -> list[Outcome]:
            raise StoreError("no space")

    with pytest.raises(StoreError, match="no space"):
        await run(Full(), document("a"))


async def test_progress_is_heard_from_start_to_end() -> None:
    heard: list[tuple[int, int, str]] = []
    found = [document(f"{number:03}") for number in range(150)]
    await synchronise(Listed(found), Shelf(), lambda *said: heard.append(said))
    assert (heard[0], heard[-1]) == ((0, 150, "000"), (150, 150, "done"))
    assert [done for done, _, _ in heard] == sorted(done for done, _, _ in heard)


GRANTS = ("group:staff", "group:hr", "user:eve")
some_grants = st.sets(st.sampled_from(GRANTS))
states = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(
        st.sampled_from([b"one", b"two", b"broken", None]),
        some_grants,
        some_grants,
        st.sampled_from(["acme", "other", None]),
        st.sampled_from(["", "c"]),
    ),
)
State = Mapping[str, tuple[bytes | None, set[str], set[str], str | None, str]]


def listing(state: State) -> list[SourceDocument]:
    return [
        document(name, raw, allow, tenant, deny=sorted(deny), category=category or None)
        for name, (raw, allow, deny, tenant, category) in state.items()
    ]


def permits(access: Access, grant: str) -> bool:
    return grant in access.allow and grant not in access.deny


def require_true(shelf: Shelf, before: Mapping[tuple[str, str], Document], state: State) -> None:
    """Nobody reads what the source does not give them, and who reads new text was given that text."""
    for (tenant, name), held in shelf.held.items():
        was = before.get((tenant, name))
        said = state.get(name)
        for grant in GRANTS:
            if not permits(held.access, grant):
                continue
            assert said is not None
            raw, allow, deny, now, _ = said
            assert now == tenant
            assert grant in allow, "access that was taken away stays nowhere"
            assert grant not in deny
            same = was is not None and was.version == held.version
            assert not same or raw == shelf.raw[tenant, name] or (was is not None and permits(was.access, grant))


@settings(max_examples=300, deadline=None)
@given(states, states, st.integers(0, 12))
def test_in_whatever_order_things_change_access_narrows_first_and_a_second_run_mends(
    old: State, new: State, dies_at: int
) -> None:
    async def story() -> None:
        shelf = Shelf()
        await run(shelf, *listing(old))
        require_true(shelf, {}, old)
        before = dict(shelf.held)
        shelf.dies_at = dies_at
        died = False
        try:
            await run(shelf, *listing(new))
        except Died:
            died = True
        puts = [call for call in shelf.calls if call[0] == "put"]
        if not died or puts:
            require_true(shelf, before, new)
        shelf.dies_at = -1
        await run(shelf, *listing(new))
        require_true(shelf, before, new)
        whole = Shelf(dict(before), {key: shelf.raw.get(key, b"") for key in before})
        await run(whole, *listing(new))
        assert {key: (one.version, one.access) for key, one in shelf.held.items()} == {
            key: (one.version, one.access) for key, one in whole.held.items()
        }, "a run that died and was repeated ends where an uninterrupted one does"
        await run(shelf, *listing(new))
        assert not [call for call in shelf.calls if call[0] != "put"], "a further run changes no access"

    asyncio.run(story())
