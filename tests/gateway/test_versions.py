"""An index version is opened with all that its first question would else wait for."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from structlog.typing import EventDict

from gateway.flipping.versions import open_built
from retrieval import rerank
from retrieval.building import build
from retrieval.embed import HashEmbedder
from retrieval.errors import RecipeError, RerankerUnavailable
from retrieval.index import IndexRecipe, Rerank
from retrieval.live import closing, silent
from retrieval.models.likeness import Likeness
from tests.retrieval.shelf import WIDER, Shelf, shelf

LATE, CROSS = Rerank("late", 5), Rerank("cross-encoder", 5, path="a-folder")


class Away:
    """A reranker whose server does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    async def rerank(
        self, question: str, texts: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[float]:
        """Count."""
        self.asked += 1
        raise RerankerUnavailable("nobody is there")

    def forget(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Questions that were compared token by token."""
    questions: list[str] = []
    real = HashEmbedder.compare

    async def compare(
        embedder: HashEmbedder, question: str, passages: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[Likeness]:
        questions.append(question)
        return await real(embedder, question, passages, scope=scope, since=since)

    monkeypatch.setattr(HashEmbedder, "compare", compare)
    return questions


async def opened(made: Shelf, recipe: IndexRecipe) -> None:
    async with closing(await open_built(recipe, made.place, made.catalog, made.parser)):
        pass


@pytest.mark.parametrize(
    ("recipe", "warm"),
    [
        (WIDER, False),
        (msgspec.structs.replace(WIDER, reranker=LATE), True),
        (msgspec.structs.replace(WIDER, abstain_weakest=0.3), True),
    ],
)
async def test_tokens_are_compared_before_the_first_question_where_the_recipe_has_them_compared(
    tmp_path: Path, compared: list[str], recipe: IndexRecipe, warm: bool
) -> None:
    async with shelf(tmp_path) as made:
        await build(recipe, made.place, made.catalog, made.parser, silent)
        assert compared == []
        await opened(made, recipe)
        assert bool(compared) is warm


async def test_a_reranker_is_asked_before_the_first_question_and_may_be_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]
) -> None:
    away, recipe = Away(), msgspec.structs.replace(WIDER, reranker=CROSS)
    monkeypatch.setattr(rerank, "_open_model", lambda *_: away)
    async with shelf(tmp_path) as made:
        await build(recipe, made.place, made.catalog, made.parser, silent)
        await opened(made, recipe)
    assert away.asked == 1
    (line,) = [line for line in logged if line["event"] == "reranker_not_warm"]
    assert line["reason"] == "nobody is there"


async def test_a_version_that_nothing_can_be_found_in_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = msgspec.structs.replace(WIDER, abstain_weakest=0.3)
    async with shelf(tmp_path) as made:
        await build(recipe, made.place, made.catalog, made.parser, silent)
        monkeypatch.setattr(HashEmbedder, "compares", property(lambda _: False))
        with pytest.raises(RecipeError, match="abstain_weakest"):
            await opened(made, recipe)
