"""`twinpin train`: from questions with their passages to a folder that a recipe pins."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from deploy.evaluate_collections import INFORMED_BY
from deploy.evaluate_data import run_parts
from deploy.training import learning, story
from retrieval.index import Embedding, IndexRecipe
from retrieval.models.modelfolder import model_digest, model_directory
from tests.deploy.commandline import RECIPE, Cli, Said, refused
from tests.retrieval.test_embed import pinned

READS, WIDE = 128, 32
TOPICS = ("refunds", "pumps", "leave", "invoices", "boats", "bees", "bread", "glass", "roads", "wine", "moths", "tides")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder of random weights, with MiniLM's tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("models") / "tiny"
    original = model_directory(pinned())
    (folder / "1_Pooling").mkdir(parents=True)
    for name in ("modules.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json"):
        shutil.copy(original / name, folder / name)
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({**pooling, "word_embedding_dimension": WIDE}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": READS, "do_lower_case": False}))
    vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDE,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=READS,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def stable(base: Path) -> IndexRecipe:
    """The version whose embedder is trained."""
    embedder = Embedding("", str(base), model_digest(base), WIDE)
    return msgspec.structs.replace(RECIPE, label="tiny", embedder=embedder)


@pytest.fixture
def trainer(cli: Cli, stable: IndexRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line, with that version pinned and results in the test's folder."""
    pin(tmp_path, stable)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TWINPIN_DATA", "data")
    return cli


@pytest.fixture
def quick(trainer: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The same without a conversion, which takes longer than so few passages."""
    monkeypatch.setattr(story, "_faster", lambda stable: stable)
    return trainer


def pin(folder: Path, recipe: IndexRecipe) -> None:
    (folder / "versions" / f"{recipe.name}.yaml").write_text(yaml.safe_dump(msgspec.to_builtins(recipe)))
    pins = yaml.safe_load((folder / "releases.yaml").read_text("utf-8"))
    (folder / "releases.yaml").write_text(yaml.safe_dump({**pins, "index": {"stable": recipe.name}}))


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A folder of collections: as many documents as topics, a question for each, and an article with answers."""
    data = tmp_path / "sets"
    judged(data / "scifact", "train")
    texts = {
        topic: f"The {topic} of the valley were counted in {1900 + n}. {filler(n)}" for n, topic in enumerate(TOPICS)
    }
    context = "On counting\n\n" + "\n\n".join(texts.values())
    asked = [
        {"id": topic, "question": f"When were the {topic} counted?", "answers": [answer(context, str(1900 + n))]}
        for n, topic in enumerate(TOPICS)
    ]
    (data / "covid_qa").mkdir()
    held = {"data": [{"paragraphs": [{"context": context, "qas": asked}]}]}
    (data / "covid_qa" / "articles.json").write_text(json.dumps(held))
    return data


def judged(folder: Path, *splits: str) -> Path:
    folder.mkdir(parents=True)
    rows = [{"_id": f"d{n}", "text": f"All about {topic}: {filler(n)}"} for n, topic in enumerate(TOPICS)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = [{"_id": f"q{n}", "text": f"What is known of {topic}?"} for n, topic in enumerate(TOPICS)]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    for split in splits:
        (folder / f"qrels_{split}.tsv").write_text("".join(f"q{n}\td{n}\t1\n" for n in range(len(TOPICS))))
    return folder


def filler(number: int) -> str:
    return " ".join(f"Remark {number * 31 + n} was written down by the clerk." for n in range(9))


def answer(context: str, text: str) -> dict[str, Any]:
    return {"text": text, "answer_start": context.index(text)}


def trained(said: Said) -> tuple[Path, str, list[str]]:
    """The folder, its digest, and the line to build a version with, as the command told them."""
    assert said.code == 0, said.err
    *_, told, digest, line = said.out.splitlines()
    return Path(told.partition(":")[0]), digest, shlex.split(line)


def test_weights_are_trained_written_and_built_with_as_the_last_line_says(
    quick: Cli, sets: Path, folder: Path, base: Path, stable: IndexRecipe, tmp_path: Path
) -> None:
    said = quick("train", "--data", str(sets), "--steps", "3")
    where, digest, line = trained(said)
    assert where == Path("data/models") / f"late-{digest.removeprefix('sha256:')[:8]}"
    assert model_digest(where) == digest != stable.embedder.digest
    record = json.loads((where / "training.json").read_text("utf-8"))
    assert (record["digest"], record["base_digest"], record["index"]) == (digest, stable.embedder.digest, stable.name)
    assert [(one["name"], one["split"], one["questions"]) for one in record["sets"]] == [
        ("scifact", "train", 12),
        ("covid_qa", "all", 12),
    ]
    assert set(record["sets"][0]["files"]) == {"corpus.jsonl", "queries.jsonl", "qrels_train.tsv"}
    assert "trained on scifact train, covid_qa in" in said.out
    assert (record["plan"]["steps"], record["plan"]["seed"], list(record["loss"])) == (3, 1, ["3"])
    (where / "training.json").write_text("{}")
    assert model_digest(where) == digest, "what is told of the weights decides nothing"
    for name in ("tokenizer.json", "sentence_bert_config.json"):
        assert (where / name).read_bytes() == (base / name).read_bytes()
    kept = (tmp_path / "here/docs/benchmarks/reranker.json").read_text("utf-8")
    assert digest in kept
    assert str(tmp_path) not in kept

    assert line[:5] == ["twinpin", "index", "build", "--from", stable.name]
    assert quick("ingest", str(folder)).code == 0
    built = json.loads(quick(*line[1:], "--json").out)["manifest"]["recipe"]
    assert built["embedder"] == {
        **msgspec.to_builtins(stable.embedder),
        "path": str(where),
        "digest": digest,
        "runtime": "openvino",
    }
    assert (built["reranker"]["kind"], built["reranker"]["pairs"]) == ("late", 12)


def test_a_seed_gives_the_same_weights_again_and_what_is_there_stays(quick: Cli, sets: Path) -> None:
    asked = ("train", "--squad", str(sets / "covid_qa"), "--steps", "2", "--seed", "5")
    first, digest, _ = trained(quick(*asked))
    written = (first / "training.json").stat().st_mtime_ns
    assert trained(quick(*asked))[:2] == (first, digest)
    assert [(one.name, one.stat().st_mtime_ns) for one in first.glob("training.json")] == [("training.json", written)]
    assert list(first.parent.iterdir()) == [first]


def test_what_cannot_be_trained_on_is_refused_and_leaves_nothing(
    quick: Cli, sets: Path, tmp_path: Path, stable: IndexRecipe
) -> None:
    empty, alone = tmp_path / "empty", judged(tmp_path / "alone", "dev")
    empty.mkdir()
    assert "neither 'scifact' nor 'covid_qa'" in refused(quick("train", "--data", str(empty)))
    assert "no set was named" in refused(quick("train"))
    assert "no judgements called 'train': there are ['dev']" in refused(quick("train", "--beir", str(alone)))
    (alone / "qrels_train.tsv").write_text("q1\td1\t0\n")
    assert "no question of 'alone', 'train' has a relevant document" in refused(quick("train", "--beir", str(alone)))
    (alone / "corpus.jsonl").write_text(json.dumps({"_id": "d1", "text": "All about pumps."}))
    (alone / "qrels_train.tsv").write_text("q1\td1\t1\n")
    assert "near it, passages without it" in refused(quick("train", "--beir", str(alone)))
    for wrong in (("--data", str(tmp_path / "none")), ("--data", str(sets), "--steps", "0")):
        assert quick("train", *wrong).code == 2
    pin(tmp_path, RECIPE)
    assert "has no weights here to start from" in refused(quick("train", "--data", str(sets)))
    moved = msgspec.structs.replace(stable.embedder, digest="sha256:0")
    pin(tmp_path, msgspec.structs.replace(stable, embedder=moved))
    assert "but the recipe pins sha256:0" in refused(quick("train", "--data", str(sets)))
    assert not list(tmp_path.glob("here/data/models/*"))


def test_what_is_cut_off_while_it_writes_leaves_nothing(
    quick: Cli, sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    def half(_model: Any, path: str, **_: Any) -> None:
        Path(path).mkdir()
        (Path(path) / "config.json").write_text("{")
        raise KeyboardInterrupt

    monkeypatch.setattr(SentenceTransformer, "save_pretrained", half)
    said = quick("train", "--squad", str(sets / "covid_qa"), "--steps", "1", "--out", "elsewhere")
    assert said.code not in (0, 2)
    assert not list(Path("elsewhere").iterdir())


def test_a_loss_that_is_no_number_is_told(quick: Cli, sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "token_likeness", lambda asked, *_: asked.sum() * float("nan"))
    assert "the loss is nan at step 1" in refused(quick("train", "--squad", str(sets / "covid_qa")))
    assert not list(Path("data/models").iterdir())


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """What is measured with every release, as little of it as there can be."""
    data = tmp_path / "measured"
    judged(data / "scifact", "train", "test")
    return data


def test_trained_weights_are_measured_beside_the_stable_version(
    quick: Cli, sets: Path, measured: Path, stable: IndexRecipe, tmp_path: Path
) -> None:
    trained(quick("train", "--squad", str(sets / "covid_qa"), "--steps", "1"))
    assert run_parts(measured) == 0
    rows = json.loads((tmp_path / "here/docs/benchmarks/retrieval.json").read_text("utf-8"))
    (row,) = [row for row in rows if row["index"] != stable.name]
    assert (row["split"], row["configuration"], row["default"]) == ("test", "fused+rerank, trained", False)
    assert row["informed_by"] == f"{INFORMED_BY}; weights trained on covid_qa"
