"""A cross-encoder in this process: pinned by digest, batched off the event loop, and a question is read to its end."""

import asyncio
import json
import math
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from retrieval.errors import RecipeError, RerankerUnavailable
from retrieval.index import Rerank
from retrieval.models.modelfolder import RERANKER, model_digest, model_directory
from retrieval.models.rerank_local import LocalReranker
from tests.retrieval.test_embed import pinned

READS = 64


def tiny(folder: Path, labels: int = 1) -> Rerank:
    """A cross-encoder of random weights, saved in `folder`, that reads up to `READS` tokens."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model_directory(pinned()) / name, folder / name)
    vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=READS,
        initializer_range=0.5,  # far apart, so that scores are, too
        num_labels=labels,  # type: ignore[call-arg]
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return in_folder(folder)


def in_folder(folder: Path) -> Rerank:
    """A recipe's reranker that pins what lies there."""
    return Rerank("cross-encoder", 10, path=str(folder), digest=model_digest(folder, RERANKER))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Rerank:
    return tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
async def reranker(model: Rerank) -> AsyncIterator[LocalReranker]:
    opened = await asyncio.to_thread(LocalReranker, model)
    yield opened
    opened.close()


@pytest.fixture
def copied(model: Rerank, tmp_path: Path) -> Path:
    """The model's folder, to be changed."""
    return Path(shutil.copytree(model.path, tmp_path / "copied"))


async def test_scores_are_those_of_the_library_for_each_pair_alone(reranker: LocalReranker, model: Rerank) -> None:
    from sentence_transformers import CrossEncoder

    texts = [f"passage {n} about {'many ' * (n % 5)}things" for n in range(20)]
    original = CrossEncoder(model.path, device="cpu", local_files_only=True)
    due = [float(original.predict([("How long is leave?", text)], show_progress_bar=False)[0]) for text in texts]
    assert await reranker.rerank("How long is leave?", texts) == pytest.approx(due, abs=1e-5)
    assert max(due) - min(due) > 0.01, "the control: scores differ"


async def test_a_pair_that_is_too_long_loses_the_end_of_its_text(reranker: LocalReranker) -> None:
    (long,) = await reranker.rerank("parental leave", ["word " * 300])
    (cut,) = await reranker.rerank("parental leave", ["word " * (READS - 3 - 2)])
    (shorter,) = await reranker.rerank("parental leave", ["word " * (READS - 3 - 3)])
    assert long == pytest.approx(cut, abs=1e-6)
    assert long != pytest.approx(shorter, abs=1e-6)


async def test_a_very_long_question_leaves_half_of_what_is_read_to_the_text(reranker: LocalReranker) -> None:
    half = READS // 2
    whole = await reranker.rerank("leave " * 500, ["word " * 300, "", "pump " * 300])
    cut = await reranker.rerank("leave " * half, ["word " * (half - 3), "", "pump " * (half - 3)])
    assert whole == pytest.approx(cut, abs=1e-6)


async def test_the_event_loop_goes_on_and_whoever_leaves_takes_along_what_was_not_begun(
    reranker: LocalReranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, busy, may_end = [], threading.Event(), threading.Event()

    def slow(pairs: Sequence[tuple[str, str]], **_: Any) -> list[float]:
        batches.append([text for _, text in pairs])
        busy.set()
        assert may_end.wait(5)
        return [float(len(text)) for _, text in pairs]

    monkeypatch.setattr(reranker._model, "predict", slow)
    left = asyncio.create_task(reranker.rerank("q", [f"{n}" for n in range(30)]))
    assert await asyncio.to_thread(busy.wait, 5)
    stayed = asyncio.create_task(reranker.rerank("q", ["bb", "ccc"]))
    await asyncio.sleep(0.01)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    may_end.set()
    assert await stayed == [2.0, 3.0]
    assert batches == [[f"{n}" for n in range(8)], ["bb", "ccc"]]


async def test_a_score_that_is_no_number_is_none(reranker: LocalReranker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reranker._model, "predict", lambda pairs, **_: [math.nan for _ in pairs])
    with pytest.raises(RerankerUnavailable, match="no number"):
        await reranker.rerank("q", ["a"])


async def test_it_uses_all_cores_whatever_another_thread_set(reranker: LocalReranker) -> None:
    import torch

    before = torch.get_num_threads()
    await reranker.rerank("q", ["a"])
    assert await asyncio.to_thread(torch.get_num_threads) == torch.get_num_threads() == before


def test_a_model_that_is_not_the_pinned_one_is_refused(model: Rerank) -> None:
    with pytest.raises(RecipeError, match=f"is {model.digest}, but the recipe pins none"):
        LocalReranker(msgspec.structs.replace(model, digest=""))
    with pytest.raises(RecipeError, match=r"names no reranking model: give reranker\.package"):
        LocalReranker(msgspec.structs.replace(model, path=""))
    with pytest.raises(RecipeError, match="'no_such_model_package' is not installed"):
        LocalReranker(msgspec.structs.replace(model, package="no_such_model_package"))
    with pytest.raises(RecipeError, match="is no cross-encoder's folder"):
        LocalReranker(msgspec.structs.replace(model, path=str(Path(model.path).parent)))


def test_a_model_that_does_not_score_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"does not score pairs \(it is BertModel\)"):
        LocalReranker(in_folder(model_directory(pinned())))
    with pytest.raises(RecipeError, match="it has 3 labels"):
        LocalReranker(tiny(tmp_path / "labels", labels=3))


def _own_code(config: dict[str, Any]) -> None:
    config |= {"model_type": "house", "auto_map": {"AutoConfig": "house.HouseConfig"}}


def _other_shape(config: dict[str, Any]) -> None:
    config["hidden_size"] = 64


@pytest.mark.parametrize(
    ("change", "told"),
    [(_own_code, "needs code of its own, which is not run"), (_other_shape, "'copied' cannot be loaded: ")],
)
def test_a_model_that_cannot_be_loaded_is_refused(
    copied: Path, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    config = json.loads((copied / "config.json").read_text("utf-8"))
    change(config)
    (copied / "config.json").write_text(json.dumps(config), "utf-8")
    (copied / "house.py").write_text("raise SystemExit('run')")
    with pytest.raises(RecipeError, match=told):
        LocalReranker(in_folder(copied))


def test_weights_are_taken_from_safetensors_only(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(RecipeError, match="cannot be loaded"):
        LocalReranker(in_folder(copied))


def _deciding(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in ("config.json", "tokenizer.json", "tokenizer_config.json"))
    yield from (folder / "model.safetensors", folder / "modules.json", folder / "chat_template.jinja")
    yield folder / "1_Dense" / "model.safetensors"


def test_the_digest_is_over_every_file_that_may_decide_a_score(copied: Path) -> None:
    before = model_digest(copied, RERANKER)
    for path in _deciding(copied):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((path.read_bytes() if path.exists() else b"") + b" ")
        after = model_digest(copied, RERANKER)
        assert after != before, path.name
        before = after
    for name in ("README.md", "onnx/config.json", ".cache/notes.json", "house.py"):
        (copied / name).parent.mkdir(exist_ok=True)
        (copied / name).write_bytes(b"decides nothing")
    assert model_digest(copied, RERANKER) == before
