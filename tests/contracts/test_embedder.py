"""What every embedder keeps, whatever makes its vectors: the stand-in, both runtimes in this process, and a server."""

import asyncio
import math
from collections.abc import AsyncIterator

import msgspec
import pytest

from retrieval.embed import HASH, Embedder, open_embedder
from retrieval.index import Embedding
from retrieval.layout import PoolingServer
from tests.retrieval.pooling_double import Double, serving
from tests.retrieval.test_embed import pinned
from tests.retrieval.test_embed_served import RECIPE

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
