"""What users say of an answer that they were given."""

from typing import Any

from fastapi import APIRouter, Request

from gateway.parts import caller, parts
from gateway.records.access import own_answer
from gateway.records.feedback import Opinion, note
from gateway.records.schemas import FeedbackBody
from gateway.routes.admitted import Admitted
from retrieval.records.record import fields_of

router = APIRouter(route_class=Admitted)


@router.post("/v1/feedback")
async def feedback(request: Request, body: FeedbackBody) -> dict[str, Any]:
    """Keep what the caller says of an answer; said again it counts in place of what they said before."""
    saying, here = await caller(request), parts(request)
    answer = await own_answer(here.records, saying.principal, body.answer)
    opinion = Opinion(body.rating, body.failure, body.correction, body.comment)
    kept, new = await note(here.records, answer, saying, opinion)
    if new:
        versions = fields_of(answer.record.facts)
        corrected = body.correction is not None
        here.metrics.feedback(
            versions.get("index", ""),
            versions.get("model", ""),
            rating=body.rating,
            failure=body.failure,
            corrected=corrected,
        )
    told = {"answer": body.answer, "rating": body.rating, "failure": body.failure}
    return {"object": "feedback", "id": kept.id, "created": kept.created, **told}
