"""Embedding: pinned by digest, batched off the event loop, and a failure reaches whoever waits for it."""

import asyncio
import math
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest
import yaml

from retrieval.embed import HASH, Embedders, HashEmbedder, open_embedder
from retrieval.errors import RecipeError
from retrieval.index import Embedding
from retrieval.models.embed_local import LocalEmbedder
from retrieval.models.likeness import Likeness, TokenVectors
from retrieval.models.modelfolder import model_digest, model_directory
from retrieval.opening import open_live
from tests.retrieval.models.test_likeness import apart
from tests.retrieval.shelf import RECIPE, WIDER, shelf

Encode: TypeAlias = Callable[[Sequence[str]], list[list[float]]]
VERSIONS = Path(__file__).resolve().parents[2] / "deploy" / "versions"


def pinned() -> Embedding:
    """The embedder of the recipes that ship, run by torch whatever they say."""
    recipe = yaml.safe_load(next(VERSIONS.glob("idx-*.yaml")).read_text("utf-8"))
    return msgspec.structs.replace(msgspec.convert(recipe["embedder"], Embedding), runtime="torch", precision="f32")


@pytest.fixture(scope="module")
def real() -> Iterator[LocalEmbedder]:
    embedder = open_embedder(pinned())
    assert isinstance(embedder, LocalEmbedder)
    yield embedder
    embedder.close()


@pytest.fixture
def counted(real: LocalEmbedder, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The batches of questions and of passages that the real model is given; it remembers none from before."""
    batches: list[list[str]] = []
    real.forget()
    for kind in ("questions", "passages"):
        encode = getattr(real._encoder, kind)

        def recording(texts: Sequence[str], encode: Encode = encode) -> list[list[float]]:
            batches.append(list(texts))
            return encode(texts)

        monkeypatch.setattr(real._encoder, kind, recording)
    return batches


async def test_the_real_model_knows_what_is_alike(real: LocalEmbedder) -> None:
    asked, near, far = real.embed(["How long is parental leave?", "Maternity lasts 26 weeks.", "The pump needs oil."])
    assert real.dimensions == len(asked) == 384
    assert all(math.hypot(*vector) == pytest.approx(1.0, abs=1e-5) for vector in (asked, near, far))
    assert sum(a * b for a, b in zip(asked, near, strict=True)) > 0.2 + sum(
        a * b for a, b in zip(asked, far, strict=True)
    )


def test_tokens_are_counted_to_the_end_of_a_long_text(real: LocalEmbedder) -> None:
    assert real.count_tokens("the period") == 2
    assert real.count_tokens("period " * 5_000) == 5_000
    assert real.count_tokens("") == 0


async def test_questions_at_once_go_together_and_get_the_vectors_of_their_texts(
    real: LocalEmbedder, counted: list[list[str]]
) -> None:
    texts = [f"question number {n} about {'many ' * n}things" for n in range(40)]
    vectors = await asyncio.gather(*(real.embed_query(text) for text in texts))
    assert [len(batch) for batch in counted] == [32, 8]
    real.forget()
    for text, vector in list(zip(texts, vectors, strict=True))[::13]:
        assert vector == pytest.approx(real.embed([text])[0], abs=1e-5)


async def test_questions_that_come_while_one_is_embedded_wait_for_the_next_batch(
    real: LocalEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, busy, may_end = [], threading.Event(), threading.Event()

    def slow(texts: Sequence[str]) -> list[list[float]]:
        batches.append(list(texts))
        busy.set()
        assert may_end.wait(5)
        return [[float(len(text))] for text in texts]

    real.forget()
    monkeypatch.setattr(real._encoder, "questions", slow)
    first = asyncio.create_task(real.embed_query("a"))
    assert await asyncio.to_thread(busy.wait, 5), "the event loop goes on while the model works"
    left, *others = [asyncio.create_task(real.embed_query(text)) for text in ("bb", "ccc", "dddd")]
    await asyncio.sleep(0.01)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    await asyncio.sleep(0)
    may_end.set()
    assert (await first, await asyncio.gather(*others)) == ([1.0], [[3.0], [4.0]])
    assert batches == [["a"], ["ccc", "dddd"]], "nobody waits for the one that left"
    real.forget()


async def test_a_failure_reaches_all_who_wait_and_the_next_question_is_served(
    real: LocalEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(texts: Sequence[str]) -> list[list[float]]:
        raise MemoryError("no room")

    async with asyncio.timeout(5):
        with monkeypatch.context() as patch:
            patch.setattr(real._encoder, "questions", broken)
            answers = await asyncio.gather(*(real.embed_query(f"x{n}") for n in range(40)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {MemoryError}
        assert len(await real.embed_query("again")) == 384


async def test_a_closed_embedder_says_so_instead_of_waiting() -> None:
    embedder = open_embedder(pinned())
    embedder.close()
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="shutdown"):
            await embedder.embed_query("too late")
        with pytest.raises(RuntimeError, match="shutdown"):
            await embedder.compare("too late", ["to compare"])


async def test_what_was_asked_before_or_is_asked_just_now_is_embedded_once(
    real: LocalEmbedder, counted: list[list[str]]
) -> None:
    together = await asyncio.gather(*(real.embed_query("How long is leave?") for _ in range(5)))
    assert together == [together[0]] * 5
    assert await real.embed_query("How long is leave?") == together[0]
    assert counted == [["How long is leave?"]]
    together[0][0] = 7.0
    assert await real.embed_query("How long is leave?") == together[1], "what a caller does to a vector stays with it"
    real.forget()
    assert await real.embed_query("How long is leave?") == pytest.approx(together[1], abs=1e-6)
    assert len(counted) == 2


def test_chunks_of_one_text_are_embedded_once_until_all_is_forgotten(
    real: LocalEmbedder, counted: list[list[str]]
) -> None:
    first = real.embed(["Page 1", "Leave is 27 days.", "Page 1"])
    assert first[0] == first[2] != first[1]
    assert real.embed(["Leave is 27 days.", "new"])[0] == first[1]
    assert counted == [["Page 1", "Leave is 27 days."], ["new"]]
    real.forget()
    real.embed(["Page 1"])
    assert counted[2:] == [["Page 1"]]


async def test_questions_and_passages_carry_their_own_prefix_and_passages_have_less_room_for_it() -> None:
    plain, pinned_prefixes = pinned(), {"query_prefix": "query: ", "passage_prefix": "a passage: "}
    prefixed = open_embedder(msgspec.structs.replace(plain, **pinned_prefixes))
    with closing(prefixed), closing(open_embedder(plain)) as bare:
        assert await prefixed.embed_query("leave") == pytest.approx(bare.embed(["query: leave"])[0], abs=1e-5)
        assert prefixed.embed(["leave"])[0] == pytest.approx(bare.embed(["a passage: leave"])[0], abs=1e-5)
        assert (bare.max_tokens, prefixed.max_tokens) == (254, 251)


def test_versions_of_one_embedder_share_it_until_the_last_gives_it_back() -> None:
    embedders, one, other = Embedders(), Embedding(HASH, "", "", 16), Embedding(HASH, "", "", 32)
    first, second, third = embedders.open(one), embedders.open(one), embedders.open(other)
    assert first is second
    assert third is not first
    embedders.release(first)
    assert embedders.open(one) is second, "another version still holds it"
    embedders.release(second)
    embedders.release(second)
    assert embedders.open(one) is not first


async def test_rewriting_an_index_which_every_erasure_does_lets_go_of_remembered_vectors(
    tmp_path: Path, real: LocalEmbedder, counted: list[list[str]]
) -> None:
    async with shelf(tmp_path) as made:
        made.index.model = real
        real.embed(["the words of a document"])
        await made.index.rewrite()
        real.embed(["the words of a document"])
        assert len(counted) == 2
        made.index.model = None


@pytest.fixture
def tokenised(real: LocalEmbedder, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The batches of texts that the real model gives token vectors of; it holds none from before."""
    batches: list[list[str]] = []
    real.forget()
    encode = real._comparer._encode

    def recording(texts: Sequence[str]) -> Sequence[TokenVectors]:
        batches.append(sorted(texts))
        return encode(texts)

    monkeypatch.setattr(real._comparer, "_encode", recording)
    return batches


async def test_rewriting_an_index_lets_go_of_the_token_vectors_of_passages_too(
    tmp_path: Path, real: LocalEmbedder, tokenised: list[list[str]]
) -> None:
    async with shelf(tmp_path) as made:
        made.index.model = real
        first = await real.compare("asked", ["the words of a document"])
        assert await real.compare("asked", ["the words of a document"]) == first
        assert tokenised == [["asked", "the words of a document"]]
        await made.index.rewrite()
        await real.compare("asked", ["the words of a document"])
        assert tokenised == [["asked", "the words of a document"]] * 2
        made.index.model = None


async def test_a_passage_is_compared_as_far_as_the_model_reads_it(real: LocalEmbedder) -> None:
    read = " ".join(["leave"] * real.max_tokens)
    told = await real.compare("Who buys the oil?", [read, f"{read} who buys the oil", f"who buys the oil {read}"])
    assert apart(told[0], told[1]) <= 2e-3
    assert told[2].mean > told[0].mean + 0.1
    (states,) = real._encoder.tokens([read * 2])
    assert states.shape == (254, 384)


async def test_a_comparison_carries_the_prefixes_too(real: LocalEmbedder) -> None:
    prefixes = {"query_prefix": "query: ", "passage_prefix": "a passage: "}
    with closing(open_embedder(msgspec.structs.replace(pinned(), **prefixes))) as prefixed:
        told = await prefixed.compare("leave", ["Leave is 27 days."])
    assert told == await real.compare("query: leave", ["a passage: Leave is 27 days."])
    assert told != await real.compare("leave", ["Leave is 27 days."])


async def test_a_question_is_embedded_while_passages_are_compared(
    real: LocalEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, may_end = threading.Event(), threading.Event()
    encode = real._comparer._encode

    def slow(texts: Sequence[str]) -> Sequence[TokenVectors]:
        busy.set()
        assert may_end.wait(5)
        return encode(texts)

    real.forget()
    monkeypatch.setattr(real._comparer, "_encode", slow)
    comparing = asyncio.create_task(real.compare("asked", ["a passage"]))
    assert await asyncio.to_thread(busy.wait, 5)
    assert len(await real.embed_query("asked meanwhile")) == 384
    may_end.set()
    assert len(await comparing) == 1


async def test_versions_that_are_open_at_one_place_share_their_embedder(tmp_path: Path) -> None:
    async with shelf(tmp_path, RECIPE) as made:
        place = made.place
        one = await open_live(WIDER, place, made.catalog, create=True)
        other = await open_live(msgspec.structs.replace(WIDER, label="other"), place, made.catalog, create=True)
        assert one.embedder is other.embedder
        assert one.embedder is not made.index.embedder
        await one.close()
        await other.close()


def test_a_model_with_another_digest_is_refused() -> None:
    other = msgspec.structs.replace(pinned(), digest="sha256:" + "0" * 64)
    with pytest.raises(RecipeError, match="the recipe pins sha256:0000"):
        open_embedder(other)


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(RecipeError, match="'no_such_model_package' is not installed"):
        open_embedder(msgspec.structs.replace(pinned(), package="no_such_model_package"))


def test_a_model_in_a_folder_is_named_by_its_path() -> None:
    folder = msgspec.structs.replace(pinned(), package="", path=str(model_directory(pinned())))
    with closing(open_embedder(folder)) as embedder:
        assert len(embedder.embed(["leave"])[0]) == 384
    with pytest.raises(RecipeError, match="is no sentence-transformers folder"):
        open_embedder(msgspec.structs.replace(folder, path=str(VERSIONS)))
    with pytest.raises(RecipeError, match="names no embedding model"):
        open_embedder(msgspec.structs.replace(folder, path=""))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dimensions": 768}, "vectors of 384 dimensions, and the recipe has 768"),
        ({"precision": "bf16"}, "'torch' embeds with f32 only"),
        ({"runtime": "vllm"}, "set TWINPIN_EMBEDDING_URL"),
    ],
)
def test_a_recipe_that_the_model_or_its_runtime_cannot_follow_is_refused(change: dict[str, str], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        open_embedder(msgspec.structs.replace(pinned(), **change))


def test_a_model_that_was_trained_with_prompts_wants_them_in_the_recipe(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "ask: ", "passage": ""}}')
    recipe = msgspec.structs.replace(pinned(), package="", path=str(folder))
    with pytest.raises(RecipeError, match=r"wants 'ask: ' in front of each query: set embedder\.query_prefix"):
        open_embedder(recipe)
    open_embedder(msgspec.structs.replace(recipe, query_prefix="ask: ")).close()


def copied(tmp_path: Path) -> Path:
    """The model's folder, to be changed; its weights are where they were."""
    source, folder = model_directory(pinned()), tmp_path / "model"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "onnx", "openvino"))
    (folder / "model.safetensors").symlink_to(source / "model.safetensors")
    return folder


def test_the_weights_of_a_further_module_are_part_of_the_digest(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    before = model_digest(folder)
    (folder / "2_Normalize").mkdir(exist_ok=True)
    (folder / "2_Normalize" / "model.safetensors").write_bytes(b"weights")
    assert model_digest(folder) != before


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
    assert await embedder.compare("refund PERIOD", ["Refund period"]) == [Likeness(1.0, 1.0)]
    embedder.close()


async def test_a_question_takes_no_core_from_passages_for_good(real: LocalEmbedder) -> None:
    import torch

    real.forget()
    before = torch.get_num_threads()
    await real.embed_query("How many cores?")
    await real.compare("How many cores?", ["Two."])
    assert await asyncio.to_thread(torch.get_num_threads) == torch.get_num_threads() == before
