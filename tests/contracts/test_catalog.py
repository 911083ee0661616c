"""What the catalog promises, on SQLite and on PostgreSQL: it alone says what exists, is current and may be seen."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from retrieval.acl import Access, PermissionScope, Principal, access_filter
from retrieval.catalog import BEGUN, Catalog, Content, Document, TenantMark
from retrieval.errors import CatalogError, DocumentMissing, IndexBehind, IndexNotSealed
from retrieval.index import IndexManifest, load_recipe
from retrieval.ingest.blocks import Block
from retrieval.passages.outline import Place, outline, split_blocks
from tests.contracts.documents import ELSEWHERE, HELD, HR, STAFF, TEXT, TODAY, entry, page, read, reader, ref

VERSIONS = Path(__file__).parents[2] / "deploy" / "versions"


async def test_spans_are_code_points_and_order_is_kept(catalog: Catalog) -> None:
    await catalog.put([entry()])
    assert await read(catalog, ref(27, 39), ref(0, 7), ref(6, 7)) == [TEXT[27:39], "Grüße 👋", "👋"]
    (passage,) = await catalog.read([ref(0, 5)], reader("staff"), "blocks-1", index="idx", today=TODAY)
    assert (passage.title, passage.source, passage.category) == ("Handbook", "doc.md", "handbook")
    assert (passage.updated, passage.ref) == (date(2026, 1, 2), ref(0, 5))


async def test_the_catalogs_access_decides(catalog: Catalog) -> None:
    await catalog.put([entry()])
    assert await read(catalog, ref(0, 5)) == ["Grüße"]
    assert await read(catalog, ref(0, 5), access=reader("hr")) == []
    assert await read(catalog, ref(0, 5), access=reader("staff", tenant="other")) == []
    await catalog.grant("acme", "doc", replace(STAFF, deny=frozenset({"user:u"})))
    assert await read(catalog, ref(0, 5)) == []


async def scope(catalog: Catalog, *groups: str, subject: str = "u", tenant: str = "acme") -> PermissionScope:
    return await catalog.scope(access_filter(Principal(tenant, subject, frozenset(groups), frozenset())))


async def test_who_differ_in_names_that_no_list_has_share_a_scope(catalog: Catalog) -> None:
    await catalog.put([entry(), entry(page("pay", access=replace(HR, deny=frozenset({"group:interns", "user:eve"}))))])
    ana = await scope(catalog, "staff", "lisbon", subject="ana")
    assert ana == PermissionScope("acme", ("group:staff",), ()) == await scope(catalog, "staff", subject="ben")
    assert await scope(catalog, "staff", subject="eve") == replace(ana, denied_as=("user:eve",))
    assert await scope(catalog, "staff", "interns") == replace(ana, denied_as=("group:interns",))
    assert await scope(catalog, "staff", "hr") == replace(ana, grants=("group:hr", "group:staff"))
    assert await scope(catalog, "staff", tenant="other") == PermissionScope("other", (), ())
    assert len({one.key for one in [ana, await scope(catalog, "staff", subject="eve"), await scope(catalog)]}) == 3


async def test_a_name_counts_from_the_moment_on_that_a_list_has_it(catalog: Catalog) -> None:
    """And for good: a document that is gone, or open again, may still be in what was shared."""
    await catalog.put([entry()])
    assert await scope(catalog, "staff", subject="ana") == await scope(catalog, "staff", subject="ben")
    await catalog.grant("acme", "doc", replace(STAFF, deny=frozenset({"user:ana"})))
    apart = await scope(catalog, "staff", subject="ana")
    assert apart.denied_as == ("user:ana",)
    assert apart != await scope(catalog, "staff", subject="ben")
    await catalog.grant("acme", "doc", STAFF)
    await catalog.delete("acme", "doc", erased=True)
    assert await scope(catalog, "staff", subject="ana") == apart


async def test_only_the_current_version_is_shown(catalog: Catalog) -> None:
    await catalog.put([entry()])
    await catalog.put([entry(page(version="sha256:2"), "new")])
    assert await read(catalog, ref(0, 3), ref(0, 3, version="sha256:2")) == ["new"]
    assert await catalog.text("acme", "doc", "sha256:1", "blocks-1") == TEXT


async def test_a_superseded_document_does_not_answer(catalog: Catalog) -> None:
    await catalog.put([entry(), entry(page("newer", supersedes="doc")), entry(page("itself", supersedes="itself"))])
    refs = [ref(0, 5), ref(0, 5, document="newer"), ref(0, 4, document="itself")]
    assert await read(catalog, *refs) == ["Grüße", "Grüß"]
    await catalog.put([entry(page("elsewhere", supersedes="newer", access=ELSEWHERE))])
    assert await read(catalog, *refs) == ["Grüße", "Grüß"], "another tenant's document supersedes nothing"
    assert (await catalog.superseded_by("acme", "doc"), await catalog.superseded_by("acme", "newer")) == ("newer", None)
    assert (await catalog.supersedes("acme", "newer"), await catalog.supersedes("acme", "itself")) == (["doc"], [])
    await catalog.delete("acme", "newer")
    assert await read(catalog, *refs) == ["Grüße", "Grüß"], "what hid it is gone"
    assert await catalog.superseded_by("acme", "doc") is None


async def test_an_expired_document_does_not_answer(catalog: Catalog) -> None:
    await catalog.put([entry(page(expires=TODAY))])
    assert await read(catalog, ref(0, 5), today=TODAY - timedelta(1)) == ["Grüße"]
    assert await read(catalog, ref(0, 5)) == []
    assert await read(catalog, ref(0, 5), today=TODAY + timedelta(1)) == []


async def test_unknown_documents_and_other_parsers_give_nothing(catalog: Catalog) -> None:
    await catalog.put([entry()])
    assert await read(catalog, ref(0, 5, document="gone"), ref(9000, 9010)) == []
    assert await catalog.read([ref(0, 5)], reader("staff"), "blocks-2", index="idx", today=TODAY) == []
    assert await read(catalog) == []


@pytest.mark.parametrize("name", ["it's", 'a "b" \\ {c}', "%(x)s :y ?1 $2", "文書/👋.md", "e\u0301", " ", "x" * 400])
async def test_any_printable_name_will_do(catalog: Catalog, name: str) -> None:
    named = page(name, access=replace(STAFF, tenant=name))
    await catalog.put([entry(named)])
    assert await read(catalog, ref(0, 5, document=name), access=reader("staff", tenant=name)) == ["Grüße"]
    assert [one.id for one in await catalog.listing(name)] == [name]
    async with catalog.writing([name]):
        assert await catalog.delete(name, name) == 2


async def test_an_index_that_lags_behind_what_is_required_does_not_answer(catalog: Catalog) -> None:
    await catalog.put([entry(), entry(page("two")), entry(page(access=ELSEWHERE))])
    await catalog.require("acme", 2)
    await catalog.require("acme", 1)
    assert (await catalog.sequences())["acme"] == TenantMark(2, 2), "what is required never goes back"
    await catalog.mark("idx", "acme", 1)
    for refs in ([ref(0, 5)], []):
        with pytest.raises(IndexBehind, match=r"'idx'.* up to 1 .* 2"):
            await read(catalog, *refs)
    assert await read(catalog, ref(0, 5), access=reader("staff", tenant="other")) == ["Grüße"], "another tenant's"
    await catalog.mark("idx", "acme", 2)
    await catalog.mark("idx", "acme", 1)
    assert await catalog.marks("idx") == {"acme": 2}, "what is applied never goes back"
    assert await read(catalog, ref(0, 5)) == ["Grüße"]
    with pytest.raises(IndexBehind):
        await read(catalog, ref(0, 5), index="idx-2")


async def test_every_change_is_a_step_of_its_tenants_sequence(catalog: Catalog) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    numbers = await catalog.put([entry(), entry(page(access=ELSEWHERE)), entry(page("two"))], ingestion="ing_1")
    assert numbers == [1, 1, 2]
    assert await catalog.describe(page(title="Other")) == 3
    assert await catalog.grant("acme", "two", HR) == 4
    assert await catalog.delete("acme", "two") == 5
    assert (await catalog.sequence("acme"), await catalog.sequence("nobody")) == (5, 0)
    assert await catalog.sequences() == {"acme": TenantMark(5, 0), "other": TenantMark(1, 0)}
    told = await catalog.changes("acme", 1)
    assert [(one.sequence, one.document, one.kind, one.ingestion, one.version) for one in told] == [
        (2, "two", "put", "ing_1", "sha256:1"),
        (3, "doc", "describe", "", "sha256:1"),
        (4, "two", "access", "", "sha256:1"),
        (5, "two", "delete", "", None),
    ]
    assert all(before < one.at < before + timedelta(seconds=60) for one in told)
    assert [one.sequence for one in await catalog.changes("acme", 0, limit=2)] == [1, 2]
    assert await catalog.latest_changes("acme", 0) == [("doc", 3), ("two", 5)]
    assert await catalog.latest_changes("acme", 3) == [("two", 5)]
    assert await catalog.of_ingestion("acme", "ing_1") == ["doc", "two"]
    assert await catalog.of_ingestion("other", "ing_1") == ["doc"]
    assert await catalog.of_ingestion("acme", "ing_2") == []


async def test_entries_are_put_together_or_not_at_all(catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match="ingest the document again"):
        await catalog.put([entry(), entry(page("two"), blocks=b"[{")])
    assert (await catalog.get("acme", "doc"), await catalog.sequences()) == (None, {})


async def test_many_access_lists_are_told_at_once(catalog: Catalog) -> None:
    await catalog.put([entry(), entry(page("two"))])
    assert await catalog.accesses("acme", ["doc", "two", "three", "doc"]) == dict.fromkeys(
        ("doc", "two"), page().access
    )
    assert await catalog.accesses("other", ["doc"]) == {}
    assert list(await catalog.accesses("acme", [*map(str, range(70_000)), "two"])) == ["two"]


async def test_a_document_is_kept_whole(catalog: Catalog) -> None:
    whole = page(supersedes="x", expires=date(2027, 1, 1), name="doc.md", given="digest", category=None, updated=None)
    await catalog.put([entry(whole)])
    assert await catalog.get("acme", "doc") == replace(whole, sequence=1, epoch=1)
    assert await catalog.original("acme", "doc", "sha256:1") == f"raw {TEXT}".encode()
    assert await catalog.content("acme", "doc", "sha256:1", "blocks-1") == Content("blocks-1", TEXT, b"")
    assert await catalog.get("other", "doc") is None
    assert await catalog.original("acme", "doc", "sha256:2") is None
    assert await catalog.content("acme", "doc", "sha256:1", "blocks-2") is None


async def test_other_parsers_texts_stand_beside(catalog: Catalog) -> None:
    await catalog.put([entry()])
    other = Content("blocks-2", "", b"[]")
    for stored in (replace(other, text="long " * 1000), other):
        await catalog.store_content("acme", "doc", "sha256:1", stored)
        assert await catalog.content("acme", "doc", "sha256:1", "blocks-2") == stored
    assert await catalog.text("acme", "doc", "sha256:1", "blocks-1") == TEXT
    assert await catalog.sequence("acme") == 1, "nothing of the document changed"
    with pytest.raises(DocumentMissing, match="sha256:2"):
        await catalog.store_content("acme", "doc", "sha256:2", other)


async def test_history_is_newest_first_and_keeps_no_access(catalog: Catalog) -> None:
    await catalog.put([entry()], ingestion="ing_1")
    await catalog.put([entry(page(version="sha256:2", title="Second"), "two")], ingestion="ing_2")
    await catalog.put([entry()])
    history = await catalog.history("acme", "doc")
    assert [(one.document.version, one.document.title, one.ingestion, one.current) for one in history] == [
        ("sha256:1", "Handbook", "", True),
        ("sha256:2", "Second", "ing_2", False),
        ("sha256:1", "Handbook", "ing_1", False),
    ]
    assert {one.document.access for one in history} == {Access("acme", frozenset())}
    assert [one.document.sequence for one in history] == [3, 2, 1]
    assert history[0].at > history[2].at > datetime(2026, 1, 1, tzinfo=UTC)


async def test_history_is_pruned_with_what_only_it_needs(catalog: Catalog) -> None:
    await catalog.put([entry(page(version=f"sha256:{n}"), f"text {n}") for n in range(25)])
    await catalog.put([entry(page(version="sha256:6"), "text 6"), entry(page("two", version="sha256:1"))])
    history = await catalog.history("acme", "doc")
    assert [one.document.version for one in history] == ["sha256:6", *(f"sha256:{n}" for n in range(24, 5, -1))]
    for n in range(25):
        kept = n > 5
        assert (await catalog.original("acme", "doc", f"sha256:{n}") is not None) == kept
        assert (await catalog.content("acme", "doc", f"sha256:{n}", "blocks-1") is not None) == kept
    assert await catalog.original("acme", "two", "sha256:1") is not None, "another document's stay"


async def test_describing_leaves_content_and_access(catalog: Catalog) -> None:
    await catalog.put([entry(page(version="sha256:0")), entry()])
    told: dict[str, Any] = {"title": "New", "source": "new.md", "category": "policy", "updated": TODAY}
    told |= {"expires": date(2030, 1, 1), "supersedes": "old", "given": "digest"}
    assert await catalog.describe(page(version="sha256:9", access=HR, origin="x", name="y", **told)) == 3
    assert await catalog.get("acme", "doc") == page(**told, sequence=3, epoch=1)
    newest, former = await catalog.history("acme", "doc")
    assert (newest.document.title, former.document.title) == ("New", "Handbook")
    with pytest.raises(DocumentMissing, match="'none'"):
        await catalog.describe(page("none"))
    assert await catalog.sequence("acme") == 3


async def test_the_epoch_is_that_of_the_last_change_of_access(catalog: Catalog) -> None:
    async def epochs() -> tuple[int, int]:
        document = await catalog.get("acme", "doc")
        assert document is not None
        return document.sequence, document.epoch

    await catalog.put([entry(), entry(page(version="sha256:2"), "two")])
    assert await epochs() == (2, 1)
    await catalog.grant("acme", "doc", HR)
    assert await epochs() == (3, 3)
    await catalog.put([entry(page(access=HR))])
    assert await epochs() == (4, 3)
    await catalog.put([entry()])
    assert await epochs() == (5, 5)
    with pytest.raises(DocumentMissing):
        await catalog.grant("acme", "none", HR)
    with pytest.raises(ValueError, match="stays there"):
        await catalog.grant("acme", "doc", ELSEWHERE)


async def test_deleting_leaves_a_tombstone_and_nothing_else(catalog: Catalog) -> None:
    await catalog.put(
        [entry(held={"idx": HELD}), entry(page(version="sha256:2"), "two"), entry(page(access=ELSEWHERE))]
    )
    assert await catalog.delete("acme", "doc") == 3
    assert await read(catalog, ref(0, 3), ref(0, 3, version="sha256:2")) == []
    assert (await catalog.get("acme", "doc"), await catalog.history("acme", "doc")) == (None, [])
    assert [await catalog.original("acme", "doc", f"sha256:{n}") for n in (1, 2)] == [None, None]
    assert [await catalog.content("acme", "doc", f"sha256:{n}", "blocks-1") for n in (1, 2)] == [None, None]
    assert await catalog.holding("idx", "acme", "doc") == HELD, "the index still has its chunks"
    stone = await catalog.tombstone("acme", "doc")
    assert stone is not None
    assert (stone.sequence, stone.erased, stone.at.tzinfo) == (3, False, UTC)
    assert await read(catalog, ref(0, 5), access=reader("staff", tenant="other")) == ["Grüße"]
    assert await catalog.tombstone("other", "doc") is None


async def test_deleting_again_changes_nothing_but_erasing_after_it_does(catalog: Catalog) -> None:
    with pytest.raises(DocumentMissing, match="'doc'"):
        await catalog.delete("acme", "doc")
    await catalog.put([entry()])
    asked = [await catalog.delete("acme", "doc", erased=erased) for erased in (False, False, True, True, False)]
    assert asked == [2, 2, 3, 3, 3]
    told = await catalog.changes("acme", 0)
    assert [(one.kind, one.version) for one in told] == [("put", None), ("delete", None), ("erase", None)]
    stone = await catalog.tombstone("acme", "doc")
    assert stone is not None
    assert (stone.sequence, stone.erased) == (3, True)


async def test_a_document_that_comes_back_has_no_tombstone(catalog: Catalog) -> None:
    await catalog.put([entry()])
    await catalog.delete("acme", "doc", erased=True)
    await catalog.put([entry()])
    assert await catalog.tombstone("acme", "doc") is None
    assert await read(catalog, ref(0, 5)) == ["Grüße"]
    assert [one.document.sequence for one in await catalog.history("acme", "doc")] == [3]


async def test_what_an_index_holds_is_remembered_until_forgotten(catalog: Catalog) -> None:
    await catalog.hold("idx", {("acme", "doc"): BEGUN, ("acme", "two"): HELD})
    await catalog.hold("idx", {("acme", "doc"): HELD, ("acme", "two"): None})
    await catalog.hold("idx-2", {("acme", "doc"): HELD})
    await catalog.mark("idx", "acme", 3)
    assert await catalog.held("idx") == {("acme", "doc"): HELD}
    assert (await catalog.holding("idx", "acme", "doc"), await catalog.holding("idx", "acme", "two")) == (HELD, None)
    await catalog.forget_index("idx")
    assert (await catalog.held("idx"), len(await catalog.held("idx-2")), await catalog.marks("idx")) == ({}, 1, {})


async def test_an_index_follows_what_it_already_holds_and_nothing_it_missed(catalog: Catalog) -> None:
    both = {"idx": HELD, "idx-2": BEGUN}
    await catalog.put([entry(held=both), entry(page("two"), held=both), entry(page("three"), held={"idx": HELD})])
    await catalog.put([entry(page("four"), held=both)])
    assert (await catalog.marks("idx"), await catalog.marks("idx-2")) == ({"acme": 4}, {"acme": 2})
    await catalog.grant("acme", "doc", HR)
    await catalog.put([entry(held=both)])
    assert (await catalog.marks("idx"), await catalog.marks("idx-2")) == ({"acme": 4}, {"acme": 2})
    assert (await catalog.held("idx-2")).keys() == {("acme", "doc"), ("acme", "two"), ("acme", "four")}


async def test_a_version_that_an_index_does_not_hold_leaves_what_it_held(catalog: Catalog) -> None:
    await catalog.put([entry(held={"idx": HELD})])
    await catalog.put([entry(page(version="sha256:2"))])
    assert (await catalog.held("idx"), await catalog.marks("idx")) == ({("acme", "doc"): HELD}, {"acme": 1})


def manifest(name: str, **changed: Any) -> IndexManifest:
    recipe = load_recipe(next(VERSIONS.glob("idx-*.yaml")))
    sealed = IndexManifest(name, recipe, 1, 2, 3.5, {"acme": 7}, datetime(2026, 11, 21, tzinfo=UTC))
    return msgspec.structs.replace(sealed, **changed)


async def test_seals_are_kept(catalog: Catalog) -> None:
    first, second = manifest("idx"), manifest("idx-2", chunks=9)
    await catalog.seal(second, "qdrant")
    await catalog.seal(manifest("idx", documents=5), "elsewhere")
    await catalog.seal(first, "indexes/idx")
    assert [(one.manifest, one.place) for one in await catalog.seals()] == [(first, "indexes/idx"), (second, "qdrant")]
    assert (await catalog.manifest("idx-2"), await catalog.manifest("idx-3")) == (second, None)
    await catalog.forget_index("idx")
    assert await catalog.manifest("idx") is None


async def test_a_seal_that_cannot_be_read_is_none(catalog: Catalog) -> None:
    await catalog.seal(manifest("idx", documents="many"), "indexes/idx")
    for asked in (catalog.seals(), catalog.manifest("idx")):
        with pytest.raises(IndexNotSealed, match="'idx'"):
            await asked


async def test_documents_are_listed_in_pages_by_code_point(catalog: Catalog) -> None:
    ids = ["B", "Z", "a", "b", "e\u0301", "é", "文"]
    await catalog.put([entry(page(one, origin="x" if one in "ab" else "y")) for one in reversed(ids)])
    await catalog.put([entry(page(access=ELSEWHERE, origin="x"))])

    async def pages(tenant: str | None, limit: int, origin: str | None = None) -> list[tuple[str, str]]:
        found: list[Document] = []
        while listed := await catalog.listing(tenant, origin=origin, after=_last(found), limit=limit):
            assert len(listed) <= limit
            found += listed
        return [(one.access.tenant, one.id) for one in found]

    mine = [("acme", one) for one in sorted(ids)]
    for limit in (1, 3, 100):
        assert await pages(None, limit) == [*mine, ("other", "doc")]
    assert await pages("acme", 2) == mine
    assert await pages(None, 2, "x") == [("acme", "a"), ("acme", "b"), ("other", "doc")]


def _last(found: list[Document]) -> tuple[str, str] | None:
    return (found[-1].access.tenant, found[-1].id) if found else None


def blocks_of(text: str, rng: random.Random) -> bytes:
    """Blocks with gaps between them, some far longer than a piece of text, under headings that come and go."""
    blocks, start = [], rng.randrange(40)
    while start < len(text):
        end = min(start + rng.choice([5, 60, 700, 5000]), len(text))
        heading = ("Handbook", f"Section {rng.randrange(3)}")
        blocks.append(Block("paragraph", start, end, heading, rng.choice([None, 1, 2])))
        start = end + rng.randrange(4)
    return msgspec.json.encode(blocks)


async def test_a_long_text_is_read_as_if_it_were_in_one_piece(catalog: Catalog) -> None:
    rng = random.Random(7)
    text = "".join(rng.choice("abc é👋文\n") for _ in range(9001))
    blocks = blocks_of(text, rng)
    await catalog.put([entry(text=text, blocks=blocks)])
    spans = [(0, 1), (0, 9001), (1999, 2001), (2000, 4000), (9000, 9001)]
    spans += [(start, min(start + rng.randrange(1, 3000), 9001)) for start in rng.choices(range(9000), k=60)]
    refs = [ref(*span) for span in spans]
    passages = await catalog.read(refs, reader("staff"), "blocks-1", index="idx", today=TODAY)
    assert [one.text for one in passages] == [text[start:end] for start, end in spans]
    assert [one.places for one in passages] == [outline(split_blocks(blocks), *span) for span in spans]
    assert await catalog.content("acme", "doc", "sha256:1", "blocks-1") == Content("blocks-1", text, blocks)


async def test_passages_say_where_their_words_stand(catalog: Catalog) -> None:
    told = [
        {"kind": "heading", "start": 0, "end": 5, "heading": ["Grüße"], "page": 1},
        {"kind": "paragraph", "start": 8, "end": 20, "heading": ["Grüße"], "page": 1},
        {"kind": "paragraph", "start": 22, "end": 39, "heading": ["Grüße", "More"], "page": 2},
    ]
    await catalog.put([entry(blocks=msgspec.json.encode(told)), entry(page("plain"))])
    refs = [ref(0, 5, document="plain"), ref(10, 39), ref(20, 39), ref(22, 39)]
    passages = await catalog.read(refs, reader("staff"), "blocks-1", index="idx", today=TODAY)
    first, second = Place(10, ("Grüße",), 1), Place(22, ("Grüße", "More"), 2)
    assert [one.places for one in passages] == [(), (first, second), (replace(first, start=20), second), (second,)]


@pytest.mark.parametrize("blocks", [b"[{", b"{}", b'[{"start": 0}]', b'[{"start": "0", "heading": [], "page": null}]'])
async def test_damaged_blocks_are_refused(catalog: Catalog, blocks: bytes) -> None:
    with pytest.raises(CatalogError, match="ingest the document again"):
        await catalog.put([entry(blocks=blocks)])


async def test_check_passes_when_the_tables_are_there(catalog: Catalog) -> None:
    await catalog.check()
