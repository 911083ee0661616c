"""Pins are read whole and valid, or refused with the reason; and those of this repository hold."""

from pathlib import Path

import pytest

from deploy.pinboard import ReleaseConfigError, read_pinboard
from retrieval.index import load_recipe
from serving.manifest import load_manifest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
INDEX, MODEL = "idx-a.1-0123abcd", "mdl-small-89abcdef"
GOOD = f"index: {{stable: {INDEX}}}\nmodel: {{stable: {MODEL}}}\n"


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    (tmp_path / "versions").mkdir()
    for name in (INDEX, MODEL):
        (tmp_path / "versions" / f"{name}.yaml").touch()
    path = tmp_path / "releases.yaml"
    path.write_text(GOOD)
    return path


def test_a_board_names_both_versions_and_where_they_are_described(releases: Path) -> None:
    board = read_pinboard(releases)
    assert (board.pins.index.stable, board.pins.model.stable) == (INDEX, MODEL)
    assert board.index_recipe() == releases.parent / "versions" / f"{INDEX}.yaml"
    assert board.model_manifest() == releases.parent / "versions" / f"{MODEL}.yaml"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseConfigError, match=r"no 'releases\.yaml'"):
        read_pinboard(tmp_path / "releases.yaml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not valid"),
        ("index: [", "not valid"),
        (f"index: {{stable: {INDEX}}}", "missing required field `model`"),
        (GOOD + "colour: {stable: red}", "unknown field `colour`"),
        (f"index: {{stable: {INDEX}, canary: x}}\nmodel: {{stable: {MODEL}}}", "unknown field `canary`"),
        (GOOD.replace(INDEX, MODEL), rf"index\.stable is '{MODEL}', which is no name of index versions"),
        (GOOD.replace(MODEL, "../../etc/passwd"), "is no name of model versions"),
        (GOOD.replace(MODEL, "mdl-small"), "is no name of model versions"),
        (GOOD.replace(INDEX, "idx-a.2-0123abcd"), r"not described in versions/idx-a\.2-0123abcd\.yaml"),
    ],
)
def test_what_is_not_valid_is_refused_with_the_reason(releases: Path, text: str, told: str) -> None:
    releases.write_text(text)
    with pytest.raises(ReleaseConfigError, match=told):
        read_pinboard(releases)


def test_bytes_that_are_no_text_are_refused(releases: Path) -> None:
    releases.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReleaseConfigError, match="not valid"):
        read_pinboard(releases)


def test_the_versions_of_this_repository_are_what_their_names_say() -> None:
    board = read_pinboard(DEPLOY / "releases.yaml")
    assert load_recipe(board.index_recipe()).name == board.pins.index.stable
    assert load_manifest(board.model_manifest()).name == board.pins.model.stable
    for path in board.versions.iterdir():
        assert (load_recipe(path) if path.name.startswith("idx-") else load_manifest(path)).name == path.stem
