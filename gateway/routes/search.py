"""Finding without answering: the passages this caller may see, with their scores."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.http.wire import passage
from gateway.parts import caller, parts, pins, until
from gateway.routes.admitted import Admitted
from gateway.schemas import SearchRequest, narrowing_of
from gateway.streaming import server_timing
from gateway.telemetry.spans import of_retrieval
from retrieval.acl import access_filter

router = APIRouter(route_class=Admitted)


@router.post("/v1/search")
async def search(request: Request, body: SearchRequest) -> Response:
    """Passages with text, spans and scores per stage, best first."""
    principal, here = (await caller(request)).principal, parts(request)
    resolved = pins(request, principal)
    finder = resolved.index_version.finder
    with request.state.trace.child("retrieval", of_retrieval(resolved)) as span:
        async with asyncio.timeout_at(deadline := until(request)):
            findings = await finder.find(
                body.query,
                access_filter(principal),
                narrowing_of(body.filter),
                limit=body.limit,
                deadline=deadline,
                confident=False,
            )
        span.laps(findings.timings)
    here.metrics.found(resolved.index, findings)
    shown: dict[str, Any] = {
        "object": "search",
        "passages": [passage(found) for found in findings.passages],
        "versions": {
            "index": resolved.index,
            "generation": resolved.generation,
            "assignment": {"index": resolved.assignment["index"]},
        },
        "degraded": findings.degraded,
        "timings": {stage: round(seconds, 4) for stage, seconds in findings.timings.items()},
    }
    headers = {
        **resolved.headers(),
        "x-twinpin-cache": "bypass",
        "server-timing": server_timing(findings.timings),
    }
    return Response(msgspec.json.encode(shown), headers=headers, media_type="application/json")
