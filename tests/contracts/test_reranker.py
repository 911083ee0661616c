"""What every reranker keeps, whatever gives its opinion: the embedder's tokens, a model in this process, a server."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from retrieval.embed import HashEmbedder
from retrieval.index import Rerank
from retrieval.layout import PoolingServer
from retrieval.rerank import Reranker, Rerankers
from tests.retrieval.models.test_rerank_local import tiny
from tests.retrieval.models.test_rerank_served import SERVED
from tests.retrieval.pooling_double import Double, serving

ASKED = "How long is parental leave?"
TEXTS = ["Parental leave lasts 26 weeks.", "The pump needs oil.", "Größe: 12,5 %; 東京 の 契約書", "", "leave " * 3_000]


@pytest.fixture(params=["late", "cross-encoder", "vllm"])
async def reranker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reranker]:
    recipes = {
        "late": lambda: Rerank("late", 10),
        "cross-encoder": lambda: tiny(tmp_path_factory.mktemp("reranker") / "tiny"),
        "vllm": lambda: SERVED,
    }
    async with serving(Double(name=SERVED.path)) as server:
        rerankers = Rerankers(PoolingServer(server.url, server.key))
        recipe = recipes[request.param]()
        opened = await asyncio.to_thread(rerankers.open, recipe, HashEmbedder())
        yield opened
        await asyncio.to_thread(rerankers.release, opened)


async def test_a_reranker_keeps_its_contract(reranker: Reranker) -> None:
    scores = await reranker.rerank(ASKED, TEXTS)
    assert len(scores) == len(TEXTS)
    assert all(map(math.isfinite, scores))
    assert len(set(scores)) > 2, "texts that differ are told apart"
    assert await reranker.rerank(ASKED, TEXTS[::-1]) == pytest.approx(scores[::-1], abs=1e-5)
    assert await reranker.rerank(ASKED, []) == []


async def test_a_reranker_scores_each_text_by_itself(reranker: Reranker) -> None:
    scores = await reranker.rerank(ASKED, TEXTS)
    for text, score in zip(TEXTS, scores, strict=True):
        assert await reranker.rerank(ASKED, [text, text]) == pytest.approx([score, score], abs=1e-5)


async def test_who_asks_at_once_gets_the_scores_of_what_they_asked(reranker: Reranker) -> None:
    questions = [f"question {n} about leave" for n in range(12)]
    together = await asyncio.gather(*(reranker.rerank(one, TEXTS) for one in questions))
    for question, scores in list(zip(questions, together, strict=True))[::5]:
        assert await reranker.rerank(question, TEXTS) == pytest.approx(scores, abs=1e-5)


async def test_a_reranker_scores_alike_in_every_scope_and_for_words_that_were_read_before_it_forgot(
    reranker: Reranker,
) -> None:
    scores = await reranker.rerank(ASKED, TEXTS)
    reranker.forget()
    assert await reranker.rerank(ASKED, TEXTS, scope="one", since=0) == pytest.approx(scores, abs=1e-5)


async def test_a_reranker_goes_on_after_it_forgot_and_after_somebody_left(reranker: Reranker) -> None:
    scores = await reranker.rerank(ASKED, TEXTS)
    leaving = asyncio.create_task(reranker.rerank("somebody else", TEXTS * 8))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    reranker.forget()
    assert await reranker.rerank(ASKED, TEXTS) == pytest.approx(scores, abs=1e-5)
