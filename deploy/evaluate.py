"""Golden questions against the pinned versions: finding alone, then whole answers over HTTP."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from deploy.evaluate_answers import answer_rows, judge_answers, sample_questions
from deploy.evaluate_corpus import PATIENCE
from deploy.indexing import opened_index
from deploy.local import Stack
from deploy.pinboard import read_pinboard
from deploy.progress import RunProgress
from deploy.results import write_result, write_rows
from deploy.sampling import DOCUMENTS, caller_principals
from deploy.scoring import Golden, answer_scores, label_counts, retrieval_scores
from deploy.settings import Settings
from retrieval.acl import access_filter
from retrieval.index import Fusion, IndexRecipe, load_recipe
from retrieval.search import Finder
from retrieval.store import Narrowing

_DEPTH = 40
_FLOOR = 0.95
_PINNED = "hybrid as pinned"
_SPLITS = ("dev", "test", "all")


def run_evaluation(settings: Settings) -> int:
    """Measure, print and record; 1 when a leak, an untrue or no citation was seen, or finding fell below its floor."""
    questions = sample_questions()
    golden = [one.golden for one in questions]
    recipe = load_recipe(read_pinboard(settings.releases).index_recipe())
    with Stack(settings) as stack:
        stack.start_engine()
        stack.ingest(DOCUMENTS)
        stack.calibrate()
        figures: dict[str, dict[str, Any]] = asyncio.run(_evaluate_finding(settings, recipe, golden))
        stack.serve()
        with RunProgress("asking") as progress:
            judged = asyncio.run(judge_answers(settings, recipe, questions, progress, of_sample=True))
    found = figures[f"finding, {_PINNED}, all questions"]["recall@5"]
    for split in _SPLITS:
        of_split = [one for one in judged if _is_in(one.golden, split)]
        figures[f"answers, {split} questions"] = answer_scores(of_split)
        figures[f"answers, {split} questions, what became of them"] = label_counts(of_split)
    overall = figures["answers, all questions"]
    path = write_result("evaluate", "make evaluate", figures)
    rows = settings.rows_of("answers")
    write_rows(rows, answer_rows(judged))
    _print(figures)
    sys.stdout.write(f"recorded in {path}, what became of each question in {rows}\n")
    held = overall["leaks"] == 0 and overall["cited spans whose text is at that place"] == 1.0 and found >= _FLOOR
    return 0 if held else 1


def _is_in(golden: Golden, split: str) -> bool:
    return split in ("all", golden.split)


async def _evaluate_finding(
    settings: Settings, recipe: IndexRecipe, golden: Sequence[Golden]
) -> dict[str, dict[str, Any]]:
    """BM25, dense and hybrid over the same open index, by document; those that are not pinned without a reranker."""
    plain = msgspec.structs.replace(recipe, reranker=None)
    fusions = {
        "BM25": Fusion("convex", 0.0, 1.0),
        "dense": Fusion("convex", 1.0, 0.0),
        "RRF": Fusion("rrf", 1.0, 1.0),
        "hybrid": recipe.fusion,
    }
    recipes = {name: msgspec.structs.replace(plain, fusion=fusion) for name, fusion in fusions.items()}
    figures = {}
    async with opened_index(settings, recipe.name) as index:
        for name, asked_of in (recipes | {_PINNED: recipe}).items():
            finder = index.finder(asked_of)
            ranked = {one.id: await _ranked(finder, one) for one in golden}
            for split in _SPLITS:
                asked = [one for one in golden if _is_in(one, split)]
                figures[f"finding, {name}, {split} questions"] = retrieval_scores(asked, ranked, recipe.passages)
    return figures


async def _ranked(finder: Finder, golden: Golden) -> list[str]:
    access = access_filter(caller_principals()[golden.caller])
    findings = await finder.find(golden.question, access, Narrowing(), limit=_DEPTH, rerank_within=PATIENCE)
    return [found.passage.ref.document for found in findings.passages]


def _print(figures: Mapping[str, Mapping[str, Any]]) -> None:
    for section, rows in figures.items():
        sys.stdout.write(f"\n{section}\n")
        for name, value in rows.items():
            shown = f"{value:.3f}" if isinstance(value, float) else str(value)
            sys.stdout.write(f"  {name:45} {shown}\n")
