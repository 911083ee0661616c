"""Documents as an operator works on them: on this machine, or through the gateway that has it open."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from deploy.client import Gateway
from deploy.desk import Desk
from deploy.ingesting import Library, open_library
from deploy.localdesk import LocalDesk
from deploy.pinboard import read_pinboard
from deploy.remote import RemoteLibrary
from deploy.remotedesk import RemoteDesk
from deploy.settings import Settings
from retrieval.catalog import Catalog
from retrieval.errors import StoreLocked
from retrieval.ingest.sync import Library as Destination


@asynccontextmanager
async def open_destination(settings: Settings) -> AsyncIterator[Destination]:
    """Where ingestion puts documents."""
    async with AsyncExitStack() as stack:
        library = await _own(settings, stack)
        yield library.documents if library else RemoteLibrary(stack.enter_context(Gateway(settings)))


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """For whoever changes documents."""
    async with AsyncExitStack() as stack:
        library = await _own(settings, stack)
        yield LocalDesk(library.catalog, library) if library else RemoteDesk(stack.enter_context(Gateway(settings)))


@asynccontextmanager
async def open_catalog_desk(settings: Settings) -> AsyncIterator[Desk]:
    """For whoever only looks: the catalog can be read whether a gateway runs or not."""
    async with AsyncExitStack() as stack:
        if settings.elsewhere:
            yield RemoteDesk(stack.enter_context(Gateway(settings)))
        else:
            yield LocalDesk(await stack.enter_async_context(Catalog.open(settings.catalog)))


async def _own(settings: Settings, stack: AsyncExitStack) -> Library | None:
    """This machine's library; None when a gateway was named, or one here has it open."""
    if settings.elsewhere:
        return None
    try:
        return await stack.enter_async_context(open_library(settings, read_pinboard(settings.releases)))
    except StoreLocked:
        return None
