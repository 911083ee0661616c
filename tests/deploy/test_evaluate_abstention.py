"""Confidence is held against questions that a collection answers and others, at a threshold from elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.beir import BeirQuestion
from deploy.evaluate_abstention import Abstention, Asked, area, label
from tests.deploy.commandline import Cli, refused


def asked(confidence: float, answerable: bool) -> Asked:
    return Asked(BeirQuestion("q", "?", {}), confidence, answerable, ())


def test_rates_at_the_threshold_and_the_area_by_hand() -> None:
    of = [asked(0.9, True), asked(0.5, True), asked(0.3, True), asked(0.5, False), asked(0.1, False)]
    figures = Abstention(of, 0.5, "others").figures()
    assert figures["area under the curve"] == pytest.approx((2 + 1.5 + 1) / 6)
    assert figures["false answers: unanswerable, at or above"] == pytest.approx(1 / 2)
    assert figures["false abstentions: answerable, below"] == pytest.approx(1 / 3)
    assert [label(one, 0.5) for one in of] == ["goes on", "goes on", "false abstention", "false answer", "abstains"]
    curve = Abstention(of, 0.5, "others").curve()
    assert (curve["at 0.00"], curve["at 1.00"]) == ("1.000 / 0.000", "0.000 / 1.000")


def test_the_area_of_what_is_told_apart_and_of_chance() -> None:
    assert area([0.8, 0.9], [0.1, 0.2]) == 1.0
    assert area([0.5], [0.5]) == 0.5


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """One document, a question that it answers and one that it does not."""
    folder = tmp_path / "toy"
    folder.mkdir()
    told = [("1", "when are refunds paid", True), ("2", "who painted the ceiling", False), ("3", "unsaid", None)]
    questions: list[dict[str, Any]] = [
        {"_id": name, "text": text, "metadata": {} if known is None else {"answerable": known}}
        for name, text, known in told
    ]
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "a", "text": "Refunds are paid within 45 days."}))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, questions)))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n")
    return folder


def test_a_collection_is_asked_what_it_answers_and_what_it_does_not(cli: Cli, collection: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    said = cli(
        "evaluate", "abstention", "--beir", str(collection), "--set", "abstain_below=0.3", "--rows", str(rows), "--json"
    )
    assert said.code == 0, said.err
    figures = json.loads(said.out)
    assert (figures["area under the curve"], figures["threshold"]) == (1.0, 0.3)
    assert figures["threshold chosen on"] == "the recipe's own"
    written = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    assert [(one["id"], one["answerable"], one["found"]) for one in written] == [
        ("1", True, ["a"]),
        ("2", False, ["a"]),
    ]
    shown = cli("evaluate", "abstention", "--beir", str(collection))
    assert "false answers / false abstentions" in shown.out


def test_a_collection_that_does_not_tell_is_refused(cli: Cli, collection: Path) -> None:
    (collection / "queries.jsonl").write_text(json.dumps({"_id": "1", "text": "?"}))
    assert "`answerable`" in refused(cli("evaluate", "abstention", "--beir", str(collection)))
