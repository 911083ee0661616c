"""Opens what ingestion needs and runs it over one folder: the offline composition of `twinpin ingest`."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from deploy.pinboard import Pinboard
from deploy.settings import Settings
from retrieval.catalog import Catalog
from retrieval.edge_store import EdgeStore
from retrieval.embed import open_embedder
from retrieval.index import load_recipe
from retrieval.ingest.pipeline import Ingestion, Report
from retrieval.ingest.sandbox import ParserPool
from retrieval.ingest.sources import FolderSource


async def ingest_folder(
    folder: Path, settings: Settings, board: Pinboard, progress: Callable[[int, int, str], None]
) -> Report:
    """Bring the pinned index version up to date with a folder."""
    recipe = load_recipe(board.index_recipe())
    source = FolderSource(folder)
    documents = source.documents()
    directory = settings.index_directory(recipe.name)
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog.open(settings.catalog))
        store = EdgeStore.open(directory, recipe.embedder.dimensions)
        stack.push_async_callback(store.close)
        parser = stack.enter_context(ParserPool())
        progress(0, len(documents), "loading the embedding model")
        embedder = open_embedder(recipe.embedder)
        stack.callback(embedder.close)
        run = Ingestion(recipe, directory, catalog, store, embedder, parser, progress)
        return await run.run(documents, source.origin)
