"""Documents in and out: put, get, list, delete, change of access, revert, and how an ingestion goes on."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.documents.access import page, reader, resolve, tenant_for, writer, writes
from gateway.documents.ingesting import Library
from gateway.documents.requests import (
    ACCESS,
    HISTORY,
    REVERT,
    addressed,
    addressed_new,
    asked,
    cursor,
    ends_with,
    place,
    sent,
)
from gateway.documents.schemas import (
    Addressing,
    BulkBody,
    Deleting,
    DocumentBody,
    GrantBody,
    Listing,
    Nothing,
    RevertBody,
)
from gateway.errors import Conflict, Forbidden, GatewayError, Invalid, NotFound
from gateway.parts import parts, pins
from gateway.routes.admitted import Admitted
from retrieval.acl import Access, Principal
from retrieval.described import described, outcome_fields, readable, version_fields
from retrieval.documents import Outcome
from retrieval.entries import Document
from retrieval.errors import DocumentMissing
from retrieval.sql.ingestions import Progress

router = APIRouter(route_class=Admitted)
_ALL, _ONE, _INGESTION = "/v1/documents", "/v1/documents/{id:path}", "/v1/ingestions/{id}"


@router.put(_ONE)
async def put(request: Request) -> Response:
    """Take one document in; when this answers, it is durable and is found."""
    principal, library = await writer(request), parts(request).library
    document, query = addressed_new(request), asked(request, Addressing)
    body = await sent(request, DocumentBody)
    if body.id not in (None, document):
        raise Invalid("id: the body names another document than the path", param="id")
    tenant = tenant_for(principal, _one_tenant(query.tenant, body.access.tenant))
    (outcome,) = await library.documents.put([body.new(document, tenant)])
    parts(request).metrics.document(outcome.status)
    return _json(await _put_fields(library, outcome), 201 if outcome.status == "added" else 200)


@router.post(_ALL)
async def put_many(request: Request) -> Response:
    """Accept many documents of one tenant: durable when this answers, taken in one after the other from then on."""
    principal, library = await writer(request), parts(request).library
    query = asked(request, Addressing)
    body = await sent(request, BulkBody)
    tenants = {tenant_for(principal, _one_tenant(query.tenant, one.access.tenant)) for one in body.documents}
    if len(tenants) > 1:
        raise Invalid("documents: send those of each tenant by themselves", param="documents")
    (tenant,) = tenants
    items = [(one.id, msgspec.msgpack.encode(one.new(one.id, tenant))) for one in body.documents]
    ingestion = await library.ingestions.accept(tenant, principal.subject, items)
    library.intake.wake()
    return _json({"object": "ingestion", "id": ingestion, "state": "running", "documents": len(items)}, 202)


@router.get(_ALL)
async def list_all(request: Request) -> Response:
    """The documents that this caller may see, in order of their ids, a page at a time."""
    principal, library = await reader(request), parts(request).library
    query = asked(request, Listing)
    if query.origin and not writes(principal):
        raise Forbidden("this key may not ask for documents by their origin: it lacks the scope 'documents:write'")
    found, more = await page(library.catalog, principal, query, place(query.after))
    shown = [_shown(principal, one) for one in found]
    return _json({"object": "list", "data": shown, "next": cursor(more)})


@router.get(f"{_ONE}{HISTORY}")
async def history(request: Request) -> Response:
    """The versions of a document that are kept, newest first, without the access lists of then."""
    if not ends_with(request, HISTORY):
        return await get(request)
    principal, library = await writer(request), parts(request).library
    tenant = tenant_for(principal, asked(request, Addressing).tenant)
    known = await resolve(library.catalog, principal, tenant, addressed(request, HISTORY))
    kept = await library.catalog.history(tenant, known.id)
    return _json({"object": "list", "data": [version_fields(one) for one in kept]})


@router.get(_ONE)
async def get(request: Request) -> Response:
    """A document with its stored text, which the spans of citations count in."""
    principal, library = await reader(request), parts(request).library
    tenant = tenant_for(principal, asked(request, Addressing).tenant)
    known = await resolve(library.catalog, principal, tenant, addressed(request))
    parser = pins(request, principal).index_version.recipe.parser
    text = await library.catalog.text(tenant, known.id, known.version, parser)
    return _json({**_shown(principal, known), "text": text})


@router.delete(_ONE)
async def delete(request: Request) -> Response:
    """Delete a document, or erase it too, whether it is deleted already or not."""
    principal, library = await writer(request), parts(request).library
    query, document = asked(request, Deleting), addressed(request)
    tenant = tenant_for(principal, query.tenant)
    if query.erase:
        return _json(await library.eraser.erase(tenant, document))
    deleted = await library.documents.delete(tenant, document)
    counted = {"sequence": deleted.sequence, "chunks": deleted.chunks, "restored": deleted.restored}
    return _json({"object": "document.deleted", "id": document, **counted})


@router.patch(f"{_ONE}{ACCESS}")
async def grant(request: Request) -> Response:
    """Change who may read a document; when this answers, it is true in every index version that is kept."""
    principal, library = await writer(request), parts(request).library
    document, query = addressed(request, ACCESS), asked(request, Addressing)
    body = await sent(request, GrantBody)
    tenant = tenant_for(principal, query.tenant)
    known = await resolve(library.catalog, principal, tenant, document)
    access = Access(tenant, frozenset(body.allow), frozenset(body.deny))
    return _json(described(await library.documents.grant(tenant, known.id, access)))


@router.post(f"{_ONE}{REVERT}")
async def revert(request: Request) -> Response:
    """Bring earlier content of a document back, with the access of now."""
    principal, library = await writer(request), parts(request).library
    document, query = addressed(request, REVERT), asked(request, Addressing)
    body = await sent(request, RevertBody)
    tenant = tenant_for(principal, query.tenant)
    known = await resolve(library.catalog, principal, tenant, document)
    return _json(await _put_fields(library, await library.documents.revert(tenant, known.id, body.to)))


@router.get(_INGESTION)
async def ingestion(request: Request) -> Response:
    """How far an ingestion is, and what became of each document."""
    principal, library = await writer(request), parts(request).library
    tenant = tenant_for(principal, asked(request, Addressing).tenant)
    return _json(_progress_fields(await _progress(library, tenant, request.path_params["id"])))


@router.post(f"{_INGESTION}{REVERT}")
async def revert_ingestion(request: Request) -> Response:
    """Bring back the content that each document had before an ingestion, where nothing changed it since."""
    principal, library = await writer(request), parts(request).library
    tenant = tenant_for(principal, asked(request, Addressing).tenant)
    await sent(request, Nothing)
    progress = await _progress(library, tenant, request.path_params["id"])
    if progress.state == "running":
        raise Conflict("this ingestion still runs: wait for its end", code="cannot_revert")
    try:
        outcomes = await library.documents.revert_ingestion(tenant, progress.id)
    except DocumentMissing as error:
        raise Conflict("this ingestion changed no document", code="cannot_revert") from error
    return _json(
        {"object": "ingestion.reverted", "id": progress.id, "items": [outcome_fields(one) for one in outcomes]}
    )


def _shown(principal: Principal, document: Document) -> dict[str, Any]:
    return described(document) if writes(principal) else readable(document)


async def _progress(library: Library, tenant: str, ingestion: str) -> Progress:
    progress = await library.ingestions.progress(tenant, ingestion)
    if progress is None:
        raise NotFound("there is no such ingestion")
    return progress


def _progress_fields(progress: Progress) -> dict[str, Any]:
    return {"object": "ingestion", **msgspec.to_builtins(progress)}


async def _put_fields(library: Library, outcome: Outcome) -> dict[str, Any]:
    """The document as it is after a change; the refusal, if there was none."""
    if outcome.status in ("refused", "failed"):
        raise _refusal(outcome)
    known = await library.catalog.get(outcome.tenant, outcome.document)
    if known is None:
        raise Conflict("the document was deleted right after it was put", code="changed_meanwhile")
    now = {"outcome": outcome.status, "version": outcome.version, "sequence": outcome.sequence}
    return {**described(known), **now, "chunks": outcome.chunks}


def _refusal(outcome: Outcome) -> GatewayError:
    reason = outcome.reason or "the document was refused"
    match outcome.code:
        case "origin_conflict":
            return Conflict(reason, code="origin_conflict")
        case "changed_meanwhile":
            return Conflict(reason, code="changed_meanwhile")
        case "cannot_revert":
            return Conflict(reason, code="cannot_revert")
        case _:
            return Invalid(reason, code="document_refused")


def _one_tenant(query: str | None, body: str | None) -> str | None:
    if query and body and query != body:
        raise Invalid("access.tenant: the path names another tenant", param="access.tenant")
    return body or query


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
