"""A judged collection is measured through the finder, its files refused by line, and its rows recorded in one list."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.beir import ALL, BeirError, load_beir
from deploy.evaluate_retrieval import evaluate_retrieval
from deploy.ranking import difference, label, mean, measure
from deploy.results import record_rows, render_page
from retrieval.index import IndexRecipe, Rerank
from retrieval.live import LiveIndex, silent
from retrieval.search import Finder
from tests.deploy.commandline import RECIPE, Cli, refused

TEXTS = {
    "refunds/1": ("Refunds", "Refunds are paid within 45 days of the invoice."),
    "cats": ("", "Cats purr at night."),
    "rain": ("Rain", ""),
    "mixed words": ("Noise", "Nothing of it matters to anybody."),
}
QUESTIONS = {"1": "when are refunds paid", "2": "why do cats purr", "cats": "purr at night", "4": "nobody judged this"}


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Four documents, three judged questions, two splits."""
    folder = tmp_path / "toy"
    folder.mkdir()
    write(
        folder / "corpus.jsonl", [{"_id": name, "title": title, "text": text} for name, (title, text) in TEXTS.items()]
    )
    write(folder / "queries.jsonl", [{"_id": name, "text": text} for name, text in QUESTIONS.items()])
    judge(folder / "qrels.tsv", "query-id\tcorpus-id\tscore", "1\trefunds/1\t2", "2\tcats\t1", "2\train\t0")
    judge(folder / "qrels_train.tsv", "cats\tmixed words\t1")
    return folder


def write(path: Path, rows: Sequence[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def judge(path: Path, *lines: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", "utf-8")


def rows(cli: Cli, collection: Path, *more: str) -> list[dict[str, Any]]:
    said = cli("evaluate", "retrieval", "--beir", str(collection), "--json", *more)
    assert said.code == 0, said.err
    found: list[dict[str, Any]] = json.loads(said.out)
    return found


def test_every_configuration_is_measured_and_the_pinned_one_marked(cli: Cli, collection: Path) -> None:
    found = {row["configuration"]: row for row in rows(cli, collection)}
    assert list(found) == ["bm25", "dense", "rrf", "fused"], "the recipe names no reranker"
    assert [name for name, row in found.items() if row["default"]] == ["fused"]
    fused = found["fused"]
    assert {fused[name] for name in ("ndcg@10", "recall@10", "recall@100", "mrr")} == {1.0}
    assert (fused["dataset"], fused["split"], fused["questions"], fused["documents"]) == ("toy", "test", 2, 4)
    assert fused["latency_ms"] > 0
    assert fused["index"] == RECIPE.name
    assert found["bm25"]["difference"]["to"] == "fused"


def test_another_recipe_is_no_default(cli: Cli, collection: Path) -> None:
    (fused,) = rows(cli, collection, "--set", "fusion.dense=0.9", "--only", "fused")
    assert (fused["default"], fused["pinned"]) == (False, False)
    assert fused["index"] != RECIPE.name


def test_each_question_is_written_with_what_it_found(cli: Cli, collection: Path, tmp_path: Path) -> None:
    rows(cli, collection, "--rows", str(tmp_path / "rows.jsonl"), "--only", "bm25", "--only", "dense")
    written = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    by = {(one["configuration"], one["id"]): one for one in written}
    first = by["bm25", "1"]
    assert (first["question"], first["gold"], first["label"]) == (QUESTIONS["1"], {"refunds/1": 2}, "found")
    assert [one["document"] for one in first["found"]] == ["refunds/1"], "a leg of words finds nothing without a word"
    assert [one["rank"] for one in by["dense", "1"]["found"]] == [1, 2, 3, 4]
    assert first["found"][0]["bm25"] > 0


def test_a_question_that_is_a_document_does_not_find_itself(cli: Cli, collection: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    (fused,) = rows(cli, collection, "--split", "train", "--only", "fused", "--rows", str(file))
    (asked,) = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    assert "cats" not in [one["document"] for one in asked["found"]]
    assert (fused["questions"], fused["recall@100"]) == (1, 1.0)


def test_what_was_embedded_is_kept_for_the_next_run(
    cli: Cli, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ("--keep", str(tmp_path / "kept"), "--only", "fused")
    before = rows(cli, collection, *kept)
    monkeypatch.setattr("deploy.evaluate_corpus._take_in", None)
    after = rows(cli, collection, *kept, "--set", "fusion.dense=0.4")
    assert (before[0]["chunks"], before[0]["ndcg@10"]) == (after[0]["chunks"], after[0]["ndcg@10"])
    write(collection / "corpus.jsonl", [{"_id": "other", "text": "Another text."}, {"_id": "cats", "text": "Cats."}])
    with pytest.raises(TypeError):  # other documents are taken in anew
        rows(cli, collection, *kept)


def test_what_is_shown_is_a_table(cli: Cli, collection: Path) -> None:
    said = cli("evaluate", "retrieval", "--beir", str(collection))
    assert "default" in said.out
    assert "2 questions, 4 documents" in said.out


def test_recorded_rows_are_one_list_and_the_page_shows_them(
    cli: Cli, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows(cli, collection, "--record")
    rows(cli, collection, "--record", "--split", "train")
    rows(cli, collection, "--record", "--set", "fusion.dense=0.9", "--only", "fused")
    held = json.loads((tmp_path / "docs/benchmarks/retrieval.json").read_text("utf-8"))
    assert [(row["split"], row["configuration"], row["default"]) for row in held] == [
        ("test", "bm25", False),
        ("test", "dense", False),
        ("test", "rrf", False),
        ("test", "fused", True),
        ("test", "fused", False),
        ("train", "bm25", False),
        ("train", "dense", False),
        ("train", "rrf", False),
        ("train", "fused", True),
    ]
    assert held[0]["command"] == "twinpin evaluate retrieval --beir toy --split test"
    page = (tmp_path / "docs/benchmarks.md").read_text("utf-8")
    assert "| toy | test | **fused** | 1.0000 |" in page
    assert page.count("| toy | test | bm25 |") == 1


def test_a_version_that_is_pinned_now_takes_the_place_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row = {"dataset": "d", "split": "test", "configuration": "fused", "default": True, "index": "a", "pinned": True}
    row |= dict.fromkeys(("ndcg@10", "recall@10", "recall@100", "mrr", "latency_ms"), 0.5) | {"questions": 1}
    tried = {**row, "index": "tried", "pinned": False, "default": False}
    record_rows("retrieval", "one", [row, {**row, "configuration": "bm25", "default": False}, tried])
    path = record_rows("retrieval", "two", [{**row, "index": "b"}])
    held = json.loads(path.read_text("utf-8"))
    assert [(one["index"], one["command"]) for one in held] == [("b", "two"), ("tried", "one")]
    assert "## Finding" in render_page([held])


@pytest.mark.parametrize(
    ("file", "lines", "told"),
    [
        ("corpus.jsonl", ['{"_id": "a", "text": "x"}', "{"], "line 2 of 'corpus.jsonl'"),
        ("corpus.jsonl", ['{"text": "x"}'], "_id"),
        ("corpus.jsonl", ['{"_id": "a", "text": "x"}'] * 2, "'a' 2 times"),
        ("corpus.jsonl", [""], "no documents"),
        ("queries.jsonl", ['{"_id": "1", "text": ["x"]}'], "line 1 of 'queries.jsonl'"),
        ("qrels.tsv", ["query-id\tcorpus-id\tscore", "1\tcats"], "line 2 of 'qrels.tsv'"),
        ("qrels.tsv", ["1\tcats\t1", "1\tcats\tmany"], "line 2 of 'qrels.tsv'"),
        ("qrels.tsv", ["9\tcats\t1"], "question '9', which does not exist"),
        ("qrels.tsv", ["1\tcats\t0"], "no question of 'toy', 'test' has a relevant document"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(
    cli: Cli, collection: Path, file: str, lines: list[str], told: str
) -> None:
    (collection / file).write_text("\n".join(lines) + "\n", "utf-8")
    assert told in refused(cli("evaluate", "retrieval", "--beir", str(collection)))


def test_what_there_is_not_is_named(cli: Cli, collection: Path) -> None:
    asked = ("evaluate", "retrieval", "--beir", str(collection))
    assert "['test', 'train']" in refused(cli(*asked, "--split", "dev"))
    assert "there is no configuration 'best'" in refused(cli(*asked, "--only", "best"))
    assert "no reranker" in refused(cli(*asked, "--only", "fused+rerank"))
    (collection / "queries.jsonl").unlink()
    assert "'queries.jsonl' of 'toy' cannot be read" in refused(cli(*asked))


def test_splits_are_found_in_a_folder_too_and_all_of_them_together(collection: Path) -> None:
    judge(collection / "qrels" / "dev.tsv", "1 0 cats 1".replace(" ", "\t"))
    assert load_beir(collection, "dev").judged == {"1": {"cats": 1}}
    everything = load_beir(collection, ALL)
    assert everything.judged == {
        "1": {"refunds/1": 2, "cats": 1},
        "2": {"cats": 1, "rain": 0},
        "cats": {"mixed words": 1},
    }
    assert [one.id for one in everything.asked] == ["1", "2", "cats"]
    with pytest.raises(BeirError, match="no judgements called 'test2'"):
        load_beir(collection, "test2")


def test_measures_by_hand() -> None:
    judged = {"first": {"a": 1}, "third": {"a": 1, "b": 1}, "never": {"a": 1}, "silent": {"a": 1}}
    below = [f"x{n}" for n in range(99)]
    measured = measure(judged, {"first": ["a"], "third": ["x", "y", "a", *below, "b"], "never": ["x"]})
    third = measured["third"]
    assert third.ndcg_10 == pytest.approx((1 / math.log2(4)) / (1 + 1 / math.log2(3)))
    assert (third.recall_10, third.recall_100) == (0.5, 0.5)
    assert third.mrr == pytest.approx(1 / 3)
    assert measured["silent"] == measured["never"] == mean([])
    assert mean(list(measured.values())).mrr == pytest.approx((1 + 1 / 3) / 4)


def test_a_difference_is_paired_and_the_same_in_every_run() -> None:
    better = difference([0.6, 0.7, 0.8] * 20, [0.5, 0.6, 0.7] * 20)
    assert [better.mean, better.low, better.high] == pytest.approx([0.1] * 3)
    noise = difference([1.0, 0.0] * 20, [0.0, 1.0] * 20)
    assert noise.low < 0 < noise.high
    assert noise == difference([1.0, 0.0] * 20, [0.0, 1.0] * 20)


def test_a_failure_is_told_by_where_the_document_was() -> None:
    places = [f"x{n}" for n in range(200)]
    known = dict.fromkeys([*places, "gold"])
    assert label({"gold": 1}, ["gold"], known) == "found"
    assert label({"gold": 1}, [*places[:10], "gold"], known) == "ranked too low"
    assert label({"gold": 1}, [*places[:100], "gold"], known) == "not found"
    assert label({"elsewhere": 1, "x1": 0}, places, known) == "missing knowledge"


def test_a_document_with_the_questions_id_counts_where_it_is_judged_relevant(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "numbered"
    folder.mkdir()
    texts = [text for _, text in TEXTS.values() if text]
    write(folder / "corpus.jsonl", [{"_id": str(n), "title": "", "text": text} for n, text in enumerate(texts)])
    write(folder / "queries.jsonl", [{"_id": str(n), "text": text} for n, text in enumerate(texts)])
    judge(folder / "qrels.tsv", "query-id\tcorpus-id\tscore", *(f"{n}\t{n}\t1" for n in range(len(texts))))
    (fused,) = rows(cli, folder, "--only", "fused")
    assert fused["ndcg@10"] == 1.0


class Contrarian:
    """A reranker that prefers what was found last."""

    async def rerank(
        self, question: str, texts: Sequence[str], *, scope: str = "", since: int | None = None
    ) -> list[float]:
        """Scores that turn the order round."""
        return [float(place) for place in range(len(texts))]

    def forget(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


async def test_a_reranker_orders_its_pairs_and_what_is_below_them_stays(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finder(index: LiveIndex, recipe: IndexRecipe | None = None) -> Finder:
        held = recipe or index.recipe
        return Finder(held, index.embedder, index.store, index.catalog, Contrarian() if held.reranker else None)

    monkeypatch.setattr(LiveIndex, "finder", finder)
    recipe = msgspec.structs.replace(RECIPE, reranker=Rerank("cross-encoder", 2, blend=1.0))
    evaluation = await evaluate_retrieval(load_beir(collection, "test"), recipe, silent, only=["fused+rerank"])
    (reranked,) = evaluation.configurations
    assert reranked.configuration == "fused+rerank", "fused was ranked for what is below the pairs, and not asked for"
    first = list(reranked.ranked[0].found)
    assert first.index("refunds/1") == 1, "the best of two pairs comes second"
    assert len(first) == len(TEXTS)
    (row,) = evaluation.rows(recipe.name)
    assert (row["default"], row["mrr"], row["degraded"]) == (True, 0.5, 0)
    assert "difference" not in row
