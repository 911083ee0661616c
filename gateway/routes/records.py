"""Records for administrators: one with all that is known of it, lists for export, and the erasure of a person."""

from typing import Any

from fastapi import APIRouter, Request

from gateway.documents.requests import asked
from gateway.parts import caller, parts
from gateway.records.access import no_such_answer
from gateway.records.schemas import PersonQuery, RecordsQuery, cursor_of, place_of_cursor
from gateway.routes.admitted import Admitted
from retrieval.records.book import Wanted
from retrieval.records.described import described
from retrieval.records.erasing import erase_person

router = APIRouter(route_class=Admitted)


@router.get("/v1/records")
async def listing(request: Request) -> dict[str, Any]:
    """Records in order of their time, a page at a time."""
    await caller(request)
    store, query = parts(request).records, asked(request, RecordsQuery)
    await store.settle()
    place = place_of_cursor(query.after)
    wanted = Wanted(query.tenant, query.since, query.until, query.kind, place, query.limit + 1)
    found = await store.book.listing(wanted)
    shown = [described(one) for one in found[: query.limit]]
    return {"object": "list", "data": shown, "next": cursor_of(found, query.limit)}


@router.get("/v1/records/{id}")
async def record(request: Request) -> dict[str, Any]:
    """One record, and what was said about it."""
    await caller(request)
    store = parts(request).records
    found = await store.find(request.path_params["id"])
    if found is None:
        raise no_such_answer()
    return {**described(found), "about": [described(one) for one in await store.book.about(found.record.id)]}


@router.delete("/v1/records")
async def forget(request: Request) -> dict[str, Any]:
    """Erase who a person was and what was said by them; that there were answers stays."""
    await caller(request)
    person, here = asked(request, PersonQuery), parts(request)
    if here.cache is not None:  # whose words a kept answer repeats is not known
        await here.cache.forget(person.tenant)
    return await erase_person(here.library.catalog, here.records, person.tenant, person.subject)
