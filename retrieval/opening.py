"""Where index versions are kept, and how one is opened, closed and removed."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.catalog import Catalog
from retrieval.embed import Embedders
from retrieval.errors import CatalogError, IndexNotSealed, RecipeError, StoreError
from retrieval.index import IndexRecipe
from retrieval.ingest.prepared import Parser
from retrieval.layout import Layout
from retrieval.live import LiveIndex
from retrieval.rerank import Rerankers
from retrieval.store import ChunkStore
from retrieval.stores import shard
from retrieval.stores.edge_store import EdgeStore

EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Place:
    """Folders below `directory`, one for each version; with `server` set, new ones are collections there instead.

    `embedders` and `rerankers` are shared by all versions that are opened here.
    """

    directory: Path
    server: str | None = None
    api_key: str | None = None
    embedders: Embedders = field(default_factory=Embedders, compare=False, repr=False)
    rerankers: Rerankers = field(default_factory=Rerankers, compare=False, repr=False)

    @property
    def name(self) -> str:
        """What a seal says of where the version is."""
        return self.server or EMBEDDED

    def folder(self, index: str) -> Path:
        """Where an embedded version is."""
        return self.directory / index

    def where(self, index: str, sealed: str | None) -> str:
        """Where a version is, or is to be made: its seal decides, then a folder that is there."""
        return sealed or (EMBEDDED if self.folder(index).exists() else self.name)


def place_of(layout: Layout) -> Place:
    """Where a deployment keeps its index versions."""
    key = layout.qdrant_api_key
    embedders = Embedders(layout.converted, layout.embedding_server, layout.vector_bytes)
    rerankers = Rerankers(layout.reranking_server)
    return Place(layout.indexes, layout.qdrant_url, key.get_secret_value() if key else None, embedders, rerankers)


async def open_store(index: str, dimensions: int, place: Place, where: str, *, create: bool = False) -> ChunkStore:
    """Open the store of an index version; on a server only what is there, unless it may be created."""
    if where == EMBEDDED:
        return EdgeStore.open(place.folder(index), dimensions)
    from retrieval.stores.qdrant_store import QdrantStore

    return await QdrantStore.open(where, index, dimensions, place.api_key, create=create)


async def open_live(
    recipe: IndexRecipe, place: Place, catalog: Catalog, *, create: bool = False, parser: Parser | None = None
) -> LiveIndex:
    """Open an index version; one whose build never finished only where it may be created."""
    sealed = await sealed_place(recipe, catalog)
    if sealed is None and not create:
        raise IndexNotSealed(f"index {recipe.name!r} is not built: run `twinpin index build {recipe.name}` first")
    where = place.where(recipe.name, sealed)
    store = await open_store(recipe.name, recipe.embedder.dimensions, place, where, create=create)
    try:
        await _forget_if_lost(recipe.name, store, catalog, create)
        return LiveIndex(recipe, store, catalog, parser, embedders=place.embedders, rerankers=place.rerankers)
    except (RecipeError, StoreError, CatalogError):
        await store.close()
        raise


async def _forget_if_lost(name: str, store: ChunkStore, catalog: Catalog, create: bool) -> None:
    """A store that lost everything is built anew, but not by whoever wanted to serve from it at once."""
    if await store.count() or not any(held.chunks for held in (await catalog.held(name)).values()):
        return
    if not create:
        raise IndexNotSealed(f"index {name!r} has lost its content: run `twinpin index build {name}`")
    await catalog.forget_index(name)


async def sealed_place(recipe: IndexRecipe, catalog: Catalog) -> str | None:
    """Where a finished build of exactly this recipe is; RecipeError when another recipe made it."""
    for one in await catalog.seals():
        if one.manifest.name == recipe.name:
            if one.manifest.recipe != recipe:
                raise RecipeError(f"index {recipe.name!r} was built by another recipe: drop it and build it again")
            return one.place
    return None


async def drop_index(name: str, place: Place, catalog: Catalog) -> None:
    """Remove an index version and all notes of it; StoreLocked while a process has it open."""
    sealed = next((one for one in await catalog.seals() if one.manifest.name == name), None)
    where = place.where(name, sealed.place if sealed else None)
    if where == EMBEDDED:
        if place.folder(name).exists():
            with shard.lock(place.folder(name)):
                shutil.rmtree(place.folder(name))
    else:
        from retrieval.stores.qdrant_store import QdrantStore

        await QdrantStore.discard(where, name, place.api_key)
    await catalog.forget_index(name)


async def dormant(place: Place, catalog: Catalog, open_here: Iterable[str]) -> list[tuple[str, str, int]]:
    """Versions that exist and are not open here, builds without a seal among them: name, where, dimensions."""
    sealed = {one.manifest.name: one for one in await catalog.seals()}
    found = {name: (one.place, one.manifest.recipe.embedder.dimensions) for name, one in sealed.items()}
    if place.directory.is_dir():
        for folder in place.directory.iterdir():
            if (dimensions := shard.made_for(folder)) is not None:
                found.setdefault(folder.name, (EMBEDDED, dimensions))
    return [(name, *one) for name, one in sorted(found.items()) if name not in set(open_here)]
