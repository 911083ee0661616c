"""OpenVINO: the vectors of the original model whatever its pooling, kept conversions, and what is refused."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from retrieval import conversion, encoder_openvino
from retrieval.embed import Embedder, open_embedder
from retrieval.errors import RecipeError
from retrieval.index import Embedding
from retrieval.modelfolder import model_digest, model_directory
from tests.retrieval.test_embed import pinned

TEXTS = [
    "Refund",
    "How many days of ANNUAL leave do I get in 2026?",
    "Für Verträge gilt § 4: naïve cafés zahlen 12,5 % (netto). 東京の契約書",
    "Employees may carry up to 8 days of unused leave over into the next year, until 31 March. " * 3,
    "The pump needs oil every 200 hours of operation. " * 80,
    "",
]
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


@pytest.mark.skipif(not ABLE, reason="this CPU has no bfloat16")
async def test_in_bf16_they_are_close(kept: Path, original: Embedder) -> None:
    due = original.embed(TEXTS)
    with closing(open_embedder(openvino("bf16"), kept)) as embedder:
        made = embedder.embed(TEXTS)
        assert worst(made, due) >= 0.9995
        assert worst([await embedder.embed_query(text) for text in TEXTS], due) >= 0.9995
        assert made != due, "the control: it is another precision"


def test_a_kept_conversion_is_used_without_loading_the_original(kept: Path) -> None:
    open_embedder(openvino(), kept).close()
    script = (
        "import sys; from pathlib import Path; from tests.retrieval.test_encoder_openvino import *;"
        "embedder = open_embedder(openvino(), Path(sys.argv[1])); assert len(embedder.embed(['x'])[0]) == 384;"
        "assert not {'torch', 'sentence_transformers', 'openvino_telemetry'} & {n for n, m in sys.modules.items() if m}"
    )
    subprocess.run([sys.executable, "-c", script, str(kept)], check=True, cwd=Path(__file__).resolve().parents[2])
    assert len(list(kept.iterdir())) == 1


def test_a_kept_conversion_that_was_damaged_is_made_again(kept: Path) -> None:
    open_embedder(openvino(), kept).close()
    (folder,) = kept.iterdir()
    whole = (folder / "model.bin").read_bytes()
    (folder / "model.bin").write_bytes(whole[:1000] + b"\x7f\x7f\x7f\x7f" + whole[1004:])
    open_embedder(openvino(), kept).close()
    assert (folder / "model.bin").read_bytes() == whole
    assert list(kept.iterdir()) == [folder]


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


def test_bf16_on_a_cpu_without_it_is_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_embedder(openvino(), kept).close()
    real = encoder_openvino.openvino()
    plain = SimpleNamespace(get_property=lambda *_: ["FP32"], read_model=real.Core().read_model)
    monkeypatch.setattr(encoder_openvino, "openvino", lambda: SimpleNamespace(Core=lambda: plain))
    with pytest.raises(RecipeError, match=r"no bfloat16 .*: pin a version of precision f32"):
        open_embedder(openvino("bf16"), kept)
