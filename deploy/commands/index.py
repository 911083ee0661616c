"""`twinpin index`: versions of the index, built beside the one that answers."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.printing import TROUBLED, AsJson, print_json, print_line, print_table
from deploy.settings import Settings

if TYPE_CHECKING:
    from deploy.golden import GoldenQuestion
    from deploy.indexing import Comparison, Listed
    from retrieval.index import IndexManifest
    from retrieval.preflight import Check

app = typer.Typer(no_args_is_help=True, help="Index versions: build, check and compare them beside the live one.")
Golden = Annotated[Path | None, typer.Option(help="Golden questions, a JSON object a line; without it, the sample's.")]

Split = Annotated[str | None, typer.Option(help="Only those golden questions whose `split` is this.")]
Bound = Annotated[
    float | None,
    typer.Option(min=0.001, max=0.999, help="Bound on the share of false answers; without it both errors weigh alike."),
]


@app.command("build")
def build(
    recipe: Annotated[str | None, typer.Argument(help="The name of a version, or its recipe file.")] = None,
    like: Annotated[str | None, typer.Option("--from", help="Start from this version's recipe.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="A field of it, chunker.budget=240.")] = None,
    store: Annotated[str | None, typer.Option(help="URL of a Qdrant server to build it on.")] = None,
    golden: Annotated[Path | None, typer.Option(help="Then calibrate it on these golden questions.")] = None,
    split: Split = None,
    bound: Bound = None,
    as_json: AsJson = False,
) -> None:
    """Build a version from the catalog, or go on with a build that was cut off; the live one is not touched."""
    from deploy.calibrating import calibrating_questions
    from deploy.indexing import build_index, find_recipe
    from deploy.progress import RunProgress
    from deploy.recipes import changed_recipe

    if (recipe is None) == (like is None) or bool(change) != (like is not None):
        raise typer.BadParameter("name a recipe, or a version to start --from and what to --set in it")
    if golden is None and (split is not None or bound is not None):
        raise typer.BadParameter("--split and --bound are about --golden questions: name those too")
    settings, asked = Settings(), calibrating_questions(golden, split) if golden else []
    wanted = changed_recipe(find_recipe(settings, recipe or like or ""), change or ())
    with RunProgress("building", quiet=as_json) as progress:
        building = build_index(settings, wanted, progress, store=store, new=like is not None)
        manifest, followed = asyncio.run(building)
    if golden is not None:
        manifest = _calibrate(settings, manifest.name, asked, bound, quiet=as_json)
    if as_json:
        print_json({"manifest": manifest, "documents": followed.documents, "embedded": followed.embedded})
        return
    print_line(
        f"{manifest.name}: {manifest.documents} documents, {manifest.chunks} chunks, {followed.embedded} embedded now, "
        f"{progress.seconds:.1f} s; pin it in {settings.releases} to open it"
    )
    print_line(_calibration_told(manifest))


@app.command("calibrate")
def calibrate(
    name: str,
    golden: Golden = None,
    split: Split = None,
    bound: Bound = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Leave a calibration alone that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a built version's threshold to golden questions anew; without a file to the sample's dev half."""
    from deploy.calibrating import calibrating_questions, sealed_manifest

    if if_missing and bound is not None:
        raise typer.BadParameter("--if-missing leaves a calibration alone whatever its bound: leave it or --bound out")
    settings, asked = Settings(), calibrating_questions(golden, split)
    manifest = asyncio.run(sealed_manifest(settings, name))
    if manifest.calibration is None or not if_missing:
        manifest = _calibrate(settings, name, asked, bound, quiet=as_json)
    if as_json:
        print_json(manifest.calibration)
    else:
        print_line(_calibration_told(manifest))


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """All versions that are built, pinned or described here."""
    from deploy.indexing import list_indexes

    listed = asyncio.run(list_indexes(Settings()))
    if as_json:
        print_json(listed)
    else:
        print_table(("name", "pinned as", "built", "documents", "chunks", "tenants behind", "place"), map(_row, listed))


@app.command("show")
def show(
    name: str,
    calibration: Annotated[bool, typer.Option("--calibration", help="Its errors over all thresholds.")] = False,
    as_json: AsJson = False,
) -> None:
    """One version and the recipe that names it."""
    import msgspec

    from deploy.indexing import show_index

    if calibration:
        _show_calibration(name, as_json)
        return
    listed, recipe = asyncio.run(show_index(Settings(), name))
    if as_json:
        print_json({**msgspec.to_builtins(listed), "recipe": msgspec.to_builtins(recipe)})
        return
    print_table(
        ("field", "value"),
        zip(("name", "pinned as", "built", "documents", "chunks", "behind", "place"), _row(listed), strict=True),
    )
    print_line(msgspec.yaml.encode(recipe).decode())


@app.command("verify")
def verify(
    name: str,
    golden: Annotated[Path | None, typer.Option(help="Ask these too: recall must not be below stable's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a version before it takes traffic. Exit code 3 when a check fails."""
    from deploy.indexing import verify_index
    from deploy.pinboard import read_pinboard
    from retrieval.preflight import passed

    settings = Settings()
    stable = read_pinboard(settings.releases).pins.index.stable
    checks = asyncio.run(verify_index(settings, name, _golden(golden) if golden else (), stable=stable))
    if as_json:
        print_json(checks)
    else:
        print_table(("check", "", "found"), [(one.name, _verdict(one), one.found) for one in checks])
    if not passed(checks):
        raise typer.Exit(TROUBLED)


@app.command("diff")
def diff(before: str, after: str, golden: Golden = None, as_json: AsJson = False) -> None:
    """What finding changes between two versions on golden questions."""
    from deploy.indexing import diff_indexes

    comparison = asyncio.run(diff_indexes(Settings(), before, after, _golden(golden)))
    if as_json:
        print_json(comparison)
    else:
        _show_comparison(comparison)


@app.command("drop")
def drop(name: str, as_json: AsJson = False) -> None:
    """Remove a version that no pin names."""
    from deploy import indexing

    asyncio.run(indexing.drop(Settings(), name))
    if as_json:
        print_json({"dropped": name})
    else:
        print_line(f"dropped {name}")


def _golden(path: Path | None) -> "list[GoldenQuestion]":
    from deploy.golden import load_golden, sample_golden

    return load_golden(path) if path else sample_golden()


def _calibrate(
    settings: Settings, name: str, golden: "list[GoldenQuestion]", bound: float | None, *, quiet: bool
) -> "IndexManifest":
    from deploy.calibrating import calibrate_index
    from deploy.progress import RunProgress
    from retrieval.calibration import Rule

    rule = Rule() if bound is None else Rule("bound", bound)
    with RunProgress("calibrating", quiet=quiet) as progress:
        return asyncio.run(calibrate_index(settings, name, golden, rule, progress))


def _show_calibration(name: str, as_json: bool) -> None:
    from rich.console import Console

    from deploy.calibrating import require_calibration
    from deploy.tradeoff import show_calibration

    calibration = asyncio.run(require_calibration(Settings(), name))
    if as_json:
        print_json(calibration)
    else:
        show_calibration(Console(highlight=False), calibration)


def _calibration_told(manifest: "IndexManifest") -> str:
    found = manifest.calibration
    if found is None:
        told = f"the threshold {manifest.recipe.abstain_below:g} of its recipe decides"
        return f"{manifest.name}: not calibrated, {told}; `twinpin index calibrate {manifest.name}` fits one"
    held_out = found.held_out
    return (
        f"{manifest.name}: threshold {found.threshold:g}, area under the curve {found.auc:.3f}; held out "
        f"{held_out.false_answers:.1%} false answers, {held_out.false_abstentions:.1%} false abstentions"
    )


def _verdict(check: "Check") -> str:
    if check.warns:
        return "WARNING"
    return "ok" if check.passed else "FAILED"


def _row(listed: "Listed") -> tuple[object, ...]:
    built = listed.sealed.sealed.isoformat(timespec="seconds") if listed.sealed else "no"
    counted = (listed.documents, listed.chunks, listed.behind)
    return (listed.name, listed.pinned, built, *counted, listed.place)


def _show_comparison(comparison: "Comparison") -> None:
    rows = [
        (
            one.question,
            one.caller,
            " ".join(one.gained),
            " ".join(one.lost),
            " ".join(one.before[:3]),
            " ".join(one.after[:3]),
        )
        for one in comparison.differences
    ]
    print_table(("question", "caller", "gained", "lost", "first three before", "after"), rows)
    print_line(
        f"{len(comparison.differences)} of {comparison.questions} questions find something else; recall "
        f"{comparison.recall_before:.3f} -> {comparison.recall_after:.3f}"
    )
