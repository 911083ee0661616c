"""A field of a recipe at several values, on judged documents and on articles that hold answers."""

import json
from pathlib import Path

import pytest

from deploy.beir import BeirError
from deploy.evaluate_spans import SpansFound, span_figures
from deploy.evaluate_sweep import values_of
from deploy.squad import load_squad, places
from retrieval.errors import RecipeError
from tests.deploy.commandline import RECIPE, Cli, refused

FILLER = " ".join(f"Sentence number {n} says nothing of interest to anybody." for n in range(40))
ANSWER = "Refunds are paid\nwithin 45 days of the invoice."
CONTEXT = f"On refunds\n\nNobody waits for 45 days here. {FILLER}\n\n{ANSWER} {FILLER}"


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    """One long article and a question whose answer stands in it twice, once as the answer."""
    start = CONTEXT.index("45 days of")
    question = {"id": 7, "question": "when are refunds paid", "answers": [{"text": "45 days", "answer_start": start}]}
    other = {"id": 8, "question": "never answered", "answers": []}
    folder = tmp_path / "articles"
    folder.mkdir()
    paragraphs = [{"context": CONTEXT, "qas": [question, other]}]
    (folder / "toy.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return folder


def test_articles_are_documents_and_answers_places_in_them(articles: Path) -> None:
    squad = load_squad(articles)
    (question,) = squad.questions
    assert (squad.documents[0].title, question.document, question.nth) == ("On refunds", "0", 1)
    (first, second) = places("45  days", "45 days or 45\ndays")
    assert (first, second) == ((0, 7), (11, 18))
    assert list(places("  ", "45 days")) == []


def test_a_place_that_is_off_by_a_few_characters_is_the_nearest_one(articles: Path) -> None:
    file = articles / "toy.json"
    (due,) = load_squad(articles).questions
    held, start = file.read_text().replace('"text": "45 days"', '"text": " 45 days"'), CONTEXT.index("45 days of")
    for told in (start - 1, start, start + 3):
        file.write_text(held.replace(f'"answer_start": {start}', f'"answer_start": {told}'))
        (question,) = load_squad(articles).questions
        assert question.nth == due.nth


def test_an_answer_that_stands_elsewhere_and_other_files_are_refused(articles: Path) -> None:
    file = articles / "toy.json"
    file.write_text(file.read_text().replace('"answer_start": ', '"answer_start": 1'))
    with pytest.raises(BeirError, match="question '7' does not stand at"):
        load_squad(articles)
    file.write_text("{}")
    with pytest.raises(BeirError, match="SQuAD"):
        load_squad(articles)
    (articles / "other.json").write_text("{}")
    with pytest.raises(BeirError, match="2 JSON files"):
        load_squad(articles)


def test_a_sweep_over_chunk_sizes_finds_the_place_of_the_answer_in_each(
    cli: Cli, articles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = cli("evaluate", "sweep", "--beir", str(articles), "--each", "chunker.budget=40,100", "--json")
    assert said.code == 0, said.err
    small, usual = json.loads(said.out)
    assert (small["changes"], usual["index"]) == (["chunker.budget=40"], RECIPE.name)
    assert small["figures"]["chunks"] > usual["figures"]["chunks"]
    assert small["figures"]["mrr"] > 0
    assert set(small["figures"]) == {"mrr", "shown", "within 256 tokens", "within 512 tokens", "latency_ms", "chunks"}
    monkeypatch.chdir(tmp_path)
    shown = cli("evaluate", "sweep", "--beir", str(articles), "--each", "chunker.budget=100", "--record")
    assert "chunker.budget=100" in shown.out
    assert "chunker.budget on articles" in (tmp_path / "docs/benchmarks.md").read_text("utf-8")


def test_a_sweep_over_judged_documents_measures_rankings(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "a", "text": "Refunds are paid within 45 days."}))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "1", "text": "when are refunds paid"}))
    (tmp_path / "qrels_train.tsv").write_text("1\ta\t1\n")
    asked = (
        "evaluate",
        "sweep",
        "--beir",
        str(tmp_path),
        "--each",
        "fusion.dense=0.2,0.8",
        "--each",
        "candidates=5,20",
    )
    said = cli(*asked, "--json")
    assert said.err == ""
    steps = json.loads(said.out)
    assert [one["changes"] for one in steps][1] == ["fusion.dense=0.2", "candidates=20"]
    assert {one["figures"]["ndcg@10"] for one in steps} == {1.0}
    assert "write it like chunker.budget=64,96,128" in refused(cli(*asked[:4], "--each", "chunker.budget"))
    assert "unknown field `bugdet`" in refused(cli(*asked[:4], "--each", "chunker.bugdet=4"))


@pytest.fixture
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for measured in ("evaluate_retrieval", "evaluate_spans"):
        monkeypatch.setattr(f"deploy.evaluate_sweep.{measured}", lambda *_, **__: pytest.fail("something was measured"))


@pytest.mark.usefixtures("nothing_is_measured")
def test_what_cannot_be_measured_or_kept_is_told_before_anything_is(cli: Cli, articles: Path, tmp_path: Path) -> None:
    asked = ("evaluate", "sweep", "--beir", str(articles), "--each")
    assert "Expected `float`" in refused(cli(*asked, "fusion.dense=0.5,oops"))
    assert "klingon" in refused(cli(*asked, "bm25.language=english,klingon"))
    (tmp_path / "file").write_text("")
    assert "nothing can be kept" in refused(cli(*asked, "fusion.dense=0.5", "--keep", str(tmp_path / "file")))
    (tmp_path / "empty").mkdir()
    said = refused(cli(*asked[:3], str(tmp_path / "empty"), "--each", "fusion.dense=0.5"))
    assert "neither corpus.jsonl" in said


def test_a_split_that_tests_is_warned_about(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "a", "text": "Refunds are paid within 45 days."}))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "1", "text": "when are refunds paid"}))
    (tmp_path / "qrels_test.tsv").write_text("1\ta\t1\n")
    for split in ("test", "all"):
        said = cli("evaluate", "sweep", "--beir", str(tmp_path), "--each", "candidates=5", "--split", split, "--json")
        assert (said.code, f"{split!r} tests" in said.err) == (0, True)


def test_values_are_combined() -> None:
    assert list(values_of(["a=1,2", "b=x"])) == [("a=1", "b=x"), ("a=2", "b=x")]
    assert list(values_of(["a=1", "b=x", "a=2,1"])) == [("a=1", "b=x"), ("a=2", "b=x")]
    with pytest.raises(RecipeError, match="'a' has no values"):
        values_of(["a=1,"])


def test_span_figures_by_hand() -> None:
    first = SpansFound("1", "?", "0", "45 days", 1, 200, shown=True, milliseconds=1.0)
    fourth = SpansFound("2", "?", "0", "45 days", 4, 400, shown=False, milliseconds=3.0)
    never = SpansFound("3", "?", "0", "45 days", None, 100, shown=False, milliseconds=9.0)
    figures = span_figures([first, fourth, never])
    assert figures["mrr"] == pytest.approx((1 + 1 / 4) / 3)
    assert figures["shown"] == figures["within 256 tokens"] == pytest.approx(1 / 3)
    assert figures["within 512 tokens"] == pytest.approx(2 / 3)
    assert figures["latency_ms"] == 3.0
