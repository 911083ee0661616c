"""Figures become a file and a page that nobody types."""

import json
import subprocess
from pathlib import Path

import pytest

from deploy.results import ResultError, render_page, require_writable, write_result, write_rows

RESULT = {
    "command": "make bench",
    "commit": "abc1234",
    "date": "2026-11-21T10:00:00+00:00",
    "machine": "2 cores",
    "figures": {"search": {"p50 ms": 2.345678, "queries": 400}},
}


def test_the_page_names_command_commit_date_and_machine_of_every_figure() -> None:
    page = render_page([RESULT, {**RESULT, "command": "make evaluate", "figures": {}}])
    assert "## `make bench`\n\n2026-11-21T10:00:00+00:00, commit abc1234, 2 cores.\n" in page
    assert "\n| search | |\n|---|---|\n| p50 ms | 2.346 |\n| queries | 400 |\n" in page
    assert page.index("make bench") < page.index("make evaluate")


def test_a_page_without_results_is_its_head() -> None:
    assert render_page([]).startswith("# Benchmarks\n")


def test_writing_a_result_renews_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_result("evaluate", "make evaluate", {"answers": {"leaks": 0}})
    path = write_result("bench", "make bench", {"search": {"p50 ms": 1.0}})
    write_result("bench", "make bench", {"search": {"p50 ms": 2.0}})
    held = json.loads(path.read_text("utf-8"))
    assert (held["command"], held["figures"]) == ("make bench", {"search": {"p50 ms": 2.0}})
    assert held["commit"]
    assert "cores" in held["machine"]
    page = (tmp_path / "docs" / "benchmarks.md").read_text("utf-8")
    assert page.count("## `make bench`") == page.count("## `make evaluate`") == 1
    assert "| p50 ms | 2 |" in page
    assert "| leaks | 0 |" in page


def test_a_commit_is_dirty_by_what_was_measured_and_not_by_what_measuring_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text("one = 1\n")
    write_result("bench", "make bench", {"search": {"p50 ms": 1.0}})
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    for arguments in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "all")):
        subprocess.run(["git", *arguments], check=True)
    again = write_result("bench", "make bench", {"search": {"p50 ms": 2.0}})
    assert not json.loads(again.read_text("utf-8"))["commit"].endswith("-dirty")
    third = write_result("bench", "make bench", {"search": {"p50 ms": 3.0}})
    assert not json.loads(third.read_text("utf-8"))["commit"].endswith("-dirty")
    (tmp_path / "code.py").write_text("one = 2\n")
    dirty = write_result("bench", "make bench", {"search": {"p50 ms": 4.0}})
    assert json.loads(dirty.read_text("utf-8"))["commit"].endswith("-dirty")


@pytest.mark.parametrize("kind", ["rows", "keep"])
@pytest.mark.parametrize("name", ["file/below", "/proc/none", "/proc/none/below"])
def test_where_nothing_can_be_written_is_told_before(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match=name):
        require_writable(*((tmp_path / name, None) if kind == "rows" else (None, tmp_path / name)))


def test_rows_are_no_folder_and_what_is_kept_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("held")
    with pytest.raises(ResultError, match="written"):
        require_writable(tmp_path)
    with pytest.raises(ResultError, match="written"):
        write_rows(tmp_path, [])
    with pytest.raises(ResultError, match="kept"):
        require_writable(keep=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "held"


def test_looking_leaves_a_file_as_it_is_and_makes_none(tmp_path: Path) -> None:
    held, new = tmp_path / "held", tmp_path / "kept" / "new"
    held.write_text("held")
    require_writable(held)
    require_writable(new, tmp_path / "kept")
    assert (held.read_text(), new.exists()) == ("held", False)
