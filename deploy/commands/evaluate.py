"""`twinpin evaluate`: how good finding and answering are, on questions whose answers are known."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.printing import AsJson, print_json, print_line, print_table
from deploy.settings import Settings

if TYPE_CHECKING:
    from retrieval.index import IndexRecipe

app = typer.Typer(help="Measure finding and answering on questions whose answers are known.")
Beir = Annotated[
    Path, typer.Option(help="Folder with corpus.jsonl, queries.jsonl and qrels.", exists=True, file_okay=False)
]
Split = Annotated[str, typer.Option(help="Which judgements: test, train or as its file is called, or all.")]
Index = Annotated[str | None, typer.Option(help="A version's name or recipe file; without it the stable one.")]
Change = Annotated[list[str] | None, typer.Option("--set", help="A field of its recipe, fusion.dense=0.5.")]
Rows = Annotated[Path | None, typer.Option(help="Write what each question found, a JSON object a line.")]
Record = Annotated[bool, typer.Option("--record", help="Record it in docs/benchmarks.")]
Keep = Annotated[Path | None, typer.Option(help="Keep what was embedded in this folder, for the next run.")]


@app.callback(invoke_without_command=True)
def evaluate(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder of collections to measure too.", exists=True, file_okay=False)
    ] = None,
) -> None:
    """Start the stack and measure finding, citing and abstaining on the sample's golden questions."""
    if context.invoked_subcommand is not None:
        return
    from deploy.evaluate import run_evaluation
    from deploy.evaluate_data import run_parts

    parts = run_parts(data) if data is not None else 0
    raise typer.Exit(max(parts, run_evaluation(Settings())))


@app.command("retrieval")
def retrieval(
    beir: Beir,
    split: Split = "test",
    index: Index = None,
    change: Change = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this configuration, as it is called there.")] = None,
    rows: Rows = None,
    keep: Keep = None,
    record: Record = False,
    as_json: AsJson = False,
) -> None:
    """Rank a judged collection by BM25, by vectors and as an index version fuses them, side by side."""
    from deploy.beir import load_beir
    from deploy.evaluate_retrieval import evaluate_retrieval, require_known
    from deploy.pinboard import read_pinboard
    from deploy.progress import RunProgress
    from deploy.results import record_rows, require_writable, write_rows

    settings = Settings()
    wanted = require_known(only)
    collection, recipe = load_beir(beir, split), _recipe(settings, index, change)
    require_writable(rows, keep, record=record)
    with RunProgress("evaluating", quiet=as_json) as progress:
        evaluation = asyncio.run(evaluate_retrieval(collection, recipe, progress, only=wanted, keep=keep))
    measured = evaluation.rows(read_pinboard(settings.releases).pins.index.stable)
    if rows is not None:
        write_rows(rows, evaluation.questions())
    if record:
        record_rows("retrieval", f"twinpin evaluate retrieval --beir {collection.name} --split {split}", measured)
    print_json(measured) if as_json else _show(measured)


@app.command("abstention")
def abstention(
    beir: Beir,
    index: Index = None,
    change: Change = None,
    rows: Rows = None,
    keep: Keep = None,
    as_json: AsJson = False,
) -> None:
    """Hold an index version's confidence against questions that a collection answers and others that it does not."""
    from deploy.beir import ALL, load_beir
    from deploy.evaluate_abstention import calibration_of, evaluate_abstention
    from deploy.progress import RunProgress
    from deploy.results import require_writable, write_rows

    settings = Settings()
    collection, recipe = load_beir(beir, ALL), _recipe(settings, index, change)
    calibration = asyncio.run(calibration_of(settings, recipe.name))
    require_writable(rows, keep)
    with RunProgress("evaluating", quiet=as_json) as progress:
        measured = asyncio.run(evaluate_abstention(collection, recipe, calibration, progress, keep))
    if rows is not None:
        write_rows(rows, measured.rows())
    if as_json:
        print_json({**measured.figures(), "curve": measured.curve()})
    else:
        print_table((collection.name, recipe.name), measured.figures().items())
        print_table(("threshold", "false answers / false abstentions"), measured.curve().items())


@app.command("answers")
def answers(
    golden: Annotated[
        Path | None, typer.Option(help="Questions, a JSON object a line; without it, the sample's.", dir_okay=False)
    ] = None,
    rows: Rows = None,
    as_json: AsJson = False,
) -> None:
    """Ask golden questions of the gateway here, or of a stack started for it, and tell what became of each."""
    from deploy.evaluate_answers import answer_rows, run_answers
    from deploy.progress import RunProgress
    from deploy.results import require_writable, write_rows
    from deploy.scoring import answer_scores, label_counts

    require_writable(rows)
    with RunProgress("asking", quiet=as_json) as progress:
        judged = run_answers(Settings(), golden, progress)
    if rows is not None:
        write_rows(rows, answer_rows(judged))
    scores, labels = answer_scores(judged), label_counts(judged)
    if as_json:
        print_json({"scores": scores, "labels": labels})
    else:
        print_table(("answers", ""), ((name, _shown(value)) for name, value in scores.items()))
        print_table(("what became of them", "questions"), labels.items())


@app.command("sweep")
def sweep(
    beir: Annotated[
        Path, typer.Option(help="Folder of a judged collection, or of articles with answers.", exists=True)
    ],
    each: Annotated[list[str], typer.Option(help="A field and its values, chunker.budget=64,96,128.")],
    split: Split = "train",
    index: Index = None,
    change: Change = None,
    keep: Keep = None,
    record: Record = False,
    as_json: AsJson = False,
) -> None:
    """Measure a version with a field at each of several values, on a split that it may be tuned on."""
    from deploy import evaluate_sweep
    from deploy.progress import RunProgress
    from deploy.results import require_writable

    recipe = _recipe(Settings(), index, change)
    planned = evaluate_sweep.plan(recipe, each)
    collection = evaluate_sweep.load_collection(beir, split)
    require_writable(None, keep, record=record)
    if evaluate_sweep.is_for_testing(collection):
        sys.stderr.write(f"twinpin: the split {split!r} tests: what is tuned on it is no measurement of it any more\n")
    with RunProgress("evaluating", quiet=as_json) as progress:
        steps = list(evaluate_sweep.sweep(collection, planned, progress, keep))
    if record:
        evaluate_sweep.record(collection.name, recipe, steps)
    if as_json:
        print_json(steps)
    else:
        head = ("changed", "index", *steps[0].figures)
        print_table(head, [(", ".join(one.changes), one.index, *map(_shown, one.figures.values())) for one in steps])


@app.command("rewriting")
def rewriting(
    data: Annotated[
        Path, typer.Option(help="Folder with cast_rewrite, mtrag_rewrite or both.", exists=True, file_okay=False)
    ],
    model: Annotated[
        Path | None, typer.Option(help="File of a model version that rewrites by its model.", dir_okay=False)
    ] = None,
    sample: Annotated[int | None, typer.Option(help="At most so many questions of each set.", min=1)] = None,
    rows: Rows = None,
    as_json: AsJson = False,
) -> None:
    """Hold follow-ups, as they were asked, concatenated, by rule and by model, against what people made of them."""
    from deploy.evaluate_rewriting import load_pairs, require_rewriting, rewrite_pairs, spread
    from deploy.progress import RunProgress
    from deploy.results import require_writable, write_rows
    from serving.manifest import load_manifest

    pairs = load_pairs(data)
    version = None if model is None else require_rewriting(load_manifest(model))
    require_writable(rows)
    with RunProgress("rewriting", quiet=as_json) as progress:
        chosen = pairs if sample is None else spread(pairs, sample)
        figures, each = rewrite_pairs(Settings(), chosen, version, progress)
    if rows is not None:
        write_rows(rows, each)
    if as_json:
        print_json(figures)
    else:
        for section, held in figures.items():
            print_table((section, ""), held.items())


def _shown(figure: float) -> str:
    return f"{figure:.5g}"


def _recipe(settings: Settings, index: str | None, change: Sequence[str] | None) -> "IndexRecipe":
    from deploy.indexing import find_recipe
    from deploy.pinboard import read_pinboard
    from deploy.recipes import changed_recipe

    named = index or read_pinboard(settings.releases).pins.index.stable
    return changed_recipe(find_recipe(settings, named), change or ())


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    from deploy.results import interval

    figures = ("ndcg@10", "recall@10", "recall@100", "mrr")
    head = ("configuration", "", *figures, "latency ms", "nDCG@10 difference, 95 %")
    print_table(
        head,
        [
            (
                row["configuration"],
                "default" if row["default"] else "",
                *(f"{row[field]:.4f}" for field in figures),
                f"{row['latency_ms']:.1f}",
                interval(row),
            )
            for row in rows
        ],
    )
    first = rows[0]
    counted = f"{first['questions']} questions, {first['documents']} documents, {first['chunks']} chunks"
    print_line(f"{first['dataset']} {first['split']}, {first['index']}: {counted}")
