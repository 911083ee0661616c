"""Finding: what is dropped or only repeats is refilled, what a store leaks is never shown, rerankers may be late."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import msgspec
import pytest

from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.catalog import Catalog, Content, Document, Entry
from retrieval.embed import HASH, HashEmbedder
from retrieval.errors import CatalogError, IndexBehind, RecipeError, RerankerUnavailable, StoreError
from retrieval.findings import Findings
from retrieval.fusion import ChunkId, Legs
from retrieval.index import Bm25, Chunker, Embedding, Fusion, IndexRecipe, Packing, Rerank
from retrieval.models.likeness import Likeness
from retrieval.rerank import Reranker
from retrieval.search import Finder
from retrieval.sparse import Bm25Encoder
from retrieval.store import ChunkPoint, ChunkRef, ChunkStore, Fetched, HybridQuery, Narrowing
from retrieval.stores.memory_store import MemoryStore

RECIPE = IndexRecipe(
    label="test",
    parser="blocks-1",
    chunker=Chunker("tree-1", 100, "none"),
    embedder=Embedding(HASH, "", "", 64),
    bm25=Bm25(1.2, 0.75, 10.0, "english"),
    fusion=Fusion("convex", 0.5, 0.5),
    reranker=None,
    candidates=3,
    passages=4,
    abstain_below=0.0,
)
STAFF = Access("acme", frozenset({"group:staff"}))
HR = Access("acme", frozenset({"group:hr"}))
TODAY = date(2026, 11, 21)
QUESTION = "refund period"
ANYTHING = Narrowing()


def reader(*groups: str, tenant: str = "acme") -> AccessFilter:
    return access_filter(Principal(tenant, "u", frozenset(groups), frozenset()))


@dataclass
class World:
    """A catalog and an index that may disagree."""

    catalog: Catalog
    store: MemoryStore = field(default_factory=MemoryStore)
    recipe: IndexRecipe = RECIPE

    async def add(
        self,
        name: str,
        text: str,
        access: Access = STAFF,
        *,
        supersedes: str | None = None,
        category: str | None = None,
        updated: date | None = None,
        expires: date | None = None,
        chunks: Sequence[str] = (),
    ) -> Document:
        document = Document(name, f"sha256:{text}", name, name, category, updated, supersedes, access, expires=expires)
        for chunk in chunks or [text]:
            start = text.index(chunk)
            ref = ChunkRef(name, document.version, start, start + len(chunk), (), None)
            (dense,) = HashEmbedder(64).embed([chunk])
            sparse = Bm25Encoder(self.recipe.bm25).document(chunk)
            await self.store.upsert([ChunkPoint(ref, access, category, updated, dense, sparse)])
        await self.put(document, text)
        return document

    async def put(self, document: Document, text: str) -> None:
        """Make it current in the catalog alone."""
        await self.catalog.put([Entry(document, Content("blocks-1", text, b"[]"), text.encode())])

    async def revoke(self, document: Document) -> None:
        """Give it to others, in the catalog alone."""
        await self.catalog.grant("acme", document.id, HR)

    async def find(
        self,
        question: str = QUESTION,
        access: AccessFilter | None = None,
        narrowing: Narrowing = ANYTHING,
        *,
        limit: int = 2,
        reranker: Reranker | None = None,
        store: ChunkStore | None = None,
        within: float = 0.5,
        left: float = math.inf,
        today: date = TODAY,
        earlier: Sequence[str] = (),
    ) -> Findings:
        embedder = HashEmbedder(64)
        finder = Finder(self.recipe, embedder, store or self.store, self.catalog, reranker, today=lambda: today)
        return await finder.find(
            question,
            access or reader("staff"),
            narrowing,
            limit=limit,
            rerank_within=within,
            deadline=asyncio.get_running_loop().time() + left,
            earlier=earlier,
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Catalog.open(tmp_path / "catalog.db") as catalog:
        yield World(catalog)


def ruin(folder: Path) -> None:
    for file in folder.glob("catalog.db*"):
        file.write_bytes(b"no database" * 500)


def names(findings: Findings) -> list[str]:
    return [one.passage.ref.document for one in findings.passages]


async def test_best_first_with_words_and_scores(world: World) -> None:
    await world.add("far", "lunch is at noon")
    await world.add("near", "the refund period is 45 days")
    findings = await world.find()
    assert names(findings) == ["near", "far"]
    best, other = findings.passages
    assert (best.passage.text, best.rerank) == ("the refund period is 45 days", None)
    assert best.score > other.score
    assert best.bm25 > 0.0 == other.bm25
    assert findings.confidence == best.cosine > other.cosine
    assert (findings.violations, findings.stale, findings.degraded) == (0, 0, False)
    assert set(findings.timings) == {"embed", "search", "rerank", "pack", "confidence"}


async def test_what_the_catalog_alone_has_revoked_superseded_or_changed_is_refilled(world: World) -> None:
    revoked = await world.add("revoked", "refund period refund period")
    await world.add("superseded", "refund period refund")
    changed = await world.add("changed", "refund period period")
    await world.add("kept", "refund")
    await world.add("also kept", "nothing of it")
    assert names(await world.find(limit=3)) == ["revoked", "changed", "superseded"], "the control"
    await world.revoke(revoked)
    await world.put(replace(changed, version="sha256:new"), "new")
    await world.put(Document("newer", "sha256:n", "", "", None, None, "superseded", HR), "x")
    findings = await world.find()
    assert names(findings) == ["kept", "also kept"]
    assert (findings.stale, findings.violations) == (3, 0)


async def test_a_document_answers_until_the_day_it_expires(world: World) -> None:
    await world.add("offer", "refund period", expires=date(2026, 11, 22))
    await world.add("kept", "lunch")
    assert names(await world.find(limit=1)) == ["offer"]
    findings = await world.find(limit=1, today=date(2026, 11, 22))
    assert (names(findings), findings.stale) == (["kept"], 1)


async def test_an_index_that_is_behind_answers_nothing(world: World) -> None:
    await world.add("doc", "refund period")
    assert names(await world.find()) == ["doc"], "the control"
    await world.catalog.require("acme", 1)
    with pytest.raises(IndexBehind):
        await world.find()
    await world.catalog.mark(world.recipe.name, "acme", 1)
    assert names(await world.find()) == ["doc"]


async def test_it_widens_beyond_the_first_candidates(world: World) -> None:
    for n in range(20):
        document = await world.add(f"revoked {n}", f"refund period {n}")
        await world.revoke(document)
    await world.add("kept", "lunch")
    await world.add("also kept", "dinner")
    findings = await world.find(limit=2)
    assert sorted(names(findings)) == ["also kept", "kept"]
    assert findings.stale == 20


async def test_what_is_left_is_given_when_there_is_no_more(world: World) -> None:
    for n in range(5):
        await world.add(f"doc {n}", f"refund {n}")
    findings = await world.find(limit=50)
    assert len(findings.passages) == 5


async def test_a_chunk_that_vanishes_between_scoring_and_reading_is_stale(world: World) -> None:
    class Forgetful(MemoryStore):
        async def fetch(self, chunks: Sequence[ChunkId], access: AccessFilter) -> Fetched:
            return await super().fetch(chunks[1:], access)

    world.store = Forgetful()
    for n in range(2):
        await world.add(f"doc {n}", f"refund period {n}")
    findings = await world.find(limit=2)
    assert (len(findings.passages), findings.stale) == (1, 1)


class Leaky(MemoryStore):
    """Scores everybody's chunks, as a store does that ignores its filter."""

    async def score(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
        return await super().score(query, reader("staff", "hr"), narrowing)


async def test_a_store_that_leaks_is_counted_and_nothing_of_it_is_shown(world: World) -> None:
    world.store = Leaky()
    await world.add("hidden", "refund period refund period", HR)
    await world.add("hidden too", "refund period refund", HR)
    await world.add("shown", "refund")
    findings = await world.find()
    assert names(findings) == ["shown"]
    assert (findings.violations, findings.stale) == (2, 0)
    assert names(await world.find(access=reader("hr"))) == ["hidden", "hidden too"], "the control"


async def test_a_store_that_lies_about_access_is_stopped_by_the_catalog(world: World) -> None:
    secret = await world.add("secret", "refund period", HR)
    await world.store.describe(secret.id, STAFF, None, None)
    findings = await world.find()
    assert (names(findings), findings.stale, findings.confidence) == ([], 1, 0.0)


@pytest.mark.parametrize("access", [reader(), reader("nobody"), reader("staff", tenant="other")])
async def test_a_caller_without_grants_finds_nothing(world: World, access: AccessFilter) -> None:
    await world.add("doc", "refund period")
    findings = await world.find(access=access)
    assert (findings.passages, findings.confidence, findings.stale) == ((), 0.0, 0)


async def test_a_callers_filter_narrows(world: World) -> None:
    await world.add("old", "refund period", category="policy", updated=date(2024, 1, 1))
    await world.add("new", "refund period", category="policy", updated=date(2026, 1, 1))
    await world.add("note", "refund period", category="note", updated=date(2026, 1, 1))
    await world.add("hr", "refund period", HR, category="policy", updated=date(2026, 1, 1))
    narrowing = Narrowing(("policy",), updated_after=date(2025, 1, 1))
    assert names(await world.find(narrowing=narrowing, limit=9)) == ["new"]


async def test_a_question_of_stop_words_is_answered_by_vectors_alone(world: World) -> None:
    await world.add("doc", "what is the")
    findings = await world.find("what is the")
    assert names(findings) == ["doc"]
    assert findings.passages[0].bm25 == 0.0
    assert findings.confidence == pytest.approx(1.0)


async def test_confidence_is_that_of_the_best_passage_and_does_not_depend_on_others(world: World) -> None:
    await world.add("doc", "the refund period is 45 days")
    alone = await world.find()
    for n in range(5):
        await world.add(f"other {n}", f"lunch {n}", HR)
    crowded = await world.find(access=reader("staff", "hr"))
    assert crowded.confidence == alone.confidence == alone.passages[0].cosine


async def test_confidence_is_of_the_surest_passage_that_is_shown_and_tells_its_category(ranked: World) -> None:
    await ranked.add("surest", "refund period refund", category="policy")
    ranked.recipe = msgspec.structs.replace(ranked.recipe, reranker=Rerank("cross-encoder", pairs=4, blend=1.0))
    scores = SCORES | {"refund period": 9.0, "refund period refund": 5.0}
    findings = await ranked.find("refund period refund", reranker=Scripted(scores))
    assert names(findings) == ["first", "surest"]
    cosines = {one.passage.ref.document: one.cosine for one in findings.passages}
    assert findings.confidence == cosines["surest"] > cosines["first"]
    assert findings.category == "policy"


async def test_a_search_that_asks_for_no_confidence_compares_nothing(world: World) -> None:
    world.recipe = msgspec.structs.replace(RECIPE, abstain_weakest=0.5, abstain_coverage=0.5)
    await world.add("doc", "refund period")
    finder = Finder(world.recipe, Silenced(64), world.store, world.catalog)
    findings = await finder.find(QUESTION, reader("staff"), ANYTHING, limit=2, confident=False)
    assert (names(findings), findings.confidence, findings.category) == (["doc"], 0.0, None)


async def test_confidence_may_count_the_words_of_the_question_that_a_passage_holds(world: World) -> None:
    world.recipe = msgspec.structs.replace(RECIPE, abstain_coverage=0.5)
    await world.add("refund", "money back")
    findings = await world.find("refund period", limit=1)
    assert findings.confidence == pytest.approx(0.5 * findings.passages[0].cosine + 0.5 * 0.5), "the title counts"


async def test_confidence_may_count_the_least_similar_words_of_the_question(world: World) -> None:
    world.recipe = msgspec.structs.replace(RECIPE, abstain_weakest=0.5)
    await world.add("whole", "the refund period of a bulky order")
    await world.add("part", "refund refund refund period")
    both = await world.find("refund period bulky order", limit=2)
    whole, part = await world.find("refund period", limit=1), await world.find("refund lunch", limit=1)
    assert both.confidence > 0.5 * both.passages[0].cosine + 0.3, "all words of the question are there"
    assert whole.confidence > part.confidence
    assert (await world.find("refund", access=reader("nobody"))).confidence == 0.0


class Silenced(HashEmbedder):
    """Must not be asked to compare."""

    async def compare(
        self, question: str, passages: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[Likeness]:
        raise AssertionError("nobody is to be told how sure it is")


class Silent(HashEmbedder):
    """Gives no token vectors."""

    @property
    def compares(self) -> bool:
        return False


async def test_confidence_by_token_vectors_needs_an_embedder_that_gives_them(world: World) -> None:
    recipe = msgspec.structs.replace(RECIPE, abstain_weakest=0.5)
    with pytest.raises(RecipeError, match="abstain_weakest, and its embedder gives no token vectors"):
        Finder(recipe, Silent(64), world.store, world.catalog)


async def test_what_earlier_questions_found_stays_a_candidate(world: World) -> None:
    for name, text in (("asked", "parking fee"), ("unlike", "lunch is at noon"), ("before", "refund period days")):
        await world.add(name, text)
    await world.add("hidden", "refund period", HR)
    question, earlier = "parking", ["lunch", "refund period"]
    assert names(await world.find(question, limit=1)) == ["asked"], "the control"
    findings = await world.find(question, limit=2, earlier=earlier)
    assert names(findings) == ["asked", "before"], "the newest of the earlier questions counts most"
    assert findings.confidence == (await world.find(question, limit=1)).confidence
    assert findings.violations == 0


async def test_a_question_that_finds_its_passage_keeps_it_first_whatever_was_asked_before(world: World) -> None:
    await world.add("asked", "parking fee per day")
    await world.add("before", "refund period")
    assert names(await world.find("parking fee", earlier=["refund period"] * 3)) == ["asked", "before"]


TEXT = "The refund period is 45 days. Bulky orders have 60 days. Lunch is at noon. Parking is free."
SENTENCES = [f"{sentence}." for sentence in TEXT.removesuffix(".").split(". ")]


async def test_neighbours_that_were_found_become_one_passage(world: World) -> None:
    world.recipe = msgspec.structs.replace(RECIPE, packing=Packing())
    await world.add("doc", TEXT, chunks=SENTENCES)
    await world.add("other", "refund of a deposit")
    findings = await world.find("refund period of bulky orders", limit=2)
    assert names(findings) == ["doc", "other"], "one passage of it, so that there is room for another document"
    best = findings.passages[0].passage
    assert best.text.startswith(" ".join(SENTENCES[:2]))
    assert (best.ref.start, best.text) == (0, TEXT[: best.ref.end])


async def test_a_passage_grows_by_what_stands_around_it_and_confidence_stays_that_of_the_chunk(world: World) -> None:
    await world.add("doc", TEXT, chunks=SENTENCES[:1])
    plain = await world.find(limit=1)
    world.recipe = msgspec.structs.replace(RECIPE, packing=Packing(grow=8))
    grown = await world.find(limit=1)
    assert [one.passage.text for one in plain.passages] == SENTENCES[:1]
    assert [one.passage.text for one in grown.passages] == [" ".join(SENTENCES[:2])]
    assert grown.confidence == plain.confidence


async def test_a_catalog_that_does_not_answer_passes_through(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    async with Catalog.open(path) as catalog:
        world = World(catalog)
        await world.add("doc", "refund period")
    async with Catalog.open(path) as catalog:
        world.catalog = catalog
        assert names(await world.find()) == ["doc"], "the control"
        ruin(tmp_path)
        with pytest.raises(CatalogError):
            await world.find()


async def test_a_store_that_does_not_answer_passes_through(world: World) -> None:
    class Gone(MemoryStore):
        async def score(self, query: HybridQuery, access: AccessFilter, narrowing: Narrowing) -> Legs:
            raise StoreError("gone")

    with pytest.raises(StoreError, match="gone"):
        await world.find(store=Gone())


@dataclass
class Scripted:
    """Scores texts by a table."""

    scores: dict[str, float]
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)

    async def rerank(
        self, question: str, texts: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[float]:
        self.asked = list(texts)
        await asyncio.sleep(self.seconds)
        return [self.scores[text] for text in texts]

    def forget(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
async def ranked(world: World) -> World:
    """Three documents in a fused order that a reranker turns round."""
    world.recipe = msgspec.structs.replace(RECIPE, reranker=Rerank("cross-encoder", pairs=3, blend=1.0))
    for name, text in (("first", "refund period"), ("second", "refund period x y"), ("third", "refund a b c d")):
        await world.add(name, text)
    return world


SCORES = {"refund period": -2.0, "refund period x y": 0.0, "refund a b c d": 3.0}


async def test_a_reranker_reorders_the_first_pairs(ranked: World) -> None:
    reranker = Scripted(SCORES)
    assert names(await ranked.find()) == ["first", "second"]
    findings = await ranked.find(reranker=reranker)
    assert names(findings) == ["third", "second"], "it may lift what would not have been shown"
    assert [one.rerank for one in findings.passages] == [3.0, 0.0]
    assert (findings.degraded, reranker.asked) == (False, list(SCORES))


async def test_a_rerankers_opinion_counts_as_much_as_the_recipe_says(ranked: World) -> None:
    fused = {
        name: one.score
        for name, one in zip(("first", "second", "third"), (await ranked.find(limit=3)).passages, strict=True)
    }
    low, high = min(fused.values()), max(fused.values())
    for blend in (0.0, 0.3, 0.6, 1.0):
        ranked.recipe = msgspec.structs.replace(RECIPE, reranker=Rerank("cross-encoder", pairs=3, blend=blend))
        due = {
            name: (1 - blend) * (fused[name] - low) / (high - low) + blend * (score + 2.0) / 5.0
            for name, score in zip(fused, SCORES.values(), strict=True)
        }
        findings = await ranked.find(limit=3, reranker=Scripted(SCORES))
        assert names(findings) == sorted(due, key=lambda name: -due[name]), blend
        assert {one.passage.ref.document: one.score for one in findings.passages} == fused


async def test_a_reranker_is_not_asked_where_the_first_leads_clearly(ranked: World) -> None:
    first, second = (await ranked.find()).passages
    lead = first.score - second.score
    for margin, asked in ((lead * 0.9, []), (lead * 1.1, list(SCORES))):
        ranked.recipe = msgspec.structs.replace(RECIPE, reranker=Rerank("cross-encoder", pairs=3, margin=margin))
        reranker = Scripted(SCORES)
        findings = await ranked.find(reranker=reranker)
        assert (reranker.asked, findings.degraded) == (asked, False)


async def test_what_is_below_a_rerankers_pairs_stays_below(ranked: World) -> None:
    ranked.recipe = msgspec.structs.replace(RECIPE, reranker=Rerank("cross-encoder", pairs=2, blend=1.0))
    reranker = Scripted(SCORES)
    assert names(await ranked.find(limit=3, reranker=reranker)) == ["second", "first", "third"]
    assert reranker.asked == list(SCORES)[:2]


async def test_a_reranker_reads_passages_below_their_title_and_headings(ranked: World) -> None:
    ranked.recipe = msgspec.structs.replace(ranked.recipe, chunker=Chunker("tree-1", 100, "heading"))
    reranker = Scripted(
        {f"{name}\n{text}": 0.0 for name, text in zip(("first", "second", "third"), SCORES, strict=True)}
    )
    await ranked.find(reranker=reranker)
    assert reranker.asked == list(reranker.scores)


async def test_a_reranker_sees_permitted_passages_only(ranked: World) -> None:
    await ranked.add("hidden", "refund period secret", HR)
    reranker = Scripted(SCORES)
    await ranked.find(reranker=reranker)
    assert reranker.asked == list(SCORES)


async def test_a_reranker_that_misses_its_deadline_leaves_the_fused_order(ranked: World) -> None:
    findings = await ranked.find(reranker=Scripted(SCORES, seconds=5.0), within=0.02)
    assert (names(findings), findings.degraded) == (["first", "second"], True)
    assert [one.rerank for one in findings.passages] == [None, None]


async def test_a_reranker_leaves_half_of_what_is_left_to_the_rest(ranked: World) -> None:
    began = time.monotonic()
    findings = await ranked.find(reranker=Scripted(SCORES, seconds=5.0), within=4.0, left=2.0)
    assert (names(findings), findings.degraded) == (["first", "second"], True)
    assert time.monotonic() - began < 2.0


async def test_a_reranker_that_is_gone_leaves_the_fused_order(ranked: World) -> None:
    class Gone(Scripted):
        async def rerank(
            self, question: str, texts: Sequence[str], *, scope: str = "", since: int | None = None
        ) -> list[float]:
            raise RerankerUnavailable("gone")

    findings = await ranked.find(reranker=Gone({}))
    assert (names(findings), findings.degraded) == (["first", "second"], True)


async def test_there_is_nothing_to_rerank_in_one_passage(ranked: World) -> None:
    reranker = Scripted({})
    findings = await ranked.find(narrowing=Narrowing(("none",)), reranker=reranker)
    assert (findings.passages, findings.degraded, reranker.asked) == ((), False, [])


LONG = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(70))


async def test_what_repeats_is_shown_once_and_refilled(world: World) -> None:
    for n in range(5):
        await world.add(f"copy {n}", "Refund period: at once!" if n else "refund  period at once")
    await world.add("other", "refund at noon")
    findings = await world.find(limit=2)
    assert names(findings) == ["copy 0", "other"]
    assert (findings.collapsed, findings.stale) == (4, 0)


async def test_repetitions_may_be_left_alone(world: World) -> None:
    world.recipe = msgspec.structs.replace(RECIPE, collapse=0.0)
    for n in range(2):
        await world.add(f"copy {n}", "refund period")
    findings = await world.find(limit=2)
    assert (names(findings), findings.collapsed) == (["copy 0", "copy 1"], 0)


async def test_the_newest_of_what_repeats_is_shown_at_the_place_of_the_best(world: World) -> None:
    best = await world.add("best", f"refund period {LONG}", updated=date(2024, 1, 1))
    await world.add("between", "refund " + "x y z " * 30, updated=date(2026, 9, 9))
    before = await world.find(limit=3)
    assert names(before) == ["best", "between"], "the control"
    await world.add("newest", LONG, updated=date(2026, 1, 1))
    await world.add("undated", f"refund {LONG}")
    world.recipe = msgspec.structs.replace(RECIPE, collapse=0.0)
    assert names(await world.find(limit=4)) == ["best", "undated", "between", "newest"], "the control"
    world.recipe = RECIPE
    findings = await world.find(limit=3)
    assert names(findings) == ["newest", "between"]
    shown = findings.passages[0]
    assert (shown.passage.text, shown.cosine) == (LONG, before.passages[0].cosine)
    assert findings.collapsed == 2
    await world.revoke(best)
    left = await world.find(limit=3)
    assert set(names(left)) == {"newest", "between"}
    assert left.collapsed == 1


@pytest.mark.parametrize("updated", [date(2026, 11, 20), None])
async def test_a_copy_that_the_caller_may_not_see_has_no_influence(world: World, updated: date | None) -> None:
    await world.add("mine", "refund period", updated=date(2024, 1, 1))
    await world.add("other", "refund")
    alone = await world.find(limit=3)
    for name in ("a hidden", "z hidden"):
        await world.add(name, "refund period", HR, updated=updated)
    crowded = await world.find(limit=3)
    assert (crowded.passages, crowded.collapsed) == (alone.passages, 0)
    assert (await world.find(access=reader("staff", "hr"), limit=3)).collapsed == 2, "the control"


@pytest.mark.parametrize("updated", [date(2026, 11, 20), None])
async def test_a_copy_that_only_the_catalog_knows_to_be_hidden_has_none_either(
    world: World, updated: date | None
) -> None:
    await world.add("mine", "refund period", updated=date(2024, 1, 1))
    await world.add("other", "refund")
    alone = await world.find(limit=3)
    for name in ("a revoked", "z revoked"):
        await world.revoke(await world.add(name, "refund period", updated=updated))
    crowded = await world.find(limit=3)
    assert [one.passage for one in crowded.passages] == [one.passage for one in alone.passages]
    assert (crowded.collapsed, crowded.stale) == (0, 2)


async def test_a_copy_outside_of_the_callers_filter_has_no_influence(world: World) -> None:
    await world.add("old", "refund period", updated=date(2024, 1, 1))
    await world.add("new", "refund period", updated=date(2026, 1, 1))
    assert names(await world.find(limit=3)) == ["new"]
    narrowed = await world.find(narrowing=Narrowing(updated_before=date(2025, 1, 1)), limit=3)
    assert (names(narrowed), narrowed.collapsed) == (["old"], 0)


async def test_a_reranker_sees_each_repeated_passage_once(ranked: World) -> None:
    await ranked.add("copy", "Refund period.", updated=date(2026, 1, 1))
    reranker = Scripted({**SCORES, "Refund period.": 9.0})
    assert names(await ranked.find(reranker=reranker))[0] == "copy"
    assert reranker.asked == ["Refund period.", "refund period x y", "refund a b c d"]


@pytest.mark.parametrize(("days", "old"), [(19, True), (20, False)])
async def test_a_passage_is_old_by_the_rule_of_its_category(world: World, days: int, old: bool) -> None:
    world.recipe = msgspec.structs.replace(RECIPE, freshness={"policy": days})
    await world.add("policy", "refund period", category="policy", updated=date(2026, 11, 1))
    await world.add("note", "refund", category="note", updated=date(2000, 1, 1))
    found = await world.find()
    assert {one.passage.ref.document: one.old for one in found.passages} == {"policy": old, "note": False}
