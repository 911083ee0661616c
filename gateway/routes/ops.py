"""For operators and their tools: alive, ready, measured."""

from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.auth import require
from gateway.http.draining import Draining
from gateway.parts import parts
from gateway.scopes import MEASURES
from gateway.telemetry.exposition import CONTENT_TYPE_LATEST

router = APIRouter()


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Every part that answers need, each with its state; 503 unless all are ready, and once this process drains.

    Neither a file that was refused nor Redis being gone keeps anybody waiting.
    """
    if cast("Draining", request.app.state.draining).begun:
        return JSONResponse({"status": "draining"}, status_code=503)
    here = parts(request)
    checks = await here.readiness.checks()
    ready = all(check == "ready" for check in checks.values())
    refusal = here.release.refusal
    release = {"generation": here.release.current.generation, "refused": refusal.told if refusal else None}
    people = here.authenticator.people
    identity = (
        {} if people is None else {"identity": {"refused": people.refusal is not None, "issuers": people.states()}}
    )
    status, limits = "ready" if ready else "not ready", here.limits.states()
    body = {"status": status, "checks": checks, "release": release, "limits": limits, **identity}
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text format."""
    here = parts(request)
    if not here.settings.shows_metrics:
        require((await here.authenticator.caller(request.headers)).principal, *MEASURES)
    compressed = "gzip" in request.headers.get("accept-encoding", "")
    text = await here.exposition.text(compressed=compressed)
    headers = {"vary": "accept-encoding", **({"content-encoding": "gzip"} if compressed else {})}
    return Response(text, headers=headers, media_type=CONTENT_TYPE_LATEST)
