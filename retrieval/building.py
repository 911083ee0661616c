"""Building an index version from the catalog: nobody serves it meanwhile, and its seal is the last thing written."""

import asyncio

from retrieval.catalog import Catalog
from retrieval.errors import RecipeError
from retrieval.index import IndexManifest, IndexRecipe
from retrieval.ingest.prepared import Parser
from retrieval.live import Followed, Progress, closing
from retrieval.opening import Place, open_live, sealed_place


async def build(
    recipe: IndexRecipe, place: Place, catalog: Catalog, parser: Parser, progress: Progress
) -> tuple[IndexManifest, Followed]:
    """Build, or go on building, and seal; a version that is sealed already is brought up to date.

    Documents that change meanwhile are taken in too: the seal's watermark is the catalog's head when it was written.
    """
    sealed = await sealed_place(recipe, catalog)
    if sealed is not None and place.server not in (None, sealed):
        raise RecipeError(f"index {recipe.name!r} is built at {sealed!r}: drop it first to build it elsewhere")
    async with closing(await open_live(recipe, place, catalog, create=True, parser=parser)) as index:
        await asyncio.to_thread(index.finder)  # what that refuses is told before everything is embedded
        followed = await index.follow(progress)
        if followed.documents:
            await index.store.optimize()
            await index.follow(progress)
        await index.store.verify(recipe.embedder.dimensions)
        await index.require_whole()
        return await index.seal(place.where(recipe.name, sealed)), followed
