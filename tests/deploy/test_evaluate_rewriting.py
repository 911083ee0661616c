"""Follow-ups are held against what people made of them, set by set."""

import json
from pathlib import Path

import pytest

from deploy.evaluate_rewriting import AS_ASKED, BY_RULE, CONCATENATED, load_pairs, measure_rewriting, spread, token_f1
from tests.deploy.commandline import Cli, refused

CAST = [
    {"_id": "1_1", "set": "cast2019", "history": [], "utterance": "What is yoga?", "rewrite": "What is yoga?"},
    {
        "_id": "1_2",
        "set": "cast2019",
        "history": ["What is yoga?"],
        "utterance": "Is it new?",
        "rewrite": "Is yoga new?",
    },
    {"_id": "2_2", "set": "cast2020", "history": ["What is tea?"], "utterance": "Is it hot?", "rewrite": "Is tea hot?"},
]
MTRAG = [
    {
        "_id": "a",
        "domain": "x",
        "last_turn": "Why?",
        "rewrite": "Why drink tea?",
        "all_user_turns": ["What is tea?", "Why?"],
    }
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for folder, rows in (("cast_rewrite", CAST), ("mtrag_rewrite", MTRAG)):
        (tmp_path / "data" / folder).mkdir(parents=True)
        lines = "\n".join(map(json.dumps, rows))
        (tmp_path / "data" / folder / "rewrite_pairs.jsonl").write_text(lines, "utf-8")
    return tmp_path / "data"


def test_words_count_as_often_as_they_are_there() -> None:
    assert token_f1("Is THROAT cancer treatable?", "is throat cancer treatable") == 1.0
    assert token_f1("a a b", "a b b") == pytest.approx(2 / 3)
    assert (token_f1("a", "b"), token_f1("", "b"), token_f1("", "?")) == (0.0, 0.0, 1.0)


def test_only_follow_ups_count_each_in_its_set(data: Path) -> None:
    pairs = load_pairs(data)
    assert [(pair.id, pair.set, len(pair.history)) for pair in pairs] == [
        ("1_2", "cast2019", 1),
        ("2_2", "cast2020", 1),
        ("a", "mtrag_rewrite", 1),
    ]
    figures = measure_rewriting(data).figures["rewriting cast2019, token F1"]
    assert figures["follow-ups"] == 1
    assert figures[AS_ASKED] == figures[CONCATENATED] == 0.6667
    assert figures[BY_RULE] == 1.0
    assert figures[f"{BY_RULE}: changed"] == 1
    assert str(figures[f"{BY_RULE}: gain, 95 %"]).startswith("+0.333")


def test_a_sample_is_spread_over_each_set(data: Path) -> None:
    pairs = [pair for pair in load_pairs(data) for _ in range(10)]
    assert [pair.set for pair in spread(pairs, 2)] == ["cast2019"] * 2 + ["cast2020"] * 2 + ["mtrag_rewrite"] * 2
    assert len(spread(pairs, 99)) == 30


def test_the_command_tells_figures_and_each_question(cli: Cli, data: Path, tmp_path: Path) -> None:
    said = cli("evaluate", "rewriting", "--data", str(data), "--rows", str(tmp_path / "rows.jsonl"), "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["rewriting mtrag_rewrite, token F1"]["follow-ups"] == 1
    row = json.loads((tmp_path / "rows.jsonl").read_text("utf-8").splitlines()[0])
    assert (row["id"], row[BY_RULE]) == ("1_2", {"question": "Is yoga new?", "f1": 1.0})
    assert BY_RULE in cli("evaluate", "rewriting", "--data", str(data), "--sample", "1").out


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"_id": "1"}',
        "[]",
        '{"_id": "1", "utterance": "x", "rewrite": "y"}',
        '{"_id": "1", "utterance": "x", "rewrite": "y", "history": "all in one"}',
        '{"_id": "1", "utterance": "x", "rewrite": "y", "history": [1]}',
        '{"_id": "1", "last_turn": "x", "rewrite": "y", "all_user_turns": "all in one"}',
    ],
)
def test_a_line_that_cannot_be_read_is_named(cli: Cli, data: Path, line: str) -> None:
    (data / "cast_rewrite" / "rewrite_pairs.jsonl").write_text(f"\n{line}\n", "utf-8")
    assert "line 2 of 'rewrite_pairs.jsonl'" in refused(cli("evaluate", "rewriting", "--data", str(data)))


def test_a_folder_without_any_set_is_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert "cast_rewrite" in refused(cli("evaluate", "rewriting", "--data", str(tmp_path / "none")))


def test_questions_that_follow_none_are_refused(cli: Cli, data: Path) -> None:
    for folder in ("cast_rewrite", "mtrag_rewrite"):
        (data / folder / "rewrite_pairs.jsonl").write_text(json.dumps(CAST[0]), "utf-8")
    assert "no follow-ups" in refused(cli("evaluate", "rewriting", "--data", str(data)))


def test_a_version_whose_model_rewrites_nothing_starts_no_engine(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.local.Stack.start_engine", lambda _self: pytest.fail("an engine was started"))
    for model in (tmp_path / "versions").glob("mdl-*.yaml"):
        said = refused(cli("evaluate", "rewriting", "--data", str(data), "--model", str(model)))
        assert "does not rewrite by its model" in said


def test_rows_that_cannot_be_written_are_told_before(cli: Cli, data: Path, tmp_path: Path) -> None:
    said = cli("evaluate", "rewriting", "--data", str(data), "--rows", str(tmp_path / "none" / "rows.jsonl"))
    assert "rows cannot be written" in refused(said)
