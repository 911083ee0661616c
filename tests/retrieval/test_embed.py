"""Embedding: pinned by digest, batched off the event loop, and a failure reaches whoever waits for it."""

import asyncio
import math
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
import yaml

from retrieval.embed import (
    HASH,
    HashEmbedder,
    SentenceTransformerEmbedder,
    model_digest,
    model_directory,
    open_embedder,
)
from retrieval.errors import RecipeError
from retrieval.index import Embedding

VERSIONS = Path(__file__).resolve().parents[2] / "deploy" / "versions"


def pinned() -> Embedding:
    """The embedder of the recipe that ships."""
    recipe = yaml.safe_load(next(VERSIONS.glob("idx-*.yaml")).read_text("utf-8"))
    return msgspec.convert(recipe["embedder"], Embedding)


@pytest.fixture(scope="module")
def real() -> Iterator[SentenceTransformerEmbedder]:
    embedder = open_embedder(pinned())
    assert isinstance(embedder, SentenceTransformerEmbedder)
    yield embedder
    embedder.close()


@pytest.fixture
def counted(real: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The batches that the real embedder was given."""
    batches: list[list[str]] = []
    embed = real.embed

    def recording(texts: Sequence[str]) -> list[list[float]]:
        batches.append(list(texts))
        return embed(texts)

    monkeypatch.setattr(real, "embed", recording)
    return batches


async def test_the_real_model_knows_what_is_alike(real: SentenceTransformerEmbedder) -> None:
    asked, near, far = real.embed(["How long is parental leave?", "Maternity lasts 26 weeks.", "The pump needs oil."])
    assert real.dimensions == len(asked) == 384
    assert all(math.hypot(*vector) == pytest.approx(1.0, abs=1e-5) for vector in (asked, near, far))
    assert sum(a * b for a, b in zip(asked, near, strict=True)) > 0.2 + sum(
        a * b for a, b in zip(asked, far, strict=True)
    )


def test_tokens_are_counted_to_the_end_of_a_long_text(real: SentenceTransformerEmbedder) -> None:
    assert real.count_tokens("the period") == 2
    assert real.count_tokens("period " * 5_000) == 5_000
    assert real.count_tokens("") == 0


async def test_questions_at_once_go_together_and_get_the_vectors_of_their_texts(
    real: SentenceTransformerEmbedder, counted: list[list[str]]
) -> None:
    texts = [f"question number {n} about {'many ' * n}things" for n in range(40)]
    vectors = await asyncio.gather(*(real.embed_query(text) for text in texts))
    assert [len(batch) for batch in counted] == [32, 8]
    for text, vector in list(zip(texts, vectors, strict=True))[::13]:
        assert vector == pytest.approx(real.embed([text])[0], abs=1e-5)


async def test_questions_that_come_while_one_is_embedded_wait_for_the_next_batch(
    real: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, busy, may_end = [], threading.Event(), threading.Event()

    def slow(texts: Sequence[str]) -> list[list[float]]:
        batches.append(list(texts))
        busy.set()
        assert may_end.wait(5)
        return [[float(len(text))] for text in texts]

    monkeypatch.setattr(real, "embed", slow)
    first = asyncio.create_task(real.embed_query("a"))
    assert await asyncio.to_thread(busy.wait, 5), "the event loop goes on while the model works"
    others = [asyncio.create_task(real.embed_query(text)) for text in ("bb", "ccc")]
    await asyncio.sleep(0)
    others[0].cancel()
    may_end.set()
    assert (await first, await others[1]) == ([1.0], [3.0]), "a cancelled question breaks no other"
    with pytest.raises(asyncio.CancelledError):
        await others[0]
    assert batches == [["a"], ["bb", "ccc"]]


async def test_a_failure_reaches_all_who_wait_and_the_next_question_is_served(
    real: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(texts: Sequence[str]) -> list[list[float]]:
        raise MemoryError("no room")

    async with asyncio.timeout(5):
        with monkeypatch.context() as patch:
            patch.setattr(real, "embed", broken)
            answers = await asyncio.gather(*(real.embed_query("x") for _ in range(40)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {MemoryError}
        assert len(await real.embed_query("again")) == 384


async def test_a_closed_embedder_says_so_instead_of_waiting() -> None:
    embedder = open_embedder(pinned())
    embedder.close()
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="shutdown"):
            await embedder.embed_query("too late")


def test_a_model_with_another_digest_is_refused() -> None:
    other = msgspec.structs.replace(pinned(), digest="sha256:" + "0" * 64)
    with pytest.raises(RecipeError, match="the recipe pins sha256:0000"):
        open_embedder(other)


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(RecipeError, match="'no_such_model_package' is not installed"):
        open_embedder(msgspec.structs.replace(pinned(), package="no_such_model_package"))


def test_the_digest_is_over_every_file_that_decides_a_vector(tmp_path: Path) -> None:
    source = model_directory(pinned())
    for name in ("config.json", "modules.json", "tokenizer.json", "1_Pooling/config.json"):
        copy = tmp_path / name.replace("/", "-")
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.safetensors", "onnx", "openvino"))
        before = model_digest(copy)
        (copy / name).write_bytes((copy / name).read_bytes() + b" ")
        assert model_digest(copy) != before, name
        (copy / "README.md").write_text("notes decide nothing")
        (copy / "extra.safetensors").write_bytes(b"weights do")
        assert model_digest(copy) != before


async def test_the_stand_in_needs_no_model_and_is_the_same_every_time() -> None:
    embedder = open_embedder(Embedding(HASH, "", "", 16))
    assert isinstance(embedder, HashEmbedder)
    (vector,) = embedder.embed(["Refund period"])
    assert vector == await embedder.embed_query("refund PERIOD") == HashEmbedder(16).embed(["refund period"])[0]
    assert math.hypot(*vector) == pytest.approx(1.0)
    assert embedder.count_tokens("One, two.") == 4
    assert embedder.embed([""]) == [[1.0] + [0.0] * 15]
    embedder.close()
