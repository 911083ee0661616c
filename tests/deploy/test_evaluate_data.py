"""Collections that are not part of the product are measured part by part."""

import json
from pathlib import Path

import pytest

from deploy.evaluate_data import Part, run_parts
from deploy.evaluate_parsing import measure_parsing, word_recall
from deploy.measured import Measured


def part(folder: str, *, held: bool = True) -> Part:
    return Part(folder, lambda data: Measured({"words": {"data": data.name}}, [{"file": "a"}], held))


def test_parts_whose_folder_is_there_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "one").mkdir(parents=True)
    assert run_parts(tmp_path / "data", {"first": part("one"), "second": part("two")}) == 0
    (recorded,) = (tmp_path / "docs" / "benchmarks").iterdir()
    held = json.loads(recorded.read_text("utf-8"))
    assert (recorded.name, held["figures"], held["rows"]) == (
        "first.json",
        {"words": {"data": "data"}},
        [{"file": "a"}],
    )


def test_a_part_that_does_not_hold_or_data_without_any_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").mkdir()
    assert run_parts(tmp_path, {"first": part("one", held=False)}) == 1
    assert run_parts(tmp_path, {"second": part("two")}) == 1


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
