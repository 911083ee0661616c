"""Embedding by a server: the pinned model or none, whatever happens on the way."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from gateway.settings import Settings
from retrieval.embed import HashEmbedder
from retrieval.errors import EmbedderUnavailable, RecipeError
from retrieval.index import Embedding
from retrieval.layout import PoolingServer
from retrieval.models import embed_served
from retrieval.models.embed_served import ServedEmbedder
from retrieval.models.fingerprint import PROBES, alike, fingerprint
from retrieval.opening import place_of
from tests.retrieval.pooling_double import Double, serving

HASHED = HashEmbedder(64)
RECIPE = Embedding("", "house-embedder", fingerprint(HASHED.embed(PROBES)), 64, runtime="vllm")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> AsyncIterator[Double]:
    async with serving(Double()) as double:
        yield double


async def opened(server: Double, clock: Clock | None = None, **changes: Any) -> ServedEmbedder:
    """Opened as the product does, beside the event loop."""
    where = PoolingServer(server.url, "secret")
    recipe = msgspec.structs.replace(RECIPE, **changes)
    return await asyncio.to_thread(ServedEmbedder, recipe, where, clock=clock or Clock())


async def test_an_index_whose_recipe_names_it_is_embedded_by_the_server_that_is_set(
    server: Double, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path, embedding_url=server.url, embedding_api_key=SecretStr("secret"))
    embedders = place_of(settings).embedders
    embedder = await asyncio.to_thread(embedders.open, RECIPE)
    assert await embedder.embed_query("How long?") == HASHED.embed(["How long?"])[0]
    embedders.release(embedder)


async def test_questions_and_passages_get_the_servers_vectors_in_their_order(server: Double) -> None:
    embedder = await opened(server)
    texts = [f"passage {n} about things" for n in range(150)]
    assert await asyncio.to_thread(embedder.embed, [*texts, texts[0]]) == HASHED.embed([*texts, texts[0]])
    assert await embedder.embed_query("How long?") == HASHED.embed(["How long?"])[0]
    assert sorted(map(len, server.asked())) == [1, 22, 64, 64]
    body = next(body for path, body in server.heard if path == "/v1/embeddings")
    assert (body["model"], body["truncate_prompt_tokens"]) == ("house-embedder", -1)
    assert embedder.dimensions == 64
    embedder.close()
    embedder.close()


async def test_what_is_asked_again_or_at_once_is_asked_of_the_server_once(server: Double) -> None:
    embedder = await opened(server)
    await asyncio.gather(*(embedder.embed_query("How long?") for _ in range(5)))
    await embedder.embed_query("How long?")
    assert server.asked() == [["How long?"]]
    embedder.forget()
    await embedder.embed_query("How long?")
    assert len(server.asked()) == 2
    embedder.close()


async def test_prefixes_go_to_the_server_and_take_room(server: Double) -> None:
    server.vector = lambda text: HASHED.embed([text.removeprefix("doc: ").removeprefix("ask: ")])[0]
    embedder = await opened(server, query_prefix="ask: ", passage_prefix="doc: ")
    await embedder.embed_query("How long?")
    await asyncio.to_thread(embedder.embed, ["45 days"])
    assert server.asked() == [["ask: How long?"], ["doc: 45 days"]]
    assert embedder.max_tokens == 512 - 2 - 2
    embedder.close()


async def test_tokens_are_counted_by_the_server_once_for_each_text(server: Double) -> None:
    embedder = await opened(server)
    count = [await asyncio.to_thread(embedder.count_tokens, text) for text in ("one, two", "one, two", "")]
    assert count == [3, 3, 0]
    assert [body["prompt"] for path, body in server.heard if path == "/tokenize"] == ["", "one, two"]
    embedder.close()


async def test_a_count_is_held_by_a_digest_and_not_if_it_was_begun_before_all_was_forgotten(
    server: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = await opened(server)
    tokens = embedder._tokens

    async def overtaken(text: str, *, special: bool) -> int:
        count = await tokens(text, special=special)
        embedder.forget()
        return count

    with monkeypatch.context() as patch:
        patch.setattr(embedder, "_tokens", overtaken)
        assert await asyncio.to_thread(embedder.count_tokens, "words of an erased document") == 5
    assert [await asyncio.to_thread(embedder.count_tokens, "words of an erased document") for _ in range(2)] == [5, 5]
    assert sum(path == "/tokenize" for path, _ in server.heard) == 1 + 2
    assert "words of an erased document" not in repr(vars(embedder._counts))
    embedder.close()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"digest": ""}, f"is {RECIPE.digest}, but the recipe pins none"),
        ({"digest": "sha256:1234"}, "is no fingerprint"),
        ({"digest": "probe:" + "z" * 64}, "is no fingerprint"),
        ({"digest": "probe:" + "0f" * 32}, "but the recipe pins probe:0f0f"),
        ({"path": "another"}, "serves house-embedder, and the recipe names 'another'"),
        ({"dimensions": 384}, "vectors of 64 dimensions, and the recipe has 384"),
        ({"package": "some_package"}, "has no package"),
    ],
)
async def test_another_model_than_the_pinned_one_is_refused(server: Double, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        await opened(server, **changes)


async def test_vectors_that_are_not_normalised_are_refused(server: Double) -> None:
    server.vector = lambda text: [2 * value for value in HASHED.embed([text])[0]]
    with pytest.raises(RecipeError, match="of length 2, and 1 is due"):
        await opened(server)


async def test_a_server_without_our_key_or_without_an_answer_is_told_so(
    server: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "another"
    with pytest.raises(EmbedderUnavailable, match="answered /v1/models with 401"):
        await opened(server)
    with pytest.raises(EmbedderUnavailable, match="cannot be reached"):
        await asyncio.to_thread(ServedEmbedder, RECIPE, PoolingServer("http://127.0.0.1:1", None))
    assert "secret" not in repr(PoolingServer(server.url, "secret"))
    server.key, server.delay = "secret", 0.5
    monkeypatch.setattr(embed_served, "_LOOK_SECONDS", 0.05)
    with pytest.raises(EmbedderUnavailable, match=r"did not answer in 0\.05 s"):
        await opened(server)


async def test_a_question_fails_at_once_and_passages_are_sent_again(
    server: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_served, "_PAUSES", (0.0, 0.0))
    embedder = await opened(server)
    server.failing = 1
    with pytest.raises(EmbedderUnavailable, match=r"with 503: .*overloaded"):
        await embedder.embed_query("How long?")
    assert await embedder.embed_query("How long?") == HASHED.embed(["How long?"])[0]
    server.failing = 2
    assert await asyncio.to_thread(embedder.embed, ["a"]) == HASHED.embed(["a"])
    server.failing = 3
    with pytest.raises(EmbedderUnavailable):
        await asyncio.to_thread(embedder.embed, ["b"])
    embedder.close()


async def test_a_server_that_comes_back_with_another_model_is_found_out(server: Double) -> None:
    clock = Clock()
    embedder = await opened(server, clock)
    server.vector = lambda text: HashEmbedder(64).embed([text[::-1]])[0]
    await embedder.embed_query("within the minute it is taken on trust")
    clock.now = 61.0
    with pytest.raises(RecipeError, match="serve the one that was pinned"):
        await embedder.embed_query("later")
    server.vector = lambda text: HASHED.embed([text])[0]
    assert await embedder.embed_query("mended") == HASHED.embed(["mended"])[0]
    server.failing, server.vector = 1, lambda text: HashEmbedder(64).embed([text[::-1]])[0]
    with pytest.raises(EmbedderUnavailable):
        await embedder.embed_query("it restarts")
    with pytest.raises(RecipeError, match="serve the one that was pinned"):
        await embedder.embed_query("and is another one")
    embedder.close()


def looks(server: Double) -> int:
    """How often the server's model was looked at."""
    return sum(path == "/v1/embeddings" and body["input"] == list(PROBES) for path, body in server.heard)


async def test_the_model_is_looked_at_once_for_all_who_come_when_a_minute_is_over(server: Double) -> None:
    clock = Clock()
    embedder = await opened(server, clock)
    server.delay, clock.now = 0.05, 61.0
    texts = [f"question {n}" for n in range(32)]
    assert await asyncio.gather(*(embedder.embed_query(text) for text in texts)) == HASHED.embed(texts)
    assert looks(server) == 2
    embedder.close()


async def test_a_question_does_not_wait_for_a_look_that_takes_long_and_the_next_has_its_result(
    server: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    embedder = await opened(server, clock)
    server.delay, clock.now = 0.3, 61.0
    monkeypatch.setattr(embed_served, "_QUESTION_SECONDS", 0.05)
    with pytest.raises(EmbedderUnavailable, match=r"did not show its model in 0\.05 s"):
        await embedder.embed_query("How long?")
    server.delay = 0.0
    monkeypatch.setattr(embed_served, "_QUESTION_SECONDS", 5.0)
    assert await embedder.embed_query("How long?") == HASHED.embed(["How long?"])[0]
    assert looks(server) == 2
    embedder.close()


async def test_passages_go_in_a_few_requests_at_once(server: Double) -> None:
    embedder = await opened(server)
    server.delay = 0.05
    await asyncio.to_thread(embedder.embed, [f"passage {n}" for n in range(64 * 8)])
    assert server.most_at_once == 4
    embedder.close()


def test_a_fingerprint_is_the_same_for_a_little_noise_and_another_for_another_model() -> None:
    vectors = HASHED.embed(PROBES)
    noisy = [[value + 0.002 * math.sin(place) for place, value in enumerate(vector)] for vector in vectors]
    assert alike(fingerprint(noisy), fingerprint(vectors))
    assert not alike(fingerprint(HASHED.embed([text.upper()[::-1] for text in PROBES])), fingerprint(vectors))
    assert not alike(fingerprint(vectors[::-1]), fingerprint(vectors))
    assert len(fingerprint(vectors)) == len("probe:") + 64
