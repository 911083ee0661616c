"""Recipes of index versions before they are built: changed, tried, and filed once under the name that they give."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import yaml

from retrieval.errors import RecipeError
from retrieval.index import IndexRecipe, load_recipe
from retrieval.live import require_built_in
from retrieval.opening import Place
from retrieval.sparse import Bm25Encoder

_MISSING = re.compile(r"missing required field `(\w+)`(?: - at `\$\.([\w.]+)`)?$")


def changed_recipe(recipe: IndexRecipe, changes: Iterable[str]) -> IndexRecipe:
    """A recipe but for `changes` ("chunker.budget=240"), filed nowhere; RecipeError for what no index is built by."""
    fields = msgspec.to_builtins(recipe)
    for change in changes:
        _set(fields, change)
    try:
        changed = msgspec.convert(fields, IndexRecipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"the changed recipe is not valid: {_told(str(error))}") from error
    require_built_in(changed)
    Bm25Encoder(changed.bm25)
    return changed


@asynccontextmanager
async def tried(recipe: IndexRecipe, place: Place) -> AsyncIterator[None]:
    """With its models open, so that a build meanwhile loads none; RecipeError for what they refuse."""
    with ExitStack() as stack:
        await asyncio.to_thread(_open_models, recipe, place, stack)
        yield


def file_recipe(recipe: IndexRecipe, folder: Path) -> Path | None:
    """File it under its own name, whole or not at all; None where it is there, as no version is ever described anew."""
    path = folder / f"{recipe.name}.yaml"
    if path.exists():
        _require_same(recipe, path)
        return None
    draft = folder / f".{recipe.name}-{uuid4().hex}"
    try:
        draft.write_text(yaml.safe_dump(msgspec.to_builtins(recipe), sort_keys=False), "utf-8")
        os.link(draft, path)
    except FileExistsError:
        _require_same(recipe, path)
        return None
    except OSError as error:
        raise RecipeError(f"recipe {path.name!r} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return path


def _require_same(recipe: IndexRecipe, path: Path) -> None:
    if load_recipe(path) != recipe:
        raise RecipeError(f"recipe {path.name!r} is another one of that name: set label to something else")


def _open_models(recipe: IndexRecipe, place: Place, stack: ExitStack) -> None:
    embedder = place.embedders.open(recipe.embedder)
    stack.callback(place.embedders.release, embedder)
    if recipe.reranker is not None:
        stack.callback(place.rerankers.release, place.rerankers.open(recipe.reranker, embedder))


def _set(fields: dict[str, Any], change: str) -> None:
    """Put a YAML value at a dotted path; a part that is none yet begins there. Whether it fits the recipe tells."""
    path, found, value = change.partition("=")
    *parents, last = path.split(".")
    inside = fields
    for parent in parents:
        if inside.get(parent) is None:
            inside[parent] = {}
        inside = inside[parent]
        if not isinstance(inside, dict):
            break
    if not found or not all((*parents, last)) or not isinstance(inside, dict):
        raise RecipeError(f"{change!r} changes nothing: write it like chunker.budget=240, with a field that is there")
    try:
        inside[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"{change!r} has a value that is not valid YAML") from error


def _told(refused: str) -> str:
    """What msgspec says, and of a field that is missing how to set it."""
    missing = _MISSING.search(refused)
    if missing is None:
        return refused
    path = ".".join(part for part in (missing[2], missing[1]) if part)
    return f"{path} is missing, which has no default: set it too, --set {path}=VALUE"
