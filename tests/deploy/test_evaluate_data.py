"""Collections that are not part of the product are measured part by part."""

import json
from pathlib import Path

import pytest

from deploy.evaluate_collections import INFORMED_BY
from deploy.evaluate_data import Part, run_parts
from deploy.evaluate_parsing import measure_parsing, word_recall
from deploy.measured import Measured
from deploy.settings import Settings
from tests.deploy.commandline import Cli


def part(folder: str, *, held: bool = True) -> Part:
    return Part(folder, lambda data: Measured({"words": {"data": data.name}}, [{"file": "a"}], held))


def test_parts_whose_folder_is_there_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "one").mkdir(parents=True)
    assert run_parts(tmp_path / "data", {"first": part("one"), "second": part("two")}) == 0
    (recorded,) = (tmp_path / "docs" / "benchmarks").iterdir()
    assert recorded.name == "first.json"
    assert json.loads(recorded.read_text("utf-8"))["figures"] == {"words": {"data": "data"}}
    assert json.loads(Settings().rows_of("first").read_text("utf-8")) == {"file": "a"}


def test_a_part_that_does_not_hold_or_data_without_any_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").mkdir()
    assert run_parts(tmp_path, {"first": part("one", held=False)}) == 1
    assert run_parts(tmp_path, {"second": part("two")}) == 1


def test_judged_collections_go_into_one_list_of_configurations(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversation's last turn says nothing without the turn before it, and the control and the rule know that."""
    data, history = tmp_path / "data", [{"role": "user", "content": "Tell me of the Zephyr refund policy."}]
    judged(data / "scifact", {"1": ("refunds", {})}, "train")
    judged(data / "mtrag_un", {"1": ("When is it paid?", {"history": history})})
    judged(data / "clapnq_dev", {"1": ("refunds paid", {"answerable": True}), "2": ("cats", {"answerable": False})})
    monkeypatch.chdir(tmp_path)
    assert run_parts(data) == 0
    rows = json.loads((tmp_path / "docs/benchmarks/retrieval.json").read_text("utf-8"))
    configurations = {
        (row["dataset"], row["split"], row["configuration"]) for row in rows if row["configuration"][:5] == "fused"
    }
    assert configurations == {
        ("scifact", "train", "fused"),
        ("scifact", "test", "fused"),
        ("mtrag_un", "test", "fused"),
        ("mtrag_un", "test", "fused, history concatenated"),
        ("mtrag_un", "test", "fused, rewritten by the rule"),
        ("clapnq_dev", "test", "fused"),
    }
    assert {row["configuration"] for row in rows if row["default"]} == {"fused"}
    assert {row["informed_by"] for row in rows} == {INFORMED_BY}
    held = json.loads((tmp_path / "docs/benchmarks/abstention.json").read_text("utf-8"))
    assert held["figures"]["abstaining on clapnq_dev"]["area under the curve"] == 1.0
    told = [json.loads(line) for line in Settings().rows_of("abstention").read_text("utf-8").splitlines()]
    assert [(row["question"], row["label"]) for row in told] == [("refunds paid", "goes on"), ("cats", "abstains")]
    assert "refunds" not in str(held), "nothing that a collection says is recorded"


def judged(folder: Path, questions: dict[str, tuple[str, dict[str, object]]], *more_splits: str) -> None:
    """A collection of two documents, whose first one answers the first question."""
    folder.mkdir(parents=True)
    texts = {"a": "The Zephyr refund policy: refunds are paid within 45 days.", "b": "Dogs bark at the moon."}
    rows = [{"_id": name, "text": text} for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = [{"_id": name, "text": text, "metadata": told} for name, (text, told) in questions.items()]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    for name in ("qrels.tsv", *(f"qrels_{split}.tsv" for split in more_splits)):
        (folder / name).write_text("1\ta\t1\n")


def test_every_file_is_parsed_or_refused_with_a_reason(tmp_path: Path) -> None:
    folder = tmp_path / "docs_markitdown"
    (folder / "expected_outputs").mkdir(parents=True)
    (folder / "a.md").write_text("# Words\n\nsome more")
    (folder / "b.msg").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99))
    measured = measure_parsing(tmp_path)
    assert [(row["file"], row["format"], row["status"]) for row in measured.rows] == [
        ("a.md", "md", "parsed"),
        ("b.msg", "msg", "refused"),
    ]
    assert measured.figures["parsing"]["refused with a reason"] == 1
    assert "Outlook" in measured.figures["parsing, files"]["b.msg"]
    assert measured.held


def test_words_are_counted_as_often_as_they_are_expected() -> None:
    assert word_recall("The refund, the fee", "the REFUND") == 0.5
    assert word_recall("|---|", "words") is None
