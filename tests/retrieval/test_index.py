"""An index version is what its recipe says: named by it, refused when either differs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from retrieval.errors import IndexNotSealed, RecipeError
from retrieval.index import (
    MANIFEST_FILE,
    Bm25,
    Chunker,
    Embedding,
    Fusion,
    IndexManifest,
    IndexRecipe,
    load_recipe,
    read_manifest,
    unseal,
    write_manifest,
)

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
MANIFEST = IndexManifest(RECIPE.name, RECIPE, 2, 7, 88.5, {"acme": 3}, datetime(2026, 11, 21, tzinfo=UTC))


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
    ]
    assert len({RECIPE.name, *(other.name for other in others)}) == 5


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
    ],
)
def test_a_changed_or_broken_recipe_is_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load_recipe(filed(tmp_path, RECIPE, **changed))


@pytest.mark.parametrize("raw", [b"", b"label: [", b"\xff\xfe", b"- a\n- b\n"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "idx-a-00000000.yaml").write_bytes(raw)
    with pytest.raises(RecipeError, match="not valid"):
        load_recipe(tmp_path / "idx-a-00000000.yaml")


def test_a_missing_recipe_names_the_version(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'idx-a-00000000' is not known"):
        load_recipe(tmp_path / "idx-a-00000000.yaml")


def test_a_seal_is_read_back_until_it_is_taken_off(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert (tmp_path / MANIFEST_FILE).exists()
    assert read_manifest(tmp_path, RECIPE) == MANIFEST
    unseal(tmp_path)
    unseal(tmp_path)
    assert not (tmp_path / MANIFEST_FILE).exists()
    with pytest.raises(IndexNotSealed, match="twinpin ingest"):
        read_manifest(tmp_path, RECIPE)


def test_the_manifest_of_another_recipe_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    other = msgspec.structs.replace(RECIPE, passages=5)
    with pytest.raises(RecipeError, match="another recipe"):
        read_manifest(tmp_path, other)


def test_a_half_written_draft_is_no_seal(tmp_path: Path) -> None:
    (tmp_path / f"{MANIFEST_FILE}.draft").write_bytes(b'{"name": "idx')
    assert not (tmp_path / MANIFEST_FILE).exists()
    with pytest.raises(IndexNotSealed):
        read_manifest(tmp_path, RECIPE)
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path, RECIPE) == MANIFEST


@pytest.mark.parametrize(
    "change", [lambda raw: raw[:50], lambda raw: b"", lambda raw: raw.replace(b'"chunks"', b'"x"')]
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, change: Any) -> None:
    write_manifest(tmp_path, MANIFEST)
    path = tmp_path / MANIFEST_FILE
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(IndexNotSealed, match="damaged"):
        read_manifest(tmp_path, RECIPE)
