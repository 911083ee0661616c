"""Who may do what with which document: the one place where an id in a request becomes a document for its caller."""

from typing import TypeAlias

from fastapi import Request

from gateway.documents.schemas import Listing
from gateway.errors import Forbidden, no_such_document
from gateway.parts import caller
from gateway.scopes import READ_DOCUMENT
from retrieval.acl import EVERY_TENANT, Principal, access_filter
from retrieval.catalog import Catalog
from retrieval.entries import Document

Place: TypeAlias = tuple[str, str]
_AT_ONCE = 500  # few may be this caller's, however few were asked for
_WRITE, _ADMIN = "documents:write", "admin"


async def writer(request: Request) -> Principal:
    """The verified caller, who may change documents of their tenant, and so see all of them."""
    return (await caller(request)).principal


async def reader(request: Request) -> Principal:
    """The verified caller, who may see documents: as a writer all of the tenant, else what their access permits."""
    return (await caller(request, READ_DOCUMENT)).principal


def writes(principal: Principal) -> bool:
    """Whether the caller's credential is for changing documents."""
    return not principal.scopes.isdisjoint((_WRITE, _ADMIN))


def tenant_for(principal: Principal, asked: str | None) -> str:
    """The tenant whose documents are meant; only an administrator may mean another one than their own."""
    if asked is not None and asked != principal.tenant and _ADMIN not in principal.scopes:
        raise Forbidden(f"this key is of one tenant: documents of another one need the scope {_ADMIN!r}")
    return asked or principal.tenant


async def resolve(catalog: Catalog, principal: Principal, tenant: str, document: str) -> Document:
    """The document with this id, if it is there and this caller may see it; else NotFound, which tells not which."""
    known = await catalog.get(tenant_for(principal, tenant), document)
    if known is None or not _sees(principal, known):
        raise no_such_document()
    return known


async def page(
    catalog: Catalog, principal: Principal, wanted: Listing, after: Place | None
) -> tuple[list[Document], Place | None]:
    """Documents that this caller may see, in order of tenant and id, and where to go on when there are more.

    What they may not see leaves no trace: neither its id nor a shorter page.
    """
    tenant = tenant_for(principal, wanted.tenant)
    found: list[Document] = []
    whose, at_once = None if tenant == EVERY_TENANT else tenant, max(_AT_ONCE, wanted.limit + 1)
    async for one in catalog.each(whose, origin=wanted.origin, after=after, at_once=at_once):
        if _sees(principal, one) and wanted.category in (None, one.category):
            if len(found) == wanted.limit:
                return found, (found[-1].access.tenant, found[-1].id)
            found.append(one)
    return found, None


def _sees(principal: Principal, document: Document) -> bool:
    return writes(principal) or access_filter(principal).permits(document.access)
