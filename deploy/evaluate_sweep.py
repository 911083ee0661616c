"""One index version with a field at each of several values, on a collection that it may be tuned on."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.beir import Beir, load_beir
from deploy.evaluate_retrieval import evaluate_retrieval
from deploy.evaluate_spans import evaluate_spans, span_figures
from deploy.evaluated import BASELINE, RERANKED
from deploy.recipes import changed_recipe
from deploy.results import add_figures
from deploy.squad import Squad, load_squad
from retrieval.errors import RecipeError
from retrieval.index import IndexRecipe
from retrieval.live import Progress

COMMAND = "twinpin evaluate sweep"


@dataclass(frozen=True, slots=True)
class Step:
    """What a recipe with these changes measured."""

    changes: tuple[str, ...]
    index: str
    figures: Mapping[str, float | int]


def values_of(each: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every combination of "chunker.budget=64,96" and the like, as changes of a recipe."""
    fields = [one.partition("=") for one in each]
    if wrong := next((name for name, sign, values in fields if not (sign and all(values.split(",")))), None):
        raise RecipeError(f"{wrong!r} has no values to go through: write it like chunker.budget=64,96,128")
    return itertools.product(*([f"{name}={value}" for value in values.split(",")] for name, _, values in fields))


def load_collection(path: Path, split: str) -> Beir | Squad:
    """A judged collection, or articles with answers in them."""
    return load_beir(path, split) if (path / "corpus.jsonl").exists() else load_squad(path)


def sweep(
    collection: Beir | Squad, recipe: IndexRecipe, each: Sequence[str], progress: Progress, keep: Path | None
) -> Iterator[Step]:
    """Measure combination after combination; RecipeError for a field that there is not."""
    for changes in values_of(each):
        changed = changed_recipe(recipe, changes)
        yield Step(changes, changed.name, asyncio.run(_measured(collection, changed, progress, keep)))


def record(name: str, base: IndexRecipe, steps: Sequence[Step]) -> Path:
    """Beside the sweeps of other collections and fields."""
    fields = ", ".join(change.partition("=")[0] for change in steps[0].changes)
    told = {", ".join(one.changes): _told(one.figures) for one in steps}
    return add_figures("sweep", COMMAND, {f"{fields} on {name}, from {base.name}": told})


async def _measured(
    collection: Beir | Squad, recipe: IndexRecipe, progress: Progress, keep: Path | None
) -> dict[str, float | int]:
    if isinstance(collection, Squad):
        found, chunks = await evaluate_spans(collection, recipe, progress, keep)
        return {**span_figures(found), "chunks": chunks}
    usual = RERANKED if recipe.reranker else BASELINE
    evaluation = await evaluate_retrieval(collection, recipe, progress, only=[usual], keep=keep)
    (one,) = evaluation.configurations
    return {**one.mean.named(), "latency_ms": one.latency, "chunks": evaluation.chunks}


def _told(figures: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
