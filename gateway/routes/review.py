"""Answers that somebody should look at: the queue of a tenant, and decisions."""

from typing import Any

from fastapi import APIRouter, Request

from gateway.documents.requests import asked
from gateway.parts import caller, parts
from gateway.records.access import tenants_answer
from gateway.records.reviewing import Decision, decide, items
from gateway.records.schemas import DecisionBody, Paging, cursor_of, place_of_cursor
from gateway.routes.admitted import Admitted

router = APIRouter(route_class=Admitted)


@router.get("/v1/review")
async def queue(request: Request) -> dict[str, Any]:
    """Answers of the caller's tenant that await a decision, oldest first, a page at a time."""
    principal, here = (await caller(request)).principal, parts(request)
    wanted = asked(request, Paging)
    await here.records.settle()
    waiting = await here.records.book.awaiting(principal.tenant, place_of_cursor(wanted.after), wanted.limit + 1)
    shown = await items(here.library.catalog, here.records, principal, waiting[: wanted.limit])
    return {"object": "list", "data": shown, "next": cursor_of(waiting, wanted.limit)}


@router.post("/v1/review")
async def review(request: Request, body: DecisionBody) -> dict[str, Any]:
    """Decide of an answer; the first decision stands."""
    deciding, here = await caller(request), parts(request)
    answer = await tenants_answer(here.records, deciding.principal, body.answer)
    decision = Decision(body.decision, body.correction, body.note)
    kept, new = await decide(here.records, answer, deciding, decision)
    if new:
        here.metrics.decision(body.decision)
    told = {"answer": body.answer, "decision": body.decision}
    return {"object": "review.decision", "id": kept.id, "created": kept.created, **told}
