"""Reranking by a server: whole answers of the pinned model or none, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from gateway.settings import Settings
from retrieval.embed import HashEmbedder
from retrieval.errors import RecipeError, RerankerUnavailable
from retrieval.index import Rerank
from retrieval.layout import PoolingServer
from retrieval.models import rerank_served
from retrieval.models.fingerprint import alike, fingerprint
from retrieval.models.rerank_served import _ASKED, _SHOWN, ServedReranker, _spread
from retrieval.opening import place_of
from tests.retrieval.models.test_embed_served import Clock
from tests.retrieval.pooling_double import Double, serving

ASKED = "How long is leave?"
TEXTS = ["The pump needs oil.", "How long is leave? Leave is 27 days.", "leave"]
SCORE = Double().score
DUE = [SCORE(ASKED, text) for text in TEXTS]
DIGEST = fingerprint([_spread([SCORE(_ASKED, text) for text in _SHOWN])])
SERVED = Rerank("cross-encoder", 10, path="house-reranker", digest=DIGEST, runtime="vllm")


@pytest.fixture
async def server() -> AsyncIterator[Double]:
    async with serving(Double(name="house-reranker")) as double:
        yield double


async def opened(server: Double, clock: Clock | None = None, **changes: Any) -> ServedReranker:
    """Opened as the product does, beside the event loop."""
    where = PoolingServer(server.url, "secret")
    recipe = msgspec.structs.replace(SERVED, **changes)
    return await asyncio.to_thread(ServedReranker, recipe, where, clock or Clock())


def asked(server: Double) -> list[dict[str, Any]]:
    """The requests for scores, those of the fingerprint left out."""
    return [body for path, body in server.heard if path == "/rerank" and body["query"] != _ASKED]


async def test_a_recipe_that_names_it_is_reranked_by_the_server_that_is_set(server: Double, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, reranker_url=server.url, reranker_api_key=SecretStr("secret"))
    rerankers = place_of(settings).rerankers
    reranker = await asyncio.to_thread(rerankers.open, SERVED, HashEmbedder())
    assert await reranker.rerank(ASKED, TEXTS) == pytest.approx(DUE)
    rerankers.release(reranker)


async def test_sorted_answers_are_put_back_in_the_order_of_the_texts(server: Double) -> None:
    reranker = await opened(server)
    assert await reranker.rerank(ASKED, TEXTS) == pytest.approx(DUE)
    assert sorted(DUE, reverse=True) != DUE, "the control: the server's order is another one"
    (body,) = asked(server)
    assert body == {
        "model": "house-reranker",
        "query": ASKED,
        "documents": TEXTS,
        "max_tokens_per_query": 256,
        "max_tokens_per_doc": 511,
        "truncate_prompt_tokens": -1,
    }
    reranker.close()
    reranker.close()


async def test_no_texts_are_nobodys_work(server: Double) -> None:
    reranker = await opened(server)
    assert await reranker.rerank(ASKED, []) == []
    assert asked(server) == []
    reranker.close()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"digest": ""}, f"is {DIGEST}, but the recipe pins none"),
        ({"digest": "sha256:1234"}, "is no fingerprint"),
        ({"digest": "probe:" + "0f" * 32}, "but the recipe pins probe:0f0f"),
        ({"path": "another"}, "serves house-reranker, and the recipe names 'another'"),
        ({"package": "some_package"}, "has no package"),
    ],
)
async def test_another_model_than_the_pinned_one_is_refused(server: Double, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        await opened(server, **changes)


def _first_twice(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"results": [answer["results"][0], *answer["results"][:-1]]}


def _one_too_many(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"results": [*answer["results"], answer["results"][0]]}


def _without_the_last(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"results": answer["results"][:-1]}


def _out_of_range(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"results": [{**answer["results"][0], "index": -1}, *answer["results"][1:]]}


def _without_score(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"results": [{"index": one["index"]} for one in answer["results"]]}


def _no_number(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"results": [{**one, "relevance_score": float("nan")} for one in answer["results"]]}


def _another_model(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"model": "another"}


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (_first_twice, "of 3 texts"),
        (_one_too_many, "of 3 texts"),
        (_without_the_last, "of 3 texts"),
        (_out_of_range, "of 3 texts"),
        (_without_score, "does not answer as vLLM does"),
        (_no_number, "does not answer as vLLM does"),
        (_another_model, "by 'another'"),
    ],
)
async def test_an_answer_that_is_not_whole_gives_no_scores(
    server: Double, tamper: Callable[[dict[str, Any]], dict[str, Any]], told: str
) -> None:
    reranker = await opened(server)
    whole, server.tamper = server.tamper, tamper
    with pytest.raises(RerankerUnavailable, match=told):
        await reranker.rerank(ASKED, TEXTS)
    server.tamper = whole
    assert await reranker.rerank(ASKED, TEXTS) == pytest.approx(DUE)
    reranker.close()


async def test_a_server_that_is_away_keeps_no_version_from_being_opened(server: Double) -> None:
    server.failing = 1
    reranker = await opened(server)
    assert await reranker.rerank(ASKED, TEXTS) == pytest.approx(DUE)
    server.failing = 1
    with pytest.raises(RerankerUnavailable, match=r"with 503: .*overloaded"):
        await reranker.rerank(ASKED, TEXTS)
    reranker.close()
    nowhere = await asyncio.to_thread(ServedReranker, SERVED, PoolingServer("http://127.0.0.1:1", None))
    with pytest.raises(RerankerUnavailable, match="cannot be reached"):
        await nowhere.rerank(ASKED, TEXTS)
    nowhere.close()


async def test_a_server_that_wants_another_key_says_so(server: Double) -> None:
    server.key = "another"
    reranker = await opened(server)
    with pytest.raises(RerankerUnavailable, match="answered /v1/models with 401"):
        await reranker.rerank(ASKED, TEXTS)
    reranker.close()


async def test_a_late_answer_is_none_and_whoever_leaves_ends_the_request(
    server: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = await opened(server)
    server.delay = 5.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reranker.rerank(ASKED, TEXTS)
    monkeypatch.setattr(rerank_served, "_SECONDS", 0.05)
    with pytest.raises(RerankerUnavailable, match=r"did not answer in 0\.05 s"):
        await reranker.rerank(ASKED, TEXTS)
    reranker.close()


async def test_a_server_that_comes_back_with_another_model_is_found_out(server: Double) -> None:
    clock = Clock()
    reranker = await opened(server, clock)
    server.score = lambda asked, text: SCORE(asked, text[::-1])
    await reranker.rerank("within the minute it is taken on trust", TEXTS)
    clock.now = 61.0
    with pytest.raises(RerankerUnavailable, match="serve the one that was pinned"):
        await reranker.rerank("later", TEXTS)
    server.score = SCORE
    assert await reranker.rerank(ASKED, TEXTS) == pytest.approx(DUE)
    server.failing, server.score = 1, lambda asked, text: SCORE(asked, text[::-1])
    with pytest.raises(RerankerUnavailable, match="503"):
        await reranker.rerank("it restarts", TEXTS)
    with pytest.raises(RerankerUnavailable, match="serve the one that was pinned"):
        await reranker.rerank("and is another one", TEXTS)
    reranker.close()


async def test_the_model_is_looked_at_once_for_all_who_wait_and_goes_on_when_they_leave(server: Double) -> None:
    clock = Clock()
    reranker = await opened(server, clock)
    server.heard.clear()
    server.delay, clock.now = 0.2, 61.0
    leaving = [asyncio.wait_for(reranker.rerank(ASKED, TEXTS), 0.05) for _ in range(5)]
    assert {type(one) for one in await asyncio.gather(*leaving, return_exceptions=True)} == {TimeoutError}
    assert (len(server.heard), asked(server)) == (1, []), "one look, and nothing of an unknown model"
    assert await reranker.rerank(ASKED, TEXTS) == pytest.approx(DUE)
    assert len(server.heard) == 2, "what the others began was waited for"
    clock.now = 122.0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reranker.rerank(ASKED, TEXTS), 0.05)
    reranker.close()


def test_models_that_are_sure_of_the_same_are_told_apart_by_how_sure() -> None:
    """Of shares that are nearly all 0 or 1 little is left to compare; of what they were made of there is."""
    one = [0.9990, 0.9, 0.998, 1e-4, 0.02, 3e-4, 0.4, 1e-5, 2e-3, 0.05, 1e-3, 1e-5]
    other = [0.9992, 0.6, 0.990, 3e-5, 0.06, 1e-5, 0.1, 2e-4, 6e-3, 0.01, 5e-5, 2e-4]
    noisy = [share * 1.02 if share < 0.9 else share for share in one]
    known = fingerprint([_spread(one)])
    assert alike(fingerprint([_spread(noisy)]), known)
    assert not alike(fingerprint([_spread(other)]), known)
    assert alike(fingerprint([_spread([*one[:-1], 0.0])]), fingerprint([_spread([*one[:-1], 1e-9])]))
    logits = [9.1, -3.0, 4.5]
    assert sum(_spread(logits)) == pytest.approx(0.0)
