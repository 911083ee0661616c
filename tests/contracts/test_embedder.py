"""What every embedder keeps, whatever makes its vectors: the stand-in, both runtimes in this process, and a server."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from retrieval.embed import HASH, Embedder, HashEmbedder, open_embedder
from retrieval.errors import EmbedderUnavailable
from retrieval.index import Embedding
from retrieval.layout import PoolingServer
from retrieval.models.comparing import Comparer
from retrieval.models.likeness import Likeness
from retrieval.models.textcache import TextCache
from retrieval.models.vectorcache import VectorCache
from tests.retrieval.models.test_embed_served import RECIPE
from tests.retrieval.models.test_likeness import apart
from tests.retrieval.pooling_double import Double, serving
from tests.retrieval.test_embed import pinned

TEXTS = ["How long is parental leave?", "Maternity leave lasts 26 weeks.", "The pump needs oil.", "Größe: 12,5 %"]


@pytest.fixture(params=["hash", "torch", "openvino", "vllm"])
async def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Embedder]:
    recipes = {
        "hash": Embedding(HASH, "", "", 32),
        "torch": pinned(),
        "openvino": msgspec.structs.replace(pinned(), runtime="openvino"),
        "vllm": RECIPE,
    }
    async with serving(Double()) as server:
        where = PoolingServer(server.url, server.key)
        converted = tmp_path_factory.getbasetemp() / "converted"
        opened = await asyncio.to_thread(open_embedder, recipes[request.param], converted, where)
        yield opened
        await asyncio.to_thread(opened.close)


async def test_an_embedder_keeps_its_contract(embedder: Embedder) -> None:
    passages = await asyncio.to_thread(embedder.embed, [*TEXTS, TEXTS[0]])
    asked = await asyncio.gather(*(embedder.embed_query(text) for text in (*TEXTS, TEXTS[0])))
    for passage, question in zip(passages, asked, strict=True):
        assert len(passage) == len(question) == embedder.dimensions
        assert math.hypot(*passage) == pytest.approx(1.0, abs=1e-5)
        assert question == pytest.approx(passage, abs=1e-5), "a recipe without prefixes embeds both alike"
    assert passages[4] == pytest.approx(passages[0], abs=1e-6)
    assert all(passages[0] != pytest.approx(other, abs=1e-2) for other in passages[1:4])
    assert await asyncio.to_thread(embedder.embed, []) == []
    await asyncio.to_thread(embedder.forget)
    assert await asyncio.to_thread(embedder.embed, TEXTS[1:2]) == [pytest.approx(passages[1], abs=1e-5)]


async def test_an_embedder_counts_tokens_without_special_ones_and_tells_how_many_it_reads(embedder: Embedder) -> None:
    count = [await asyncio.to_thread(embedder.count_tokens, text) for text in ("", "leave", "leave leave")]
    assert count == [0, 1, 2]
    assert embedder.max_tokens > 200


async def test_passages_are_compared_with_a_question_token_by_token(embedder: Embedder) -> None:
    if not embedder.compares:
        with pytest.raises(EmbedderUnavailable, match="gives no token vectors of 'house-embedder' to compare"):
            await embedder.compare(TEXTS[0], TEXTS[1:])
        return
    passages = ["The pump needs oil.", TEXTS[0], "Parental leave: how long it is, is up to you.", "", "  \n"]
    passages += ["\u202e東京の契約書 🦜 naïve \x00", "The pump needs oil. " * 5_000]
    told = await embedder.compare(TEXTS[0], passages)
    far, same, near, *_ = told
    assert apart(same, Likeness(1.0, 1.0)) <= 2e-3
    assert same.mean > near.mean > far.mean
    assert near.weakest > far.weakest
    assert told[3:5] == [Likeness(0.0, 0.0)] * 2
    assert all(-1.001 <= one.weakest <= one.mean <= 1.001 for one in told)
    assert await embedder.compare("", passages) == [Likeness(0.0, 0.0)] * len(passages)
    assert await embedder.compare(TEXTS[0], []) == []


async def test_likeness_depends_on_no_other_passage_and_on_nothing_that_is_held(embedder: Embedder) -> None:
    if not embedder.compares:
        return
    together = await embedder.compare(TEXTS[0], [*TEXTS, TEXTS[1]])
    await asyncio.to_thread(embedder.forget)
    alone = await asyncio.gather(*(embedder.compare(TEXTS[0], [text]) for text in TEXTS))
    assert together[4] == together[1]
    for one, (other,) in zip(together[:4], alone, strict=True):
        assert apart(one, other) <= 2e-3


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that something was computed of, to be held."""
    texts: list[str] = []
    put = TextCache.put

    def recording(cache: TextCache[Any], text: str, *rest: Any, **named: Any) -> None:
        texts.append(text)
        put(cache, text, *rest, **named)

    monkeypatch.setattr(TextCache, "put", recording)
    return texts


async def test_what_a_question_was_computed_for_one_scope_is_of_no_use_to_another(
    embedder: Embedder, made: list[str]
) -> None:
    """How long an answer takes would tell a tenant what another one asks."""
    scopes = ["", "one", "two", "one"]
    asked = [await embedder.embed_query(TEXTS[0], scope=scope) for scope in scopes]
    at_once = await asyncio.gather(*(embedder.embed_query(TEXTS[1], scope=scope) for scope in scopes))
    assert sorted(made) == ([] if holds_nothing(embedder) else sorted(TEXTS[:2] * 3))
    for same in (asked, at_once):
        assert same == [pytest.approx(same[0], abs=1e-5)] * 4
    if not embedder.compares:
        return
    made.clear()
    told = [(await embedder.compare(TEXTS[0], TEXTS[1:2], scope=scope))[0] for scope in scopes]
    assert all(apart(one, told[0]) <= 2e-3 for one in told)
    assert sorted(made) == ([] if holds_nothing(embedder) else sorted([TEXTS[0]] * 3 + TEXTS[1:2]))


async def test_what_was_begun_before_all_was_forgotten_is_not_held_after_it(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(since: int | None) -> None:
        await embedder.embed_query(TEXTS[0], scope="one")
        await asyncio.to_thread(embedder.embed, TEXTS[1:])
        await asyncio.to_thread(embedder.count_tokens, TEXTS[2])
        if embedder.compares:
            await embedder.compare(TEXTS[0], TEXTS[1:], scope="one", since=since)

    await use(None)
    assert bool(held(embedder)) is not holds_nothing(embedder)
    age = embedder.age
    embedder.forget()
    assert embedder.age == age + 1
    assert held(embedder) == 0
    put = TextCache.put

    def erasing(cache: TextCache[Any], *rest: Any, **named: Any) -> None:
        embedder.forget()
        put(cache, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(TextCache, "put", erasing)
        await use(None)
    assert held(embedder) == 0
    if embedder.compares:
        await embedder.compare(TEXTS[0], TEXTS[1:], since=age)
        assert held(embedder) == 0, "the words were read before"
    await use(embedder.age)
    assert bool(held(embedder)) is not holds_nothing(embedder)


def holds_nothing(embedder: Embedder) -> bool:
    return isinstance(embedder, HashEmbedder)


def held(embedder: Embedder) -> int:
    """The weight of all that is held, wherever it is."""
    return sum(cache.weight for cache in caches(embedder))


def caches(owner: object) -> Iterator[TextCache[Any]]:
    for part in vars(owner).values():
        if isinstance(part, TextCache):
            yield part
        elif isinstance(part, VectorCache | Comparer):
            yield from caches(part)
