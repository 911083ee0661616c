"""OpenVINO: the vectors of the original model whatever its pooling, kept conversions, and what is refused."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from retrieval.embed import Embedder, open_embedder
from retrieval.errors import RecipeError
from retrieval.index import Embedding
from retrieval.models import conversion, encoder_openvino
from retrieval.models.encoder_openvino import OpenVinoEncoder
from retrieval.models.likeness import Likeness
from retrieval.models.modelfolder import model_digest, model_directory
from tests.retrieval.models.test_likeness import apart
from tests.retrieval.test_embed import pinned

TEXTS = [
    "Refund",
    "How many days of ANNUAL leave do I get in 2026?",
    "Für Verträge gilt § 4: naïve cafés zahlen 12,5 % (netto). 東京の契約書",
    "Employees may carry up to 8 days of unused leave over into the next year, until 31 March. " * 3,
    "The pump needs oil every 200 hours of operation. " * 80,
    "",
]
QUESTIONS = ["How many days of unused leave may I carry over?", "When does the PUMP need oil?", "Wer zahlt netto?", "x"]
ABLE = "BF16" in encoder_openvino.openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where conversions are kept."""
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(scope="module")
def original() -> Iterator[Embedder]:
    with closing(open_embedder(pinned())) as embedder:
        yield embedder


def openvino(precision: str = "f32") -> Embedding:
    return msgspec.structs.replace(pinned(), runtime="openvino", precision=precision)


def furthest(made: Sequence[Sequence[Likeness]], due: Sequence[Sequence[Likeness]]) -> float:
    pairs = [pair for one, other in zip(made, due, strict=True) for pair in zip(one, other, strict=True)]
    return max(apart(*pair) for pair in pairs)


def worst(made: Sequence[Sequence[float]], due: Sequence[Sequence[float]]) -> float:
    return min(sum(a * b for a, b in zip(one, other, strict=True)) for one, other in zip(made, due, strict=True))


async def test_in_f32_questions_and_passages_have_the_vectors_of_the_original(kept: Path, original: Embedder) -> None:
    due = original.embed(TEXTS)
    with closing(open_embedder(openvino(), kept)) as embedder:
        assert worst(embedder.embed(TEXTS), due) >= 0.99999
        assert worst([await embedder.embed_query(text) for text in TEXTS], due) >= 0.99999
        many = [f"{text} {n}" for n in range(3) for text in TEXTS[:3]]
        assert worst(embedder.embed(many), original.embed(many)) >= 0.99999, "in their order, over several batches"
        assert embedder.max_tokens == original.max_tokens == 254
        assert embedder.embed([]) == []


async def test_in_f32_passages_are_as_like_a_question_as_by_the_original(kept: Path, original: Embedder) -> None:
    due = [await original.compare(question, TEXTS) for question in QUESTIONS]
    with closing(open_embedder(openvino(), kept)) as embedder:
        made = [await embedder.compare(question, TEXTS) for question in QUESTIONS]
        assert furthest(made, due) <= 0.005
    assert max(one.mean for one in due[0]) > 0.6 > 0.3 > min(one.mean for one in due[0]), "the control: they differ"


@pytest.mark.skipif(not ABLE, reason="this CPU has no bfloat16")
async def test_in_bf16_passages_are_about_as_like_a_question(kept: Path, original: Embedder) -> None:
    due = [await original.compare(question, TEXTS) for question in QUESTIONS]
    with closing(open_embedder(openvino("bf16"), kept)) as embedder:
        made = [await embedder.compare(question, TEXTS) for question in QUESTIONS]
        assert furthest(made, due) <= 0.02
        assert made != due, "the control: it is another precision"


def test_a_sentence_is_encoded_without_its_tokens_which_cost_nothing_until_they_are_wanted(kept: Path) -> None:
    encoder = OpenVinoEncoder(conversion.converted_model(model_directory(pinned()), pinned().digest, kept), "f32")
    encoder.passages(TEXTS[:2])
    assert [len(streams._queue[0].model_outputs) for streams in (encoder._questions(), encoder._passages())] == [1, 1]
    assert encoder._states._streams is None
    assert [made.shape for made in encoder.tokens(["leave leave", "", "[SEP] "])] == [(2, 384), (0, 384), (1, 384)]
    assert len(encoder._states()._queue[0].model_outputs) == 1
    assert encoder.tokens([]) == []


@pytest.mark.parametrize("left", [False, True])
def test_padding_and_special_tokens_have_no_row_whichever_side_they_are_on(
    kept: Path, monkeypatch: pytest.MonkeyPatch, left: bool
) -> None:
    converted = conversion.converted_model(model_directory(pinned()), pinned().digest, kept)
    reading = msgspec.structs.replace(converted.reading, pad_left=left)
    encoder = OpenVinoEncoder(replace(converted, reading=reading), "f32")
    monkeypatch.setattr(encoder, "_states", Echo)
    texts = ["leave", "the pump needs oil", "", "the pump"]
    for text, made in zip(texts, encoder.tokens(texts), strict=True):
        ids = converted.tokenizer.encode(text, add_special_tokens=False).ids
        assert [round(float(row[0] / row[1])) for row in made] == ids


class Echo:
    """In place of a model: the state of a token is its id, padding included; all texts are one batch."""

    number = 1

    def __init__(self) -> None:
        self.lengths = set[int]()

    def run(self, batches: Iterator[Any], take: Callable[[list[int], Any], None]) -> None:
        for places, inputs in batches:
            self.lengths.add(inputs["input_ids"].shape[1])
            ids = inputs["input_ids"].astype("float64")
            take(places, np.stack([ids, np.ones_like(ids)], axis=2))


def test_a_model_sees_texts_of_few_lengths_and_none_that_it_cannot_read(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps what it compiles for each shape, so that every other length would be memory that is never given back."""
    converted = conversion.converted_model(model_directory(pinned()), pinned().digest, kept)
    encoder, echo = OpenVinoEncoder(converted, "f32"), Echo()
    monkeypatch.setattr(encoder, "_states", lambda: echo)
    for words in range(400):
        encoder.tokens(["oil " * words])
    assert sorted(echo.lengths) == [8, 16, 24, *range(32, 257, 16)]
    assert converted.reading.max_tokens == 256


def test_what_threads_want_at_once_is_compiled_once(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = OpenVinoEncoder(conversion.converted_model(model_directory(pinned()), pinned().digest, kept), "f32")
    real, made, ready = encoder_openvino._Streams, [], threading.Barrier(4)

    def compiled(*made_of: Any) -> Any:
        made.append(made_of[1])
        return real(*made_of)

    def want(number: int) -> None:
        ready.wait(5)
        (encoder.tokens if number % 2 else encoder.passages)(["annual leave"])

    monkeypatch.setattr(encoder_openvino, "_Streams", compiled)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(want, range(4)))
    assert sorted(made) == ["sentence_embedding", "token_embeddings"]


@pytest.mark.skipif(not ABLE, reason="this CPU has no bfloat16")
async def test_in_bf16_they_are_close_they_are_close(kept: Path, original: Embedder) -> None:
    due = original.embed(TEXTS)
    with closing(open_embedder(openvino("bf16"), kept)) as embedder:
        made = embedder.embed(TEXTS)
        assert worst(made, due) >= 0.9995
        assert worst([await embedder.embed_query(text) for text in TEXTS], due) >= 0.9995
        assert made != due, "the control: it is another precision"


def test_a_kept_conversion_is_used_without_loading_the_original(kept: Path) -> None:
    open_embedder(openvino(), kept).close()
    script = (
        "import sys; from pathlib import Path; from tests.retrieval.models.test_encoder_openvino import *;"
        "embedder = open_embedder(openvino(), Path(sys.argv[1])); assert len(embedder.embed(['x'])[0]) == 384;"
        "assert not {'torch', 'sentence_transformers', 'openvino_telemetry'} & {n for n, m in sys.modules.items() if m}"
    )
    subprocess.run([sys.executable, "-c", script, str(kept)], check=True, cwd=Path(__file__).resolve().parents[3])
    assert len(list(kept.iterdir())) == 1


def test_a_kept_conversion_that_was_damaged_is_made_again(kept: Path) -> None:
    open_embedder(openvino(), kept).close()
    (folder,) = kept.iterdir()
    whole = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(whole[:1000] + b"\x7f\x7f\x7f\x7f" + whole[1004:])
    open_embedder(openvino(), kept).close()
    assert (folder / "model.bin").read_bytes() == whole
    assert list(kept.iterdir()) == [folder]


def without_weights(folder: Path) -> None:
    (folder / "model.bin").unlink()


def without_note(folder: Path) -> None:
    (folder / "kept.json").unlink()


def with_torn_note(folder: Path) -> None:
    (folder / "kept.json").write_bytes(b'{"reading": {"max_to')


@pytest.mark.parametrize("damage", [without_weights, without_note, with_torn_note])
def test_of_a_kept_conversion_that_is_not_whole_nothing_stays(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    open_embedder(openvino(), kept).close()
    (whole,) = kept.iterdir()
    folder = tmp_path / "converted" / whole.name
    shutil.copytree(whole, folder)
    damage(folder)
    again = conversion.converted_model(model_directory(pinned()), pinned().digest, kept)
    monkeypatch.setattr(conversion, "_convert", lambda _: again)
    open_embedder(openvino(), tmp_path / "converted").close()
    assert [path.name for path in folder.parent.iterdir()] == [whole.name]
    assert {path.name for path in folder.iterdir()} == {"kept.json", "model.bin", "model.xml"}


def test_a_kept_conversion_that_cannot_be_read_is_a_refusal(tmp_path: Path, kept: Path) -> None:
    open_embedder(openvino(), kept).close()
    (whole,) = kept.iterdir()
    (tmp_path / whole.name / "kept.json").mkdir(parents=True)
    with pytest.raises(RecipeError, match="can be neither read nor kept"):
        open_embedder(openvino(), tmp_path)


def changed(folder: Path, **pooling: Any) -> Embedding:
    """The pinned model with another pooling and less length, and a recipe for it."""
    source = model_directory(pinned())
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").symlink_to(source / "model.safetensors")
    held = json.loads((folder / "1_Pooling" / "config.json").read_text())
    modes = {name: False for name in held if name.startswith("pooling_mode")}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(held | modes | pooling))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16, "do_lower_case": False}))
    return msgspec.structs.replace(openvino(), package="", path=str(folder), digest=model_digest(folder))


@pytest.mark.parametrize("mode", ["pooling_mode_cls_token", "pooling_mode_max_tokens"])
def test_pooling_and_length_are_the_folders_own(tmp_path: Path, original: Embedder, mode: str) -> None:
    recipe = changed(tmp_path / "model", **{mode: True})
    reference = open_embedder(msgspec.structs.replace(recipe, runtime="torch"))
    with closing(reference), closing(open_embedder(recipe)) as embedder:
        made = embedder.embed(TEXTS)
        assert worst(made, reference.embed(TEXTS)) >= 0.99999
        assert worst(made, original.embed(TEXTS)) < 0.95, "the control: the pooling decides"
        assert embedder.max_tokens == 14


def test_a_conversion_that_gives_other_vectors_is_refused_and_not_kept(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = changed(tmp_path / "model", pooling_mode_cls_token=True)
    other = conversion.converted_model(model_directory(pinned()), pinned().digest, kept).graph
    monkeypatch.setattr(conversion, "_graph", lambda *_: other)
    with pytest.raises(
        RecipeError,
        match=r"\(Transformer, Pooling, Normalize\) cannot be converted for OpenVINO: set embedder\.runtime to torch",
    ):
        open_embedder(recipe, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_a_conversion_that_gives_other_token_vectors_is_refused(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = conversion.converted_model(model_directory(pinned()), pinned().digest, kept).graph
    monkeypatch.setattr(conversion, "_graph", lambda *_: turned(graph))
    with pytest.raises(RecipeError, match=r"cosine -1\.00000 to the original, 0\.9999 is due"):
        open_embedder(openvino(), tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def turned(graph: Any) -> Any:
    """The graph with every token's state pointing the other way, and the sentence's vector as it was."""
    from openvino import Model, opset13

    sentence, tokens = (
        graph.output(name).get_node().input_value(0) for name in ("sentence_embedding", "token_embeddings")
    )
    other = opset13.negative(tokens)
    tokens.set_names(set())
    other.output(0).set_names({"token_embeddings"})
    return Model([opset13.result(sentence), opset13.result(other)], graph.get_parameters())


def test_bf16_on_a_cpu_without_it_is_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_embedder(openvino(), kept).close()
    real = encoder_openvino.openvino()
    plain = SimpleNamespace(get_property=lambda *_: ["FP32"], read_model=real.Core().read_model)
    monkeypatch.setattr(encoder_openvino, "openvino", lambda: SimpleNamespace(Core=lambda: plain))
    with pytest.raises(RecipeError, match=r"no bfloat16 .*: pin a version of precision f32"):
        open_embedder(openvino("bf16"), kept)
