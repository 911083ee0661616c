"""Which reranker a recipe gets, who shares it, and that an index version opens, empties and closes what it names."""

import asyncio
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.flipping.versions import open_built
from retrieval import rerank
from retrieval.acl import access_filter
from retrieval.building import build
from retrieval.embed import HashEmbedder
from retrieval.errors import EmbedderUnavailable, RecipeError, RerankerUnavailable
from retrieval.index import IndexRecipe, Rerank
from retrieval.live import closing, silent
from retrieval.models.likeness import Likeness
from retrieval.opening import Place, open_live
from retrieval.rerank import Reranker, Rerankers
from retrieval.store import Narrowing
from tests.retrieval.shelf import ANA, RECIPE, WIDER, new, shelf

LATE = Rerank("late", 5, blend=1.0)
CROSS = Rerank("cross-encoder", 5, blend=1.0, path="a-folder")


def naming(rule: Rerank, recipe: IndexRecipe = WIDER) -> IndexRecipe:
    return msgspec.structs.replace(recipe, reranker=rule)


class Longest:
    """A reranker that likes long texts, and counts what it is told to do."""

    def __init__(self) -> None:
        self.forgot = self.closed = 0
        self.opened_on = threading.current_thread()

    async def rerank(
        self, question: str, texts: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[float]:
        """The longest is the best."""
        return [float(len(text)) for text in texts]

    def forget(self) -> None:
        """Count."""
        self.forgot += 1

    def close(self) -> None:
        """Count."""
        self.closed += 1


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> list[Longest]:
    """The models that were opened, of which no file is read."""
    made: list[Longest] = []

    def opened(*_: Any) -> Reranker:
        made.append(Longest())
        return made[-1]

    monkeypatch.setattr(rerank, "_open_model", opened)
    return made


async def test_the_embedders_tokens_give_an_opinion_by_their_mean() -> None:
    embedder = HashEmbedder()
    opened = Rerankers().open(LATE, embedder)
    texts = ["parental leave is long", "the pump needs oil"]
    due = [one.mean for one in await embedder.compare("how long is leave", texts)]
    assert await opened.rerank("how long is leave", texts) == due
    assert due[0] > due[1]


async def test_the_embedder_is_told_for_whom_and_since_when_it_compares() -> None:
    class Told(HashEmbedder):
        async def compare(self, question: str, passages: Sequence[str], **told: object) -> list[Likeness]:
            assert told == {"scope": "one", "since": 3}
            return await super().compare(question, passages)

    assert len(await Rerankers().open(LATE, Told()).rerank("q", ["a"], scope="one", since=3)) == 1


async def test_an_embedder_that_compares_nothing_now_is_a_reranker_that_is_gone() -> None:
    class Overrun(HashEmbedder):
        async def compare(self, *_: object, **__: object) -> list[Likeness]:
            raise EmbedderUnavailable("too many wait")

    with pytest.raises(RerankerUnavailable, match="too many wait"):
        await Rerankers().open(LATE, Overrun()).rerank("q", ["a"])


class Blind(HashEmbedder):
    @property
    def compares(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (msgspec.structs.replace(LATE, path="a-folder"), "'late' is the embedder itself"),
        (msgspec.structs.replace(LATE, runtime="vllm"), "'late' is the embedder itself"),
        (LATE, "gives no vectors of tokens"),
        (CROSS, "'a-folder' is no cross-encoder's folder"),
        (msgspec.structs.replace(CROSS, runtime="vllm"), "set TWINPIN_RERANKER_URL"),
    ],
)
def test_a_recipe_that_nothing_here_can_follow_is_refused(rule: Rerank, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        Rerankers().open(rule, Blind())


def test_a_model_is_opened_once_whatever_is_made_of_its_scores(models: list[Longest]) -> None:
    rerankers, embedder = Rerankers(), HashEmbedder()
    first = rerankers.open(CROSS, embedder)
    assert rerankers.open(msgspec.structs.replace(CROSS, pairs=9, blend=0.1, margin=0.2), embedder) is first
    assert rerankers.open(msgspec.structs.replace(CROSS, digest="sha256:01"), embedder) is not first
    rerankers.release(first)
    assert [one.closed for one in models] == [0, 0]
    rerankers.release(first)
    assert [one.closed for one in models] == [1, 0]


def test_an_embedder_stays_open_when_what_compares_by_it_is_let_go() -> None:
    class Counted(HashEmbedder):
        closed = forgot = 0

        def close(self) -> None:
            self.closed += 1

        def forget(self) -> None:
            self.forgot += 1

    rerankers, embedder = Rerankers(), Counted()
    late = rerankers.open(LATE, embedder)
    late.forget()
    rerankers.release(late)
    assert (embedder.closed, embedder.forgot) == (0, 0)


async def test_an_index_version_is_found_in_by_the_reranker_that_its_recipe_names(
    tmp_path: Path, models: list[Longest]
) -> None:
    async with shelf(tmp_path, naming(CROSS, RECIPE)) as made:
        await made.documents.put([new("short.md", "Refund rule."), new("long.md", "Refund rule, and many more words.")])
        assert models == [], "what changes no content loads none"
        assert [one.passage.ref.document for one in await made.find("refund rule")] == ["long.md", "short.md"]
        await made.index.rewrite()
        assert (len(models), models[0].forgot, models[0].closed) == (1, 1, 0)
    assert models[0].closed == 1


async def test_a_finder_of_another_recipe_has_that_ones_reranker(tmp_path: Path, models: list[Longest]) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("short.md", "Refund rule."), new("long.md", "Refund rule, and many more words.")])
        found = {}
        for name, rule in (("none", None), ("late", LATE), ("cross", CROSS)):
            finder = made.index.finder(msgspec.structs.replace(RECIPE, reranker=rule))
            findings = await finder.find("refund rule", access_filter(ANA), Narrowing(), limit=5)
            found[name] = [one.rerank for one in findings.passages]
        assert found["none"] == [None, None]
        assert all(score is not None and math.isclose(score, 1.0, abs_tol=1e-5) for score in found["late"])
        assert found["cross"] == sorted(found["cross"], key=lambda score: -(score or 0.0)) != [None, None]
        made.index.finder(msgspec.structs.replace(RECIPE, reranker=CROSS))
        assert len(models) == 1, "opened once for one version"
        await made.index.rewrite()
        assert models[0].forgot == 1
    assert models[0].closed == 1


async def test_versions_that_are_open_at_one_place_share_their_reranker(tmp_path: Path, models: list[Longest]) -> None:
    async with shelf(tmp_path) as made:
        place = Place(tmp_path / "indexes")
        one = await open_live(naming(CROSS), place, made.catalog, create=True)
        other = await open_live(naming(msgspec.structs.replace(CROSS, pairs=3)), place, made.catalog, create=True)
        assert one.reranker is other.reranker is models[0]
        await one.close()
        assert models[0].closed == 0
        await other.close()
        assert models[0].closed == 1


async def test_a_reranker_that_is_refused_is_told_before_anything_is_built(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", "Refund rule.")])
        refused = naming(CROSS)
        with pytest.raises(RecipeError, match="is no cross-encoder's folder"):
            await build(refused, made.place, made.catalog, made.parser, silent)
        assert await made.catalog.held(refused.name) == {}
        assert await made.catalog.manifest(refused.name) is None


async def test_what_nothing_can_be_found_in_is_refused_before_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HashEmbedder, "compares", property(lambda _: False))
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", "Refund rule.")])
        refused = msgspec.structs.replace(WIDER, abstain_weakest=0.3)
        with pytest.raises(RecipeError, match="abstain_weakest"):
            await build(refused, made.place, made.catalog, made.parser, silent)
        assert await made.catalog.held(refused.name) == {}


async def test_the_gateway_opens_a_versions_reranker_before_it_answers(tmp_path: Path, models: list[Longest]) -> None:
    async with shelf(tmp_path) as made:
        await made.documents.put([new("a.md", "Refund rule.")])
        recipe = naming(CROSS)
        await build(recipe, made.place, made.catalog, made.parser, silent)
        async with closing(await open_built(recipe, made.place, made.catalog, made.parser)):
            assert models[-1].closed == 0
            assert models[-1].opened_on is not threading.current_thread(), "which takes seconds"
    assert [one.closed for one in models] == [1, 1]


async def test_a_finder_opened_off_the_event_loop_serves_on_it(tmp_path: Path) -> None:
    async with shelf(tmp_path, naming(LATE, RECIPE)) as made:
        await made.documents.put([new("a.md", "Refund rule."), new("b.md", "Refund and more.")])
        finder = await asyncio.to_thread(made.index.finder)
        findings = await finder.find("refund rule", access_filter(ANA), Narrowing(), limit=5)
        assert [one.passage.ref.document for one in findings.passages] == ["a.md", "b.md"]
        assert not findings.degraded
