"""`twinpin index calibrate`, `build --golden` and `show --calibration`: a threshold is fitted, kept, shown, renewed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.tradeoff import picture
from retrieval.calibration import Calibration
from retrieval.catalog import Catalog
from retrieval.errors import IndexNotSealed
from tests.deploy.commandline import RECIPE, Cli, refused
from tests.deploy.test_cli_index import shown
from tests.retrieval.samples import calibration

TOPICS = (
    "refunds", "holidays", "parking", "passwords", "travel", "laptops", "invoices", "visitors", "lunches", "printers",
    "badges", "meetings",
)  # fmt: skip
WHO = {"tenant": "acme", "subject": "x", "groups": ["staff"]}


def asked(split: str, number: int, documents: list[str], question: str) -> dict[str, Any]:
    return {**WHO, "split": split, "question": f"{question} {number}", "documents": documents}


@pytest.fixture
def library(cli: Cli, folder: Path) -> Cli:
    """A document for each topic, in the stable version."""
    for topic in TOPICS:
        (folder / f"{topic}.md").write_text(f"# {topic}\n\nAll about {topic} and who decides on {topic} here.")
    assert cli("ingest", str(folder)).code == 0
    return cli


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """Twelve questions with an answer; with that withheld, and with five others, seventeen without."""
    rows = [asked("fit", n, [f"{topic}.md"], f"who decides on {topic}") for n, topic in enumerate(TOPICS)]
    rows += [asked("fit", n, [], "zebra quartz vortex") for n in range(5)]
    rows += [asked("test", n, [], "never to be asked") for n in range(3)]
    path = tmp_path / "golden.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def fitted(library: Cli, *arguments: str) -> Calibration:
    return msgspec.convert(shown(library, "index", *arguments), Calibration)


def test_a_version_is_calibrated_shown_and_stays_so(library: Cli, golden: Path, tmp_path: Path) -> None:
    assert "WARNING" in library("index", "verify", RECIPE.name).out
    assert "has no calibration" in refused(library("index", "show", RECIPE.name, "--calibration"))
    made = fitted(library, "calibrate", RECIPE.name, "--golden", str(golden), "--split", "fit")
    assert (made.index, made.answerable, made.unanswerable, made.withheld, made.empty) == (RECIPE.name, 12, 17, 12, 0)
    assert made.auc > 0.9
    assert 0 < made.threshold < 1
    assert fitted(library, "show", RECIPE.name, "--calibration") == made
    assert msgspec.convert(shown(library, "index", "show", RECIPE.name)["sealed"]["calibration"], Calibration) == made
    said = library("index", "verify", RECIPE.name)
    assert (said.code, "WARNING" in said.out) == (0, False)
    again = shown(library, "index", "build", RECIPE.name)["manifest"]
    assert msgspec.convert(again["calibration"], Calibration) == made, "a build that goes on keeps it"
    assert library("ingest", str(tmp_path / "docs")).code == 0
    assert fitted(library, "calibrate", RECIPE.name, "--golden", str(golden), "--if-missing") == made
    stricter = fitted(library, "calibrate", RECIPE.name, "--golden", str(golden), "--split", "fit", "--bound", "0.1")
    assert stricter.threshold > made.threshold
    assert fitted(library, "show", RECIPE.name, "--calibration") == stricter


def test_a_build_calibrates_and_another_version_has_none_of_it(library: Cli, golden: Path) -> None:
    fitted(library, "calibrate", RECIPE.name, "--golden", str(golden), "--split", "fit")
    options = ("--from", RECIPE.name, "--set", "candidates=10")
    plain = shown(library, "index", "build", *options)["manifest"]
    assert (plain["name"] != RECIPE.name, plain["calibration"]) == (True, None)
    assert "not calibrated" in library("index", "build", plain["name"]).out
    built = shown(library, "index", "build", plain["name"], "--golden", str(golden), "--split", "fit")["manifest"]
    assert built["calibration"]["index"] == plain["name"]
    assert "held out" in library("index", "build", plain["name"]).out


def test_what_cannot_be_calibrated_is_told(library: Cli, golden: Path) -> None:
    few = golden.with_name("few.jsonl")
    few.write_text("\n".join(golden.read_text().splitlines()[:9]))
    assert "9 answerable questions" in refused(library("index", "calibrate", RECIPE.name, "--golden", str(few)))
    for command in ("calibrate", "build"):
        said = refused(library("index", command, RECIPE.name, "--golden", str(golden), "--split", "none"))
        assert "no questions with the split 'none'; there are fit, test" in said
    empty = golden.with_name("empty.jsonl")
    empty.write_text("\n")
    assert "'empty.jsonl' has no questions" in refused(
        library("index", "calibrate", RECIPE.name, "--golden", str(empty))
    )
    assert library("index", "calibrate", RECIPE.name, "--if-missing", "--bound", "0.2").code == 2
    assert "not built" in refused(library("index", "calibrate", "idx-none-00000000", "--golden", str(golden)))
    assert "takes 99" in refused(
        library("index", "calibrate", RECIPE.name, "--golden", str(golden), "--split", "fit", "--bound", "0.01")
    )
    assert library("index", "build", RECIPE.name, "--bound", "0.1").code == 2
    assert library("index", "calibrate", RECIPE.name, "--bound", "2").code == 2


def test_a_calibration_of_another_version_fails_the_check(library: Cli, tmp_path: Path) -> None:
    async def foreign() -> None:
        async with Catalog.open(tmp_path / "data" / "catalog.db") as catalog:
            (sealed,) = await catalog.seals()
            wrong = calibration("idx-other-00000000", 0.5)
            await catalog.seal(msgspec.structs.replace(sealed.manifest, calibration=wrong), sealed.place)

    asyncio.run(foreign())
    said = library("index", "verify", RECIPE.name)
    assert (said.code, said.out.count("FAILED")) == (3, 1)
    assert "idx-other-00000000" in said.out


def test_the_picture_shows_both_errors_and_marks_the_threshold(library: Cli, golden: Path) -> None:
    fitted(library, "calibrate", RECIPE.name, "--golden", str(golden), "--split", "fit")
    said = library("index", "show", RECIPE.name, "--calibration")
    assert said.code == 0
    for told in ("100%", " 50%", "  0%", "●", "○", "│", "both errors weigh alike", "12 answerable samples"):
        assert told in said.out


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.75, 1.0])
def test_the_chosen_threshold_stands_under_its_own_column(threshold: float) -> None:
    """Errors that fall and rise in a straight line: at a half they meet, and everywhere is some threshold."""
    drawn = picture(calibration("idx-a-00000000", threshold))
    column = round(threshold * 59)
    assert sum(row[6 + column : 7 + column] == "│" for row in drawn) >= 12
    assert all("│" not in row[: 6 + column] + row[7 + column :] for row in drawn)
    assert drawn[-1][6 + column :].startswith(f"{threshold:.2f}")
    assert drawn[0].startswith("100%  ●")
    assert drawn[0].rstrip().endswith("○")
    assert any("◉" in row[35:37] for row in drawn)


async def test_only_a_built_version_is_calibrated(tmp_path: Path) -> None:

    async with Catalog.open(tmp_path / "catalog.db") as catalog:
        with pytest.raises(IndexNotSealed, match="not built"):
            await catalog.calibrate(calibration("idx-a-00000000", 0.5))
