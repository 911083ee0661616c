"""An index version is what its recipe says: named by it, refused when either differs."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from retrieval.errors import RecipeError
from retrieval.index import Bm25, Chunker, Embedding, Fusion, IndexRecipe, load_recipe

RECIPE = IndexRecipe(
    label="2026.11.21",
    parser="blocks-1",
    chunker=Chunker("tree-1", 160, "heading"),
    embedder=Embedding("package", "model", "sha256:00", 384),
    bm25=Bm25(1.2, 0.75, 90.0, "english"),
    fusion=Fusion("convex", 0.5, 0.5),
    reranker=None,
    candidates=100,
    passages=4,
    abstain_below=0.3,
)


def filed(folder: Path, recipe: IndexRecipe, **changed: Any) -> Path:
    """A recipe file under the name that `recipe` gives, with other content where asked."""
    path = folder / f"{recipe.name}.yaml"
    path.write_text(yaml.safe_dump({**msgspec.to_builtins(recipe), **changed}), "utf-8")
    return path


def test_a_recipe_is_named_by_all_of_its_content(tmp_path: Path) -> None:
    assert load_recipe(filed(tmp_path, RECIPE)) == RECIPE
    assert RECIPE.name.startswith("idx-2026.11.21-")
    others = [
        msgspec.structs.replace(RECIPE, passages=5),
        msgspec.structs.replace(RECIPE, bm25=msgspec.structs.replace(RECIPE.bm25, avg_len=91.0)),
        msgspec.structs.replace(RECIPE, fusion=msgspec.structs.replace(RECIPE.fusion, kind="rrf")),
        msgspec.structs.replace(RECIPE, embedder=msgspec.structs.replace(RECIPE.embedder, digest="sha256:01")),
        msgspec.structs.replace(RECIPE, collapse=0.8),
        msgspec.structs.replace(RECIPE, freshness={"*": 365}),
        msgspec.structs.replace(RECIPE, freshness={"*": 366}),
    ]
    assert len({RECIPE.name, *(other.name for other in others)}) == 8


def test_a_name_once_given_stays() -> None:
    """If this fails, every pinned version would need another name: a new field needs a default, and keeps it."""
    assert RECIPE.name == "idx-2026.11.21-5629f5e0"
    ruled = msgspec.structs.replace(RECIPE, freshness={"policy": 365, "*": 30}, collapse=0.8, abstain_coverage=0.5)
    assert ruled.name == "idx-2026.11.21-a45fa586"


def test_what_is_at_its_default_is_no_part_of_the_name(tmp_path: Path) -> None:
    fields = msgspec.to_builtins(RECIPE)
    for name in ("abstain_coverage", "collapse", "freshness"):
        del fields[name]
    del fields["fusion"]["k"]
    path = tmp_path / f"{RECIPE.name}.yaml"
    path.write_text(yaml.safe_dump(fields), "utf-8")
    assert load_recipe(path) == RECIPE
    assert load_recipe(filed(tmp_path, RECIPE, collapse=0.9, freshness={})) == RECIPE


def test_the_order_of_rules_does_not_matter() -> None:
    names = {msgspec.structs.replace(RECIPE, freshness=rules).name for rules in ({"a": 1, "b": 2}, {"b": 2, "a": 1})}
    assert len(names) == 1


def test_the_order_of_fields_in_the_file_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / f"{RECIPE.name}.yaml"
    fields = msgspec.to_builtins(RECIPE)
    path.write_text(yaml.safe_dump(dict(reversed(fields.items())), sort_keys=False), "utf-8")
    assert load_recipe(path) == RECIPE


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"passages": 5}, "a changed recipe is another version"),
        ({"label": "other"}, "a changed recipe is another version"),
        ({"surprise": 1}, "unknown field `surprise`"),
        ({"bm25": {"k": 1.2}}, "missing required field"),
        ({"candidates": "many"}, "Expected `int`"),
        ({"fusion": {"kind": "magic", "dense": 1, "sparse": 1}}, "Invalid enum value"),
        ({"freshness": {"policy": -1}}, ">= 0"),
        ({"freshness": {"policy": "a year"}}, "Expected `int`"),
        ({"collapse": 1.5}, "<= 1.0"),
        ({"passages": 0}, ">= 1"),
        ({"candidates": 0}, ">= 1"),
        ({"abstain_below": float("nan")}, "finite"),
        ({"fusion": {"kind": "convex", "dense": 0, "sparse": 0.0}}, "one of them above 0"),
        ({"fusion": {"kind": "convex", "dense": -1, "sparse": 1}}, ">= 0.0"),
        ({"fusion": {"kind": "convex", "dense": float("nan"), "sparse": 1}}, ">= 0.0"),
        ({"fusion": {"kind": "convex", "dense": float("inf"), "sparse": 1}}, "finite"),
        ({"fusion": {"kind": "rrf", "dense": 1, "sparse": 1, "k": -1}}, ">= 0"),
        ({"reranker": {"kind": "late", "pairs": 1}}, ">= 2"),
        ({"chunker": {"name": "tree-1", "budget": 0, "context": "none"}}, ">= 1"),
        ({"bm25": {"k": 1.2, "b": 0.75, "avg_len": 0, "language": "english"}}, "> 0"),
        ({"bm25": {"k": float("inf"), "b": 0.75, "avg_len": 9, "language": "english"}}, "finite"),
        ({"label": "../../x"}, "matching regex"),
        ({"label": "a\n"}, "matching regex"),
    ],
)
def test_a_changed_or_broken_recipe_is_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load_recipe(filed(tmp_path, RECIPE, **changed))


def test_the_described_versions_keep_their_names() -> None:
    """Bounds on numbers are no part of a name."""
    described = list((Path(__file__).parents[2] / "deploy" / "versions").glob("idx-*.yaml"))
    assert [load_recipe(path).name for path in described] == [path.stem for path in described] != []


def test_weights_have_no_upper_bound(tmp_path: Path) -> None:
    summed = msgspec.structs.replace(RECIPE, fusion=Fusion("rrf", 3.0, 1.0, 0))
    assert load_recipe(filed(tmp_path, summed)) == summed


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "idx-a-00000000.yaml").mkdir()
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "idx-a-00000000.yaml")


@pytest.mark.parametrize("raw", [b"", b"label: [", b"\xff\xfe", b"- a\n- b\n"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "idx-a-00000000.yaml").write_bytes(raw)
    with pytest.raises(RecipeError, match="not valid"):
        load_recipe(tmp_path / "idx-a-00000000.yaml")


def test_a_missing_recipe_names_the_version(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'idx-a-00000000' is not known"):
        load_recipe(tmp_path / "idx-a-00000000.yaml")
