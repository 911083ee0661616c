"""Records as an operator looks at them and erases from them: in this machine's database, or behind a gateway."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from deploy.client import Gateway, GatewayRefused, segment
from deploy.desk import Shown
from deploy.settings import Settings
from retrieval.catalog import Catalog
from retrieval.records.book import Wanted
from retrieval.records.described import described
from retrieval.records.erasing import erase_person
from retrieval.records.store import RecordStore

_PAGE = 500


class RecordMissing(Exception):
    """There is no such record; the text says where it was looked for."""


class RecordDesk(Protocol):
    """Errors: RecordMissing, RetrievalError on this machine, GatewayRefused through a gateway."""

    async def shown(self, record: str) -> Shown:
        """One record, and what was said about it."""
        ...

    def each(self, wanted: Wanted) -> AsyncIterator[Shown]:
        """All that are wanted, whatever `limit` says, in order of their time."""
        ...

    async def erase(self, tenant: str, subject: str) -> Shown:
        """Take who a person was and what was said by them."""
        ...


@dataclass(frozen=True, slots=True)
class LocalRecords:
    """Reads the database whether a gateway runs or not; what a gateway was told this second may still be on its way."""

    catalog: Catalog
    store: RecordStore

    async def shown(self, record: str) -> Shown:
        found = await self.store.find(record)
        if found is None:
            raise RecordMissing(f"there is no record {record!r} in the database of the catalog")
        return {**described(found), "about": [described(one) for one in await self.store.book.about(record)]}

    async def each(self, wanted: Wanted) -> AsyncIterator[Shown]:
        page = replace(wanted, limit=_PAGE)
        while found := await self.store.book.listing(page):
            for one in found:
                yield described(one)
            page = replace(page, after=(found[-1].record.created, found[-1].record.id))

    async def erase(self, tenant: str, subject: str) -> Shown:
        return await erase_person(self.catalog, self.store, tenant, subject)


@dataclass(frozen=True, slots=True)
class RemoteRecords:
    """As the holder of a key with the scope `admin`."""

    gateway: Gateway

    async def shown(self, record: str) -> Shown:
        """`GET /v1/records/{id}`."""
        try:
            return self.gateway.call("GET", f"/v1/records/{segment(record)}")
        except GatewayRefused as refused:
            if refused.code == "not_found":
                raise RecordMissing(f"there is no record {record!r} behind this gateway") from refused
            raise

    async def each(self, wanted: Wanted) -> AsyncIterator[Shown]:
        """`GET /v1/records`, a page at a time."""
        query: dict[str, Any] = {"tenant": wanted.tenant, "kind": wanted.kind, "limit": _PAGE}
        for name, moment in (("since", wanted.since), ("until", wanted.until)):
            query[name] = moment and moment.isoformat()
        for one in self.gateway.listed("/v1/records", query):
            yield one

    async def erase(self, tenant: str, subject: str) -> Shown:
        """`DELETE /v1/records`."""
        return self.gateway.call("DELETE", "/v1/records", query={"tenant": tenant, "subject": subject})


@asynccontextmanager
async def open_record_store(settings: Settings) -> AsyncIterator[LocalRecords]:
    """This machine's database, with what a process that died left in its spool."""
    async with (
        Catalog.open(settings.catalog) as catalog,
        RecordStore.open(catalog, settings, settings.record_spool_bytes) as store,
    ):
        await store.settle()
        yield LocalRecords(catalog, store)


@asynccontextmanager
async def open_record_desk(settings: Settings, *, changing: bool = False) -> AsyncIterator[RecordDesk]:
    """For whoever looks; or changes, which a gateway that runs here has to do, as some records are in its spool."""
    async with AsyncExitStack() as stack:
        if not settings.elsewhere:
            local = await stack.enter_async_context(open_record_store(settings))
            if local.store.spool.alone or not changing:
                yield local
                return
        yield RemoteRecords(stack.enter_context(Gateway(settings)))
