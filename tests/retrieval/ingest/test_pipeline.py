"""Ingestion repeats without effect, replaces, withdraws, and dies anywhere without anyone seeing half of anything."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest

from retrieval.acl import Access, Principal, access_filter
from retrieval.catalog import Catalog
from retrieval.edge_store import EdgeStore
from retrieval.embed import HASH, HashEmbedder
from retrieval.errors import StoreError
from retrieval.index import MANIFEST_FILE, Bm25, Chunker, Embedding, Fusion, IndexRecipe, read_manifest
from retrieval.ingest.parse import Parsed, parse
from retrieval.ingest.pipeline import Ingestion, Report
from retrieval.ingest.sources import FolderSource, SourceDocument
from retrieval.memory_store import MemoryStore
from retrieval.search import Finder
from retrieval.store import ChunkPoint, ChunkStore, Narrowing

RECIPE = IndexRecipe(
    label="test",
    parser="blocks-1",
    chunker=Chunker("tree-1", 12, "heading"),
    embedder=Embedding(HASH, "", "", 32),
    bm25=Bm25(1.2, 0.75, 10.0, "english"),
    fusion=Fusion("convex", 0.5, 0.5),
    reranker=None,
    candidates=200,
    passages=4,
    abstain_below=0.0,
)
Groups: TypeAlias = tuple[str, ...]
STAFF: Groups = ("staff",)
HR: Groups = ("hr",)
NOBODY: Groups = ("nobody",)
Rules = Mapping[str, Mapping[str, object]]


class Counting(HashEmbedder):
    """Remembers how many texts it embedded."""

    def __init__(self) -> None:
        super().__init__(32)
        self.texts = 0

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += len(texts)
        return super().embed(texts)


class Parsing:
    """The parser in this process."""

    def parse(self, name: str, raw: bytes) -> Parsed:
        return parse(name, raw)


class Crash(Exception):
    """The process died here."""


class Dying(MemoryStore):
    """Takes chunks and dies before they are confirmed, when told to."""

    dies = False

    async def flush(self) -> None:
        if self.dies and await self.count() != self.flushed:
            raise Crash
        self.flushed = await self.count()

    flushed = 0


@dataclass
class World:
    """A folder of documents, a catalog and an open index."""

    folder: Path
    directory: Path
    catalog: Catalog
    store: ChunkStore
    embedder: Counting = field(default_factory=Counting)
    recipe: IndexRecipe = RECIPE

    def write(self, files: Mapping[str, str | bytes], rules: Rules, **top: str) -> None:
        self.folder.mkdir(exist_ok=True)
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        listed = [{"match": f"/{match}", **rule} for match, rule in rules.items()]
        (self.folder / "twinpin.yaml").write_bytes(msgspec.json.encode({"tenant": "acme", "rules": listed, **top}))

    async def ingest(self, documents: Sequence[SourceDocument] | None = None) -> Report:
        run = Ingestion(
            self.recipe, self.directory, self.catalog, self.store, self.embedder, Parsing(), lambda *_: None, batch=5
        )
        source = FolderSource(self.folder)
        return await run.run(source.documents() if documents is None else documents, source.origin)

    async def seen(self, *groups: str, tenant: str = "acme", category: str | None = None) -> dict[str, str]:
        """Everything a caller can be shown, as the words of each document, its passages in order."""
        finder = Finder(self.recipe, self.embedder, self.store, self.catalog)
        access = access_filter(Principal(tenant, "u", frozenset(groups), frozenset()))
        narrowing = Narrowing((category,)) if category else Narrowing()
        findings = await finder.find("words", access, narrowing, limit=200)
        assert findings.violations == 0
        refs = sorted((one.passage.ref.document, one.passage.ref.start, one.passage.text) for one in findings.passages)
        shown: dict[str, str] = {}
        for document, _, text in refs:
            shown[document] = f"{shown[document]}\n\n{text}" if document in shown else text
        return shown


@pytest.fixture(params=["memory", "edge"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path, MemoryStore() if request.param == "memory" else None) as one:
        yield one


@asynccontextmanager
async def opened(tmp_path: Path, store: ChunkStore | None) -> AsyncIterator[World]:
    directory = tmp_path / "idx"
    directory.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog.open(tmp_path / "catalog.db"))
        index = store or EdgeStore.open(directory, 32)
        stack.push_async_callback(index.close)
        yield World(tmp_path / "docs", directory, catalog, index)


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
    assert first.embedded == first.manifest.chunks == await world.store.count() > 3
    world.embedder.texts = 0
    second = await world.ingest()
    assert statuses(second) == {"a.md": "unchanged", "deep/b.txt": "unchanged"}
    assert (second.embedded, world.embedder.texts, second.troubled) == (0, 0, [])
    assert second.manifest == first.manifest == read_manifest(world.directory, RECIPE)
    assert await world.catalog.watermark() == first.manifest.watermark


async def test_the_manifest_says_what_is_held(world: World) -> None:
    world.write({"a.md": words("one", "two"), "b.txt": words("four")}, ALLOWED)
    manifest = (await world.ingest()).manifest
    assert (manifest.name, manifest.documents, manifest.watermark) == (RECIPE.name, 2, {"acme": 2})
    assert 3 < manifest.measured_avg_len < 12


async def test_an_edit_replaces_all_chunks_of_a_document(world: World) -> None:
    world.write({"a.md": words("one", "two", "three"), "b.md": words("kept")}, ALLOWED)
    await world.ingest()
    world.write({"a.md": words("new")}, ALLOWED)
    report = await world.ingest()
    assert statuses(report) == {"a.md": "updated", "b.md": "unchanged"}
    assert await world.seen("staff") == {"a.md": words("new"), "b.md": words("kept")}
    assert await world.store.count() == report.manifest.chunks == 2


async def test_an_edit_taken_back_is_an_edit(world: World) -> None:
    for text in ("one", "two", "one"):
        world.write({"a.md": words(text)}, ALLOWED)
        await world.ingest()
    assert (await world.seen("staff"), await world.store.count()) == ({"a.md": words("one")}, 1)


async def test_a_change_of_access_is_seen_at_once_and_embeds_nothing(world: World) -> None:
    world.write({"a.md": words("one", "two"), "b.md": words("other")}, ALLOWED)
    before = (await world.ingest()).manifest
    world.embedder.texts = 0
    world.write({}, {**ALLOWED, "a.md": {"allow": ["group:hr"], "deny": ["user:eve"]}})
    report = await world.ingest()
    assert statuses(report) == {"a.md": "access", "b.md": "unchanged"}
    assert world.embedder.texts == 0
    assert (set(await world.seen(*STAFF)), set(await world.seen(*HR))) == ({"b.md"}, {"a.md"})
    assert report.manifest.watermark == {"acme": before.watermark["acme"] + 1}
    assert statuses(await world.ingest())["a.md"] == "unchanged"


async def test_changed_metadata_is_written(world: World) -> None:
    world.write({"a.md": words("one"), "old.md": words("old")}, ALLOWED)
    await world.ingest()
    described = {"category": "policy", "title": "Title", "updated": "2026-02-03", "supersedes": "old.md"}
    world.write({}, {**ALLOWED, "a.md": described})
    assert statuses(await world.ingest()) == {"a.md": "updated", "old.md": "unchanged"}
    known = await world.catalog.get("acme", "a.md")
    assert known is not None
    assert (known.title, str(known.updated), known.supersedes) == ("Title", "2026-02-03", "old.md")
    assert set(await world.seen("staff", category="policy")) == {"a.md"}
    assert set(await world.seen("staff")) == {"a.md"}, "what a document supersedes does not answer"


async def test_what_a_document_says_of_itself_never_decides_access(world: World) -> None:
    front = "---\ntitle: Own\ncategory: own\nallow: [group:everyone]\ntenant: other\nupdated: 2026-01-01\n---\n\n"
    world.write({"a.md": front + words("one")}, {"**": {"allow": ["group:hr"]}})
    await world.ingest()
    known = await world.catalog.get("acme", "a.md")
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
    world.embedder.texts = 0
    assert statuses(await world.ingest())["a.md"] == "access", "giving the list back gives the document back"
    assert (set(await world.seen("staff")), world.embedder.texts) == ({"a.md", "b.md"}, 0)


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
    assert (world.directory / MANIFEST_FILE).exists()


async def test_a_document_that_broke_keeps_its_text_and_loses_the_access_taken_away(world: World) -> None:
    world.write({"a.md": words("one")}, {"**": {"allow": ["group:staff", "group:hr"]}})
    await world.ingest()
    world.write({"a.md": b""}, {"**": {"allow": ["group:hr", "group:sales"]}})
    assert statuses(await world.ingest()) == {"a.md": "failed"}
    assert await world.seen(*HR) == {"a.md": words("one")}
    assert await world.seen(*STAFF) == {}
    assert await world.seen("sales") == {}, "access is given with the content it was written for, never with the old"


async def test_access_is_taken_away_before_the_new_text_is_there(tmp_path: Path) -> None:
    store = Dying()
    async with opened(tmp_path, store) as world:
        world.write({"a.md": words("one")}, {"**": {"allow": ["group:staff", "group:hr"]}})
        await world.ingest()
        store.dies = True
        world.write({"a.md": words("two")}, {"**": {"allow": ["group:hr"]}})
        with pytest.raises(Crash):
            await world.ingest()
        assert (await world.seen(*STAFF), await world.seen(*HR)) == ({}, {"a.md": words("one")})


async def test_a_file_that_vanishes_during_the_run_is_reported(world: World) -> None:
    world.write({"a.md": words("one"), "b.md": words("other")}, ALLOWED)
    documents = FolderSource(world.folder).documents()
    (world.folder / "a.md").unlink()
    report = await world.ingest(documents)
    assert statuses(report) == {"a.md": "failed", "b.md": "added"}
    assert report.troubled[0].reason == "'a.md' vanished before it could be read"


async def test_a_document_without_any_words_left_has_no_chunks(world: World) -> None:
    class Silent(Parsing):
        def parse(self, name: str, raw: bytes) -> Parsed:
            return super().parse(name, raw) if b"words" in raw else Parsed(None, "", (), {})

    world.write({"a.md": words("one")}, ALLOWED)
    await world.ingest()
    world.write({"a.md": "nothing"}, ALLOWED)
    run = Ingestion(RECIPE, world.directory, world.catalog, world.store, world.embedder, Silent(), lambda *_: None)
    source = FolderSource(world.folder)
    report = await run.run(source.documents(), source.origin)
    assert (report.manifest.chunks, report.manifest.documents, await world.seen("staff")) == (0, 1, {})


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
    assert report.departed[0].reason == "'a.md' moved to tenant 'other': nobody in tenant 'acme' can read it any more"
    assert (await world.seen("staff"), report.troubled) == ({"b.md": words("kept")}, [])
    assert await world.seen("staff", tenant="other") == {"a.md": words("one")}
    assert (await world.ingest()).departed == [], "it is told once"
    world.write({}, ALLOWED)
    report = await world.ingest()
    assert [one.status for one in report.outcomes] == ["moved", "access", "unchanged"]
    assert set(await world.seen("staff")) == {"a.md", "b.md"}
    assert await world.seen("staff", tenant="other") == {}


async def test_a_file_that_goes_takes_its_document_along_and_brings_it_back(world: World) -> None:
    world.write({"a.md": words("one"), "b.md": words("kept")}, ALLOWED)
    await world.ingest()
    (world.folder / "a.md").unlink()
    report = await world.ingest()
    assert statuses(report) == {"a.md": "gone", "b.md": "unchanged"}
    assert "'a.md' is not in the folder" in (report.departed[0].reason or "")
    assert await world.seen("staff") == {"b.md": words("kept")}
    assert statuses(await world.ingest()) == {"b.md": "unchanged"}
    world.write({"a.md": words("one")}, ALLOWED)
    world.embedder.texts = 0
    assert statuses(await world.ingest()) == {"a.md": "access", "b.md": "unchanged"}
    assert (set(await world.seen("staff")), world.embedder.texts) == ({"a.md", "b.md"}, 0)


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
    world.embedder.texts = 0
    assert (statuses(await world.ingest()), world.embedder.texts) == ({"a b.md": "updated"}, 0)
    known = await world.catalog.get("acme", "a b.md")
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


async def test_ids_come_from_content_and_place_alone(tmp_path: Path) -> None:
    held = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        async with opened(tmp_path / name, MemoryStore()) as world:
            world.write({"a.md": words("one", "two"), "b.md": words("three")}, ALLOWED)
            await world.ingest()
            access = access_filter(Principal("acme", "u", frozenset({"staff"}), frozenset()))
            finder = Finder(RECIPE, world.embedder, world.store, world.catalog)
            findings = await finder.find("words", access, Narrowing(), limit=50)
            held.append([(one.passage.ref, one.score) for one in findings.passages])
    assert held[0] == held[1]


async def test_another_index_version_starts_from_nothing_and_follows_the_same_catalog(tmp_path: Path) -> None:
    """The catalog is shared: what one version's run changed, another version has to catch up with."""
    other = msgspec.structs.replace(RECIPE, label="other")
    async with opened(tmp_path, MemoryStore()) as first:
        directory = tmp_path / "other"
        directory.mkdir()
        second = World(first.folder, directory, first.catalog, MemoryStore(), recipe=other)
        first.write({"a.md": words("one"), "b.md": words("same")}, ALLOWED)
        await first.ingest()
        assert statuses(await second.ingest()) == {"a.md": "updated", "b.md": "updated"}
        assert statuses(await first.ingest()) == {"a.md": "unchanged", "b.md": "unchanged"}

        first.write({"a.md": words("two")}, {**ALLOWED, "b.md": {"allow": ["group:hr"]}})
        await first.ingest()
        first.write({"a.md": words("one")}, {**ALLOWED, "b.md": {"allow": ["group:hr"]}})
        assert statuses(await second.ingest()) == {"a.md": "updated", "b.md": "access"}
        assert (await second.seen(*STAFF), await second.seen(*HR)) == ({"a.md": words("one")}, {"b.md": words("same")})
        assert statuses(await first.ingest()) == {"a.md": "updated", "b.md": "unchanged"}
        assert await first.seen(*STAFF) == {"a.md": words("one")}


async def test_an_index_whose_directory_is_gone_is_built_again(tmp_path: Path) -> None:
    async with opened(tmp_path, MemoryStore()) as world:
        world.write({"a.md": words("one")}, ALLOWED)
        await world.ingest()
    async with opened(tmp_path, MemoryStore()) as world:
        assert statuses(await world.ingest()) == {"a.md": "updated"}
        assert set(await world.seen("staff")) == {"a.md"}


@dataclass
class Fuse:
    """Burns through at call `left`."""

    left: int

    def guard(self, part: object) -> Any:
        return _Guarded(part, self)


class _Guarded:
    def __init__(self, part: object, fuse: Fuse) -> None:
        self._part, self._fuse = part, fuse

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        call = getattr(self._part, name)

        async def guarded(*args: object, **kwargs: object) -> object:
            self._fuse.left -= 1
            if self._fuse.left == 0:
                raise Crash
            return await call(*args, **kwargs)

        return guarded


BEFORE: tuple[Mapping[str, str | bytes], Rules] = (
    {
        "edited.md": words("edited", "old", "again"),
        "narrowed.md": words("narrowed"),
        "widened.md": words("secret", "widened"),
        "moved.md": words("moved"),
        "withdrawn.md": words("withdrawn"),
        "broken.md": words("broken"),
        "titled.md": words("titled"),
        "kept.md": words("kept"),
        "resettled.md": words("resettled"),
        "gone.md": words("gone"),
    },
    {"**": {"allow": ["group:staff", "group:hr"]}, "widened.md": {"allow": ["group:hr"]}},
)
AFTER: tuple[Mapping[str, str | bytes], Rules] = (
    {
        "edited.md": words("edited", "new", "text"),
        "narrowed.md": words("narrowed", "more"),
        "widened.md": words("public", "widened"),
        "broken.md": b"",
        "added.md": words("added", "one", "two", "three"),
    },
    {
        "**": {"allow": ["group:staff", "group:hr"]},
        "narrowed.md": {"allow": ["group:hr"]},
        "widened.md": {"allow": ["group:staff"]},
        "moved.md": {"allow": ["group:nobody"]},
        "withdrawn.md": {"allow": []},
        "resettled.md": {"tenant": "other"},
        "broken.md": {"allow": ["group:hr"]},
        "titled.md": {"title": "Another title", "category": "policy"},
    },
)


async def everything(world: World) -> dict[str, object]:
    """All that can be asked of a world, the catalog's sequence numbers aside."""
    callers: list[Groups] = [STAFF, HR, NOBODY, ("staff", "hr")]
    finder = Finder(world.recipe, world.embedder, world.store, world.catalog)
    scores = []
    for groups in callers:
        access = access_filter(Principal("acme", "u", frozenset(groups), frozenset()))
        found = await finder.find("secret words of the text", access, Narrowing(), limit=200)
        assert (found.violations, found.stale) == (0, 0)
        scores.append([(one.passage, round(one.score, 5)) for one in found.passages])
    return {
        "documents": await world.catalog.documents(),
        "holdings": await world.catalog.indexed(RECIPE.name),
        "count": await world.store.count(),
        "scores": scores,
        "sealed": (world.directory / MANIFEST_FILE).exists(),
    }


def nothing_is_half_published(old: dict[str, str], new: dict[str, str], now: dict[str, str]) -> None:
    """Each document is whole, as it was before or as it is after, or not there; and nobody sees what is not theirs."""
    for document, text in now.items():
        assert text in (old.get(document), new.get(document)), f"{document} is shown in pieces or to the wrong reader"
    assert old.keys() & new.keys() <= now.keys(), "a document that stays went away"


@pytest.fixture
async def prepared(tmp_path: Path) -> "Prepared":
    """The world before the change, as files and points to start from again and again."""
    (tmp_path / "before").mkdir()
    points: list[ChunkPoint] = []

    class Recording(MemoryStore):
        async def upsert(self, points_: Sequence[ChunkPoint]) -> None:
            points.extend(points_)
            await super().upsert(points_)

    async with opened(tmp_path / "before", Recording()) as world:
        world.write(*BEFORE, origin="docs")
        await world.ingest()
        old = {groups: await world.seen(*groups) for groups in (STAFF, HR, NOBODY)}
    return Prepared(tmp_path, points, old)


@dataclass
class Prepared:
    tmp_path: Path
    points: list[ChunkPoint]
    old: dict[Groups, dict[str, str]]

    @asynccontextmanager
    async def again(self, name: str, *, edge: bool) -> AsyncIterator[World]:
        shutil.copytree(self.tmp_path / "before", self.tmp_path / name)
        async with opened(self.tmp_path / name, None if edge else MemoryStore()) as world:
            await world.store.upsert(self.points)
            world.write(*AFTER, origin="docs")
            (world.folder / "gone.md").unlink()
            yield world


@pytest.mark.parametrize(("edge", "step"), [(False, 1), (True, 19)], ids=["memory, at every call", "edge, at some"])
async def test_dying_at_any_call_is_repaired_by_the_next_run(prepared: Prepared, edge: bool, step: int) -> None:
    async with prepared.again("uninterrupted", edge=edge) as world:
        fuse = Fuse(10**6)
        whole = World(world.folder, world.directory, fuse.guard(world.catalog), fuse.guard(world.store))
        report = await whole.ingest()
        calls = 10**6 - fuse.left
        due = await everything(world)
        new = {groups: await world.seen(*groups) for groups in (STAFF, HR, NOBODY)}
    assert [statuses(report)[name] for name in ("broken.md", "gone.md")] == ["failed", "gone"]
    assert calls > 50
    for n in range(1, calls + 1, step):
        async with prepared.again(f"dies-{n}", edge=edge) as world:
            fuse = Fuse(n)
            dying = World(world.folder, world.directory, fuse.guard(world.catalog), fuse.guard(world.store))
            with pytest.raises(Crash):
                await dying.ingest()
            for groups, was in prepared.old.items():
                nothing_is_half_published(was, new[groups], await world.seen(*groups))
            if (world.directory / MANIFEST_FILE).exists():
                seal = read_manifest(world.directory, RECIPE)
                assert (seal.chunks, seal.watermark) == (await world.store.count(), await world.catalog.watermark())
            await world.ingest()
            assert await everything(world) == due, f"after a crash at call {n} of {calls}"


async def test_an_interrupted_version_that_is_taken_back_leaves_nothing(tmp_path: Path) -> None:
    store = Dying()
    async with opened(tmp_path, store) as world:
        world.write({"a.md": words("one"), "b.md": words("kept")}, ALLOWED)
        await world.ingest()
        store.dies = True
        world.write({"a.md": words("two", "three"), "new.md": words("new")}, ALLOWED)
        with pytest.raises(Crash):
            await world.ingest()
        assert await store.count() == 5, "the control: chunks of versions that never were are in the index"
        assert not (world.directory / MANIFEST_FILE).exists()
        store.dies = False
        (world.folder / "new.md").unlink()
        world.write({"a.md": words("one")}, ALLOWED)
        report = await world.ingest()
        assert (await store.count(), report.manifest.chunks, report.manifest.documents) == (2, 2, 2)


async def test_a_damaged_seal_is_made_again(tmp_path: Path) -> None:
    async with opened(tmp_path, MemoryStore()) as world:
        world.write({"a.md": words("one")}, ALLOWED)
        await world.ingest()
        (world.directory / "manifest.json").write_bytes(b"")
        report = await world.ingest()
        assert (report.embedded, read_manifest(world.directory, RECIPE)) == (0, report.manifest)


async def test_a_store_that_fails_stops_the_run_and_takes_the_seal_off(tmp_path: Path) -> None:
    class Full(MemoryStore):
        async def upsert(self, points: Sequence[ChunkPoint]) -> None:
            raise StoreError("no space")

    async with opened(tmp_path, Full()) as world:
        world.write({"a.md": words("one")}, ALLOWED)
        with pytest.raises(StoreError, match="no space"):
            await world.ingest()
        assert not (world.directory / MANIFEST_FILE).exists()
        assert await world.seen("staff") == {}
