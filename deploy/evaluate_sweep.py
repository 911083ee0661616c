"""One index version with a field at each of several values, on a collection that it may be tuned on."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.beir import ALL, Beir, BeirError, load_beir
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
_TEST = "test"


@dataclass(frozen=True, slots=True)
class Planned:
    """A recipe with these changes, to be measured."""

    changes: tuple[str, ...]
    recipe: IndexRecipe


@dataclass(frozen=True, slots=True)
class Step:
    """What a recipe with these changes measured."""

    changes: tuple[str, ...]
    index: str
    figures: Mapping[str, float | int]


def values_of(each: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every combination of "chunker.budget=64,96" and the like, as changes of a recipe; a field's values are joined."""
    fields: dict[str, dict[str, None]] = {}
    for one in each:
        name, sign, values = one.partition("=")
        if not (sign and all(values.split(","))):
            raise RecipeError(f"{name!r} has no values to go through: write it like chunker.budget=64,96,128")
        fields.setdefault(name, {}).update(dict.fromkeys(values.split(",")))
    return itertools.product(*([f"{name}={value}" for value in values] for name, values in fields.items()))


def plan(recipe: IndexRecipe, each: Sequence[str]) -> list[Planned]:
    """Every recipe that will be measured; RecipeError for a field or a value that there is not."""
    return [Planned(changes, changed_recipe(recipe, changes)) for changes in values_of(each)]


def load_collection(path: Path, split: str) -> Beir | Squad:
    """A judged collection, or articles with answers in them. Errors: BeirError."""
    if (path / "corpus.jsonl").exists():
        return load_beir(path, split)
    if path.is_dir() and not any(path.glob("*.json")):
        raise BeirError(
            f"{path.name!r} is no collection: it has neither corpus.jsonl, with queries.jsonl and qrels, nor a JSON "
            "file of articles and questions in SQuAD's format"
        )
    return load_squad(path)


def is_for_testing(collection: Beir | Squad) -> bool:
    """Whether its split is one that measures what was tuned on another."""
    return isinstance(collection, Beir) and collection.split in (_TEST, ALL)


def sweep(
    collection: Beir | Squad, planned: Sequence[Planned], progress: Progress, keep: Path | None
) -> Iterator[Step]:
    """Measure combination after combination."""
    for one in planned:
        yield Step(one.changes, one.recipe.name, asyncio.run(_measured(collection, one.recipe, progress, keep)))


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
