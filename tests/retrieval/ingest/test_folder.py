"""A folder brought in again and again: what it says is what is found, and what it takes away is gone at once."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from retrieval.acl import Access, Principal, access_filter
from retrieval.ingest.blocks import Parsed
from retrieval.ingest.sources import FolderSource
from retrieval.ingest.sync import Report, synchronise
from retrieval.live import LiveIndex, silent
from retrieval.store import Narrowing
from tests.retrieval.shelf import RECIPE, PlainParser, Shelf, shelf

Groups: TypeAlias = tuple[str, ...]
STAFF: Groups = ("staff",)
HR: Groups = ("hr",)
Rules = Mapping[str, Mapping[str, object]]
EXACT = msgspec.structs.replace(RECIPE, candidates=200)


@dataclass
class World:
    """A folder of documents, and the shelf that they are brought to; `embedded` is where counting began."""

    folder: Path
    shelf: Shelf
    embedded: int = 0

    @property
    def index(self) -> LiveIndex:
        return self.shelf.index

    @property
    def fresh(self) -> int:
        """Chunks embedded since the count was taken."""
        return self.index.embedded - self.embedded

    def write(self, files: Mapping[str, str | bytes], rules: Rules, **top: str) -> None:
        self.folder.mkdir(exist_ok=True)
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        listed = [{"match": f"/{match}", **rule} for match, rule in rules.items()]
        (self.folder / "twinpin.yaml").write_bytes(msgspec.json.encode({"tenant": "acme", "rules": listed, **top}))

    async def ingest(self) -> Report:
        return await synchronise(FolderSource(self.folder), self.shelf.documents, silent)

    async def seen(self, *groups: str, tenant: str = "acme", category: str | None = None) -> dict[str, str]:
        """Everything a caller can be shown, as the words of each document, its passages in order."""
        access = access_filter(Principal(tenant, "u", frozenset(groups), frozenset()))
        narrowing = Narrowing((category,)) if category else Narrowing()
        findings = await self.index.finder().find("words", access, narrowing, limit=200)
        assert findings.violations == 0
        refs = sorted((one.passage.ref.document, one.passage.ref.start, one.passage.text) for one in findings.passages)
        shown: dict[str, str] = {}
        for document, _, text in refs:
            shown[document] = f"{shown[document]}\n\n{text}" if document in shown else text
        return shown


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with shelf(tmp_path, EXACT) as made:
        yield World(tmp_path / "docs", made)


def statuses(report: Report) -> dict[str, str]:
    return {outcome.document: outcome.status for outcome in report.outcomes}


def words(*names: str) -> str:
    """A text of several chunks."""
    return "\n\n".join(f"These words of {name} fill a whole paragraph of the text." for name in names)


ALLOWED: Rules = {"**": {"allow": ["group:staff"], "category": "note"}}


async def test_a_second_run_does_nothing(world: World) -> None:
    world.write({"a.md": words("one", "two", "three"), "deep/b.txt": words("four")}, ALLOWED)
    first = await world.ingest()
    assert statuses(first) == {"a.md": "added", "deep/b.txt": "added"}
    assert first.chunks == world.fresh == await world.index.store.count() > 2
    before = await world.shelf.catalog.sequences()
    second = await world.ingest()
    assert statuses(second) == {"a.md": "unchanged", "deep/b.txt": "unchanged"}
    assert (world.fresh, world.shelf.parser.parsed, second.troubled) == (first.chunks, 2, [])
    assert await world.shelf.catalog.sequences() == before


async def test_an_edit_replaces_all_chunks_of_a_document(world: World) -> None:
    world.write({"a.md": words("one", "two", "three"), "b.md": words("kept")}, ALLOWED)
    await world.ingest()
    world.write({"a.md": words("new")}, ALLOWED)
    report = await world.ingest()
    assert statuses(report) == {"a.md": "updated", "b.md": "unchanged"}
    assert await world.seen("staff") == {"a.md": words("new"), "b.md": words("kept")}
    assert await world.index.store.count() == 2


async def test_an_edit_taken_back_is_an_edit(world: World) -> None:
    for text in ("one", "two", "one"):
        world.write({"a.md": words(text)}, ALLOWED)
        await world.ingest()
    assert (await world.seen("staff"), await world.index.store.count()) == ({"a.md": words("one")}, 1)


async def test_a_change_of_access_is_seen_at_once_and_embeds_nothing(world: World) -> None:
    world.write({"a.md": words("one", "two"), "b.md": words("other")}, ALLOWED)
    await world.ingest()
    world.embedded = world.index.embedded
    world.write({}, {**ALLOWED, "a.md": {"allow": ["group:hr"], "deny": ["user:eve"]}})
    report = await world.ingest()
    assert statuses(report) == {"a.md": "access", "b.md": "unchanged"}
    assert world.index.embedded == world.embedded
    assert (set(await world.seen(*STAFF)), set(await world.seen(*HR))) == ({"b.md"}, {"a.md"})
    assert await world.shelf.catalog.marks(world.index.name) == {"acme": 4}, "taken away first, then given"
    assert statuses(await world.ingest())["a.md"] == "unchanged"


async def test_changed_metadata_is_written(world: World) -> None:
    world.write({"a.md": words("one"), "old.md": words("old")}, ALLOWED)
    await world.ingest()
    described = {"category": "policy", "title": "Title", "updated": "2026-02-03", "supersedes": "old.md"}
    world.write({}, {**ALLOWED, "a.md": described})
    assert statuses(await world.ingest()) == {"a.md": "updated", "old.md": "unchanged"}
    known = await world.shelf.catalog.get("acme", "a.md")
    assert known is not None
    assert (known.title, str(known.updated), known.supersedes) == ("Title", "2026-02-03", "old.md")
    assert set(await world.seen("staff", category="policy")) == {"a.md"}
    assert set(await world.seen("staff")) == {"a.md"}, "what a document supersedes does not answer"


async def test_what_a_document_says_of_itself_never_decides_access(world: World) -> None:
    front = "---\ntitle: Own\ncategory: own\nallow: [group:everyone]\ntenant: other\nupdated: 2026-01-01\n---\n\n"
    world.write({"a.md": front + words("one")}, {"**": {"allow": ["group:hr"]}})
    await world.ingest()
    known = await world.shelf.catalog.get("acme", "a.md")
    assert known is not None
    assert (known.title, known.category, str(known.updated)) == ("Own", "own", "2026-01-01")
    assert known.access == Access("acme", frozenset({"group:hr"}))


@pytest.mark.parametrize(
    "rule",
    [{"allow": []}, {"allow": ["staff"]}, {"allow": ["group:staff"], "deny": ["eve"]}],
    ids=["no list", "a grant that matches nobody", "a denial that matches nobody"],
)
async def test_a_document_whose_rules_stop_saying_who_may_read_it_is_read_by_nobody(
    world: World, rule: dict[str, object]
) -> None:
    world.write({"a.md": words("one"), "b.md": words("other")}, ALLOWED)
    await world.ingest()
    world.write({}, {**ALLOWED, "a.md": rule})
    for _ in range(2):
        report = await world.ingest()
        assert statuses(report) == {"a.md": "refused", "b.md": "unchanged"}
        assert report.troubled[0].reason is not None
        assert "'a.md'" in report.troubled[0].reason
        assert await world.seen("staff", "hr") == {"b.md": words("other")}
    world.write({}, ALLOWED)
    world.embedded = world.index.embedded
    assert statuses(await world.ingest())["a.md"] == "access", "giving the list back gives the document back"
    assert (set(await world.seen("staff")), world.fresh) == ({"a.md", "b.md"}, 0)


async def test_a_document_without_tenant_is_refused_and_read_by_nobody(world: World) -> None:
    world.write({"a.md": words("one")}, ALLOWED)
    await world.ingest()
    (world.folder / "twinpin.yaml").write_text('rules: [{match: "**", allow: ["group:staff"]}]')
    (outcome,) = (await world.ingest()).outcomes
    told = "'a.md' has no tenant: add a rule for it to twinpin.yaml"
    assert (outcome.status, outcome.reason) == ("refused", told)
    assert await world.seen("staff") == {}


async def test_what_cannot_be_read_is_reported_and_the_rest_goes_on(world: World) -> None:
    world.write({"a.pdf": b"%PDF-1.7 and no more", "b.md": b"", "c.exe": b"MZ", "d.md": words("good")}, ALLOWED)
    report = await world.ingest()
    assert statuses(report) == {"a.pdf": "failed", "b.md": "failed", "c.exe": "failed", "d.md": "added"}
    assert [f"'{one.document}'" in (one.reason or "") for one in report.troubled] == [True] * 3
    assert set(await world.seen("staff")) == {"d.md"}


async def test_a_document_that_broke_keeps_its_text_and_loses_the_access_taken_away(world: World) -> None:
    world.write({"a.md": words("one")}, {"**": {"allow": ["group:staff", "group:hr"]}})
    await world.ingest()
    world.write({"a.md": b""}, {"**": {"allow": ["group:hr", "group:sales"]}})
    assert statuses(await world.ingest()) == {"a.md": "failed"}
    assert await world.seen(*HR) == {"a.md": words("one")}
    assert await world.seen(*STAFF) == {}
    assert await world.seen("sales") == {}, "access is given with the content it was written for, never with the old"


async def test_a_document_without_any_words_left_has_no_chunks(world: World) -> None:
    class Silent(PlainParser):
        def parse(self, name: str, raw: bytes) -> Parsed:
            return super().parse(name, raw) if b"words" in raw else Parsed(None, "", (), {})

    world.write({"a.md": words("one")}, ALLOWED)
    await world.ingest()
    world.write({"a.md": "nothing"}, ALLOWED)
    world.shelf.documents.parser = Silent()
    assert statuses(await world.ingest()) == {"a.md": "updated"}
    assert (await world.index.store.count(), await world.seen("staff")) == (0, {})
    assert set(await world.shelf.catalog.held(world.index.name)) == {("acme", "a.md")}


async def test_two_tenants_may_use_the_same_id(world: World) -> None:
    world.write({"a.md": words("one")}, ALLOWED)
    await world.ingest()
    theirs = another_folder(world)
    theirs.write({"a.md": words("two")}, {"**": {"tenant": "other", "allow": ["group:staff"]}})
    assert statuses(await theirs.ingest()) == {"a.md": "added"}
    assert await world.seen("staff") == {"a.md": words("one")}
    assert await world.seen("staff", tenant="other") == {"a.md": words("two")}
    theirs.write({}, {"**": {"tenant": "other", "allow": []}})
    await theirs.ingest()
    assert await world.seen("staff") == {"a.md": words("one")}, "one tenant's withdrawal leaves the other's alone"
    assert await world.seen("staff", tenant="other") == {}


def another_folder(world: World) -> World:
    return replace(world, folder=world.folder.with_name("elsewhere"))


async def test_a_document_that_moves_to_another_tenant_leaves_the_old_one(world: World) -> None:
    world.write({"a.md": words("one"), "b.md": words("kept")}, ALLOWED)
    await world.ingest()
    moved: Rules = {**ALLOWED, "a.md": {"tenant": "other", "allow": ["group:staff"]}}
    world.write({}, moved)
    report = await world.ingest()
    assert [(one.document, one.status) for one in report.outcomes] == [
        ("a.md", "moved"), ("a.md", "added"), ("b.md", "unchanged"),
    ]  # fmt: skip
    assert report.departed[0].reason == "'a.md' moved to tenant 'other': it was deleted in tenant 'acme'"
    assert (await world.seen("staff"), report.troubled) == ({"b.md": words("kept")}, [])
    assert await world.seen("staff", tenant="other") == {"a.md": words("one")}
    assert (await world.ingest()).departed == [], "it is told once"
    world.write({}, ALLOWED)
    report = await world.ingest()
    assert [one.status for one in report.outcomes] == ["moved", "added", "unchanged"]
    assert set(await world.seen("staff")) == {"a.md", "b.md"}
    assert await world.seen("staff", tenant="other") == {}


async def test_a_file_that_goes_takes_its_document_along_and_brings_it_back(world: World) -> None:
    world.write({"a.md": words("one"), "b.md": words("kept")}, ALLOWED)
    await world.ingest()
    (world.folder / "a.md").unlink()
    report = await world.ingest()
    assert statuses(report) == {"a.md": "gone", "b.md": "unchanged"}
    assert "'a.md' is not in the source any more" in (report.departed[0].reason or "")
    assert await world.seen("staff") == {"b.md": words("kept")}
    assert statuses(await world.ingest()) == {"b.md": "unchanged"}
    world.write({"a.md": words("one")}, ALLOWED)
    assert statuses(await world.ingest()) == {"a.md": "added", "b.md": "unchanged"}
    assert set(await world.seen("staff")) == {"a.md", "b.md"}


async def test_another_folder_takes_nothing_from_this_one(world: World) -> None:
    world.write({"a.md": words("one"), "b.md": words("kept")}, ALLOWED)
    await world.ingest()
    theirs = another_folder(world)
    theirs.write({"a.md": words("two"), "c.md": words("new")}, {"**": {"allow": ["group:hr"]}})
    report = await theirs.ingest()
    assert (statuses(report), report.departed) == ({"a.md": "refused", "c.md": "added"}, [])
    told = report.troubled[0].reason or ""
    assert "'docs-" in told
    assert "`prefix:`" in told
    assert await world.seen("staff") == {"a.md": words("one"), "b.md": words("kept")}
    theirs.write({}, {"**": {"allow": ["group:hr"]}}, prefix="theirs")
    report = await theirs.ingest()
    assert statuses(report) == {"c.md": "gone", "theirs/a.md": "added", "theirs/c.md": "added"}
    assert set(await world.seen("hr")) == {"theirs/a.md", "theirs/c.md"}


async def test_a_folder_with_a_name_may_move(world: World) -> None:
    world.write({"a.md": words("one")}, ALLOWED, origin="handbook")
    await world.ingest()
    moved = another_folder(world)
    world.folder.rename(moved.folder)
    assert statuses(await moved.ingest()) == {"a.md": "unchanged"}


async def test_where_a_document_opens_may_change_without_embedding(world: World) -> None:
    world.write({"a b.md": words("one")}, ALLOWED)
    await world.ingest()
    world.write({}, {"**": {"allow": ["group:staff"], "category": "note", "source": "https://intranet.example/{id}"}})
    world.embedded = world.index.embedded
    assert (statuses(await world.ingest()), world.fresh) == ({"a b.md": "updated"}, 0)
    known = await world.shelf.catalog.get("acme", "a b.md")
    assert known is not None
    assert known.source == "https://intranet.example/a%20b.md"
    assert statuses(await world.ingest()) == {"a b.md": "unchanged"}


async def test_only_rules_say_what_a_document_supersedes(world: World) -> None:
    front = "---\nsupersedes: b.md\n---\n\n"
    world.write({"a.md": front + words("one"), "b.md": words("kept")}, ALLOWED)
    await world.ingest()
    assert set(await world.seen("staff")) == {"a.md", "b.md"}


async def test_a_document_that_supersedes_itself_is_refused(world: World) -> None:
    world.write({"a.md": words("one"), "b.md": words("two")}, ALLOWED)
    await world.ingest()
    world.write({}, {"**": {**ALLOWED["**"], "supersedes": "a.md"}})
    report = await world.ingest()
    assert statuses(report) == {"a.md": "refused", "b.md": "updated"}
    assert "'a.md' supersedes itself" in (report.troubled[0].reason or "")
