"""Documents on this machine, with no gateway between."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec

from deploy.desk import Shown, UnclearTenant, Wanted
from deploy.ingesting import Library
from retrieval.acl import Access
from retrieval.catalog import Catalog
from retrieval.described import described, outcome_fields, version_fields
from retrieval.documents import Outcome
from retrieval.entries import Document
from retrieval.errors import DocumentMissing, DocumentRefused
from retrieval.ingest.blocks import PARSER
from retrieval.newdocument import NewDocument
from retrieval.sql.ingestions import Ingestions


@dataclass(frozen=True, slots=True)
class LocalDesk:
    """Without a `library` it can only look."""

    catalog: Catalog
    library: Library | None = None

    async def listed(self, wanted: Wanted) -> list[Shown]:
        found: list[Shown] = []
        async for one in self.catalog.each(wanted.tenant, origin=wanted.origin):
            if len(found) == wanted.limit:
                break
            if wanted.category in (None, one.category):
                found.append(described(one))
        return found

    async def shown(self, tenant: str | None, document: str) -> Shown:
        known = await self._known(tenant, document)
        text = await self.catalog.text(known.access.tenant, known.id, known.version, PARSER)
        return {**described(known), "text": text}

    async def history(self, tenant: str | None, document: str) -> list[Shown]:
        known = await self._known(tenant, document)
        return [version_fields(one) for one in await self.catalog.history(known.access.tenant, known.id)]

    async def put(self, tenant: str | None, new: NewDocument) -> Shown:
        if tenant is None:
            raise UnclearTenant(f"say whose document {new.id!r} is: --tenant")
        given = replace(new, access=replace(new.access, tenant=tenant))
        (outcome,) = await self._open.documents.put([given])
        return await self._after(outcome)

    async def delete(self, tenant: str | None, document: str) -> Shown:
        known = await self._known(tenant, document)
        deleted = await self._open.documents.delete(known.access.tenant, known.id)
        counted = {"sequence": deleted.sequence, "chunks": deleted.chunks, "restored": deleted.restored}
        return {"object": "document.deleted", "id": known.id, **counted}

    async def grant(self, tenant: str | None, document: str, allow: list[str], deny: list[str]) -> Shown:
        known = await self._known(tenant, document)
        access = Access(known.access.tenant, frozenset(allow), frozenset(deny))
        return described(await self._open.documents.grant(known.access.tenant, known.id, access))

    async def revert(self, tenant: str | None, document: str, to: str | None) -> Shown:
        known = await self._known(tenant, document)
        return await self._after(await self._open.documents.revert(known.access.tenant, known.id, to))

    async def revert_ingestion(self, tenant: str | None, ingestion: str) -> Shown:
        kept = Ingestions(self.catalog)
        whose = await self._tenant(tenant, ingestion, lambda one: kept.progress(one, ingestion))
        outcomes = await self._open.documents.revert_ingestion(whose, ingestion)
        return {"object": "ingestion.reverted", "id": ingestion, "items": [outcome_fields(one) for one in outcomes]}

    async def erase(self, tenant: str | None, document: str) -> Shown:
        async def ever(one: str) -> object:
            return await self.catalog.get(one, document) or await self.catalog.tombstone(one, document)

        whose = await self._tenant(tenant, document, ever)
        receipt: Shown = msgspec.to_builtins(await self._open.eraser.erase(whose, document))
        return receipt

    @property
    def _open(self) -> Library:
        if self.library is None:
            raise RuntimeError("this desk was opened to look, not to change anything")
        return self.library

    async def _known(self, tenant: str | None, document: str) -> Document:
        whose = await self._tenant(tenant, document, lambda one: self.catalog.get(one, document))
        known = await self.catalog.get(whose, document)
        if known is None:
            raise DocumentMissing(f"there is no document {document!r} in tenant {whose!r}")
        return known

    async def _tenant(self, tenant: str | None, what: str, has: Callable[[str], Awaitable[object]]) -> str:
        """The tenant that was named, else the only one that has it."""
        if tenant is not None:
            return tenant
        having = [one for one in sorted(await self.catalog.sequences()) if await has(one) is not None]
        if not having:
            raise DocumentMissing(f"there is no {what!r} in any tenant")
        if len(having) > 1:
            raise UnclearTenant(f"{what!r} is in several tenants ({', '.join(having)}): say which with --tenant")
        return having[0]

    async def _after(self, outcome: Outcome) -> Shown:
        """The document as it is after a change; DocumentRefused if there was none."""
        if outcome.status in ("refused", "failed"):
            raise DocumentRefused(outcome.reason or f"{outcome.document!r} was refused")
        known = await self._known(outcome.tenant, outcome.document)
        return {**described(known), "outcome": outcome.status, "chunks": outcome.chunks}
