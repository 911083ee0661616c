"""Who may do what with which answer: the one place where an id in a request becomes a record for its caller."""

from collections.abc import Iterable

from gateway.documents.access import writes
from gateway.errors import NotFound
from gateway.records.recording import ANSWER
from retrieval.acl import Principal, access_filter
from retrieval.catalog import Catalog
from retrieval.records.record import Kept
from retrieval.records.store import RecordStore

_REVIEWS, _ADMIN = "review", "admin"


def no_such_answer() -> NotFound:
    """The same words whether there is no answer or it is not this caller's to speak of."""
    return NotFound("there is no such answer")


async def own_answer(store: RecordStore, principal: Principal, answer: str) -> Kept:
    """An answer that was given to this caller, or that they may review; else NotFound, which tells not which."""
    found = await tenants_answer(store, principal, answer)
    if found.record.subject != principal.subject and principal.scopes.isdisjoint((_REVIEWS, _ADMIN)):
        raise no_such_answer()
    return found


async def tenants_answer(store: RecordStore, principal: Principal, answer: str) -> Kept:
    """An answer of the caller's own tenant."""
    found = await store.find(answer)
    if found is None or found.record.kind != ANSWER or found.record.tenant != principal.tenant:
        raise no_such_answer()
    return found


async def visible(catalog: Catalog, principal: Principal, documents: Iterable[str]) -> set[str]:
    """Those of a tenant's documents that this caller may read now."""
    if writes(principal):
        return set(documents)
    access, known = access_filter(principal), await catalog.accesses(principal.tenant, documents)
    return {document for document, its in known.items() if access.permits(its)}
