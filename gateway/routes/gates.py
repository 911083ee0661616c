"""Paths that leak probes have closed, for operators: which, and open again."""

from typing import Any

from fastapi import APIRouter, Request

from gateway.health.gates import Gates
from gateway.parts import caller, parts
from gateway.routes.admitted import Admitted
from gateway.schemas import GateBody

router = APIRouter(route_class=Admitted)


@router.get("/v1/gates")
async def closed(request: Request) -> dict[str, Any]:
    """What is closed, and since when."""
    await caller(request)
    return _shown(parts(request).gates)


@router.post("/v1/gates")
async def open_one(request: Request, body: GateBody) -> dict[str, Any]:
    """Open a path; what is closed still."""
    await caller(request)
    gates = parts(request).gates
    gates.open(body.open)
    return _shown(gates)


def _shown(gates: Gates) -> dict[str, Any]:
    return {"object": "gates", "closed": dict(gates.closed)}
