"""Pins are read whole and valid, or refused with the reason; and those of this repository hold."""

import shutil
from pathlib import Path

import pytest

from deploy.pinboard import Pinboard, ReleaseConfigError, describe_pins, read_pinboard
from deploy.pins import Pin, Pins
from retrieval.index import load_recipe
from serving.manifest import load_manifest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
HERE = read_pinboard(DEPLOY / "releases.yaml")
INDEX, MODEL = HERE.pins.index.stable, HERE.pins.model.stable
GOOD = f"index: {{stable: {INDEX}}}\nmodel: {{stable: {MODEL}}}\n"


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    (tmp_path / "versions").mkdir()
    for name in (INDEX, MODEL):
        shutil.copy(HERE.versions / f"{name}.yaml", tmp_path / "versions")
    path = tmp_path / "releases.yaml"
    path.write_text(GOOD)
    return path


def relabelled(releases: Path, label: str) -> str:
    """A second index version beside the first: the same recipe under another label."""
    text = (HERE.versions / f"{INDEX}.yaml").read_text().replace("2026.11.21", label)
    draft = releases.parent / "versions" / f"idx-{label}-00000000.yaml"
    draft.write_text(text)
    with pytest.raises(ReleaseConfigError, match=f"gives 'idx-{label}-") as refused:
        describe_pins(Pins(Pin(draft.stem), Pin(MODEL)), draft.parent)
    name = str(refused.value).partition("gives '")[2].partition("'")[0]
    draft.rename(draft.with_stem(name))
    return name


def test_a_board_names_both_versions_and_holds_their_descriptions(releases: Path) -> None:
    board = read_pinboard(releases)
    assert board == Pinboard(HERE.pins, releases.parent / "versions", HERE.recipes, HERE.manifests)
    assert board.recipes[INDEX].name == load_recipe(board.index_recipe()).name == INDEX
    assert board.manifests[MODEL].name == load_manifest(board.model_manifest()).name == MODEL


def test_previous_and_candidate_are_described_too(releases: Path) -> None:
    older, newer = relabelled(releases, "older"), relabelled(releases, "newer")
    text = f"index: {{stable: {INDEX}, previous: {older}, candidate: {newer}}}\nmodel: {{stable: {MODEL}}}\n"
    releases.write_text(text)
    board = read_pinboard(releases)
    assert board.pins.index.named == (INDEX, older, newer)
    assert {name: recipe.name for name, recipe in board.recipes.items()} == {
        name: name for name in (INDEX, older, newer)
    }


def test_a_version_that_is_named_twice_is_one_version(releases: Path) -> None:
    releases.write_text(GOOD.replace(f"stable: {INDEX}", f"stable: {INDEX}, previous: {INDEX}"))
    assert read_pinboard(releases).pins.index.named == (INDEX,)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseConfigError, match=r"no 'releases\.yaml'"):
        read_pinboard(tmp_path / "releases.yaml")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseConfigError, match="cannot be read"):
        read_pinboard(tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not valid"),
        ("index: [", "not valid"),
        (f"index: {{stable: {INDEX}}}", "missing required field `model`"),
        (GOOD + "colour: {stable: red}", "unknown field `colour`"),
        (f"index: {{stable: {INDEX}, canary: x}}\nmodel: {{stable: {MODEL}}}", "unknown field `canary`"),
        (f"index: {{previous: {INDEX}}}\nmodel: {{stable: {MODEL}}}", "missing required field `stable`"),
        (GOOD.replace(INDEX, MODEL), rf"index\.stable is '{MODEL}', which is no name of index versions"),
        (GOOD.replace(MODEL, "../../etc/passwd"), "is no name of model versions"),
        (GOOD.replace(MODEL, "mdl-small"), "is no name of model versions"),
        (GOOD.replace(INDEX, "idx-a.2-0123abcd"), r"not described in versions/idx-a\.2-0123abcd\.yaml"),
        (GOOD.replace(f"{INDEX}}}", f"{INDEX}, candidate: idx-a-0123abcd}}"), r"index\.candidate is 'idx-a-0123abcd'"),
        (GOOD.replace(f"{MODEL}}}", f"{MODEL}, previous: mdl-a}}"), r"model\.previous is 'mdl-a', which is no name"),
    ],
)
def test_what_is_not_valid_is_refused_with_the_reason(releases: Path, text: str, told: str) -> None:
    releases.write_text(text)
    with pytest.raises(ReleaseConfigError, match=told):
        read_pinboard(releases)


@pytest.mark.parametrize("axis", ["index", "model"])
def test_a_description_that_does_not_fit_its_name_is_refused(releases: Path, axis: str) -> None:
    name = {"index": INDEX, "model": MODEL}[axis]
    described = releases.parent / "versions" / f"{name}.yaml"
    changed = described.read_text().replace("passages: ", "passages: 1").replace("answer_tokens: ", "answer_tokens: 1")
    described.write_text(changed)
    with pytest.raises(ReleaseConfigError, match=rf"^{axis}\.stable is '{name}': "):
        read_pinboard(releases)


def test_bytes_that_are_no_text_are_refused(releases: Path) -> None:
    releases.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReleaseConfigError, match="not valid"):
        read_pinboard(releases)


def test_the_versions_of_this_repository_are_what_their_names_say() -> None:
    for path in HERE.versions.iterdir():
        assert (load_recipe(path) if path.name.startswith("idx-") else load_manifest(path)).name == path.stem
