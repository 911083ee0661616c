"""Which versions are pinned, how each of them is, and why a later `releases.yaml` is not in force."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import APIRouter, Request

from deploy.pins import Pin
from gateway.parts import Parts, caller, parts
from gateway.release import Axis, Refusal, Release
from retrieval.acl import Principal
from retrieval.entries import TenantMark

router = APIRouter()
_ADMIN = "admin"


@router.get("/v1/release")
async def release(request: Request) -> dict[str, Any]:
    """Both pins and every version that is open, coming or refused; of watermarks those of the caller's own tenant."""
    principal, here = (await caller(request)).principal, parts(request)
    current, refusal = here.release.current, here.release.refusal
    return {
        "object": "release",
        "generation": current.generation,
        "refused": None if refusal is None else _refused(refusal, principal),
        "index": {**_pin(current.pins.index), "versions": await _indexes(here, principal)},
        "model": {**_pin(current.pins.model), "versions": list(_states("model", here.release))},
    }


@dataclass(frozen=True, slots=True)
class _Heads:
    """How far the catalog is, for the tenants that a caller may know of."""

    heads: Mapping[str, TenantMark]

    def watermarks(self, marks: Mapping[str, int]) -> dict[str, dict[str, int]]:
        """How far a version is, beside how far it should be, and how far it must be to answer."""
        return {
            tenant: {"applied": marks.get(tenant, 0), "sequence": head.value, "required": head.required}
            for tenant, head in sorted(self.heads.items())
        }


async def _indexes(here: Parts, principal: Principal) -> list[dict[str, Any]]:
    known = await here.library.catalog.sequences()
    everyones = _ADMIN in principal.scopes
    heads = _Heads({tenant: head for tenant, head in known.items() if everyones or tenant == principal.tenant})
    shown = []
    for state in _states("index", here.release):
        watermarks = heads.watermarks(await here.library.catalog.marks(state["name"]))
        if state["state"] == "open" and any(one["applied"] < one["sequence"] for one in watermarks.values()):
            state["state"] = "catching up"
        if everyones:
            state["reason"] = state["reason"] or here.follower.troubles.get(state["name"])
        shown.append({**state, "watermarks": watermarks})
    return shown


def _states(axis: Axis, release: Release) -> Iterator[dict[str, Any]]:
    """Every version that the pins in force name, and those that are to come or could not."""
    current, refusal = release.current, release.refusal
    opened = current.indexes if axis == "index" else current.models
    for name in opened:
        yield {"name": name, "state": "open", "reason": None}
    for name, coming in release.coming.items():
        if coming == axis:
            yield {"name": name, "state": "catching up", "reason": None}
    shown = opened.keys() | release.coming.keys()
    if refusal is not None and refusal.axis == axis and refusal.version not in shown:
        yield {"name": refusal.version, "state": "refused", "reason": refusal.told}


def _pin(pin: Pin) -> dict[str, str | None]:
    return msgspec.structs.asdict(pin)


def _refused(refusal: Refusal, principal: Principal) -> dict[str, Any]:
    """What the failure itself says may count what other tenants hold, so that it is for administrators."""
    return {"reason": refusal.told, **({"detail": refusal.detail} if _ADMIN in principal.scopes else {})}
