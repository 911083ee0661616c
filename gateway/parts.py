"""Every long-lived object of the process, and what each route starts with: those parts and a verified caller."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from gateway.answering import Answering
from gateway.auth import Authenticator, require
from gateway.cache.erasing import CacheErasure
from gateway.caller import Caller
from gateway.documents.ingesting import Library
from gateway.flipping.follower import Follower
from gateway.flipping.watch import Watch
from gateway.health.gates import Gates
from gateway.health.readiness import Readiness
from gateway.http.deadlines import deadline, patience
from gateway.limits.admission import Limits
from gateway.release import Forced, Release, ResolvedPins
from gateway.scopes import NEEDED, operation
from gateway.settings import Settings
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import Metrics
from gateway.usage import UsageBook
from retrieval.acl import Principal
from retrieval.records.store import RecordStore


@dataclass(frozen=True, slots=True)
class Parts:
    """Opened together by the lifespan and closed together at its end."""

    settings: Settings
    authenticator: Authenticator
    limits: Limits
    usage: UsageBook
    release: Release
    answering: Answering
    readiness: Readiness
    metrics: Metrics
    exposition: Exposition
    library: Library
    cache: CacheErasure | None
    records: RecordStore
    follower: Follower
    watch: Watch
    gates: Gates


Opening = Callable[[Settings, Metrics], AbstractAsyncContextManager[Parts]]


def parts(request: Request) -> Parts:
    """What the lifespan opened."""
    return cast("Parts", request.app.state.parts)


async def caller(request: Request, doing: str | None = None) -> Caller:
    """The verified caller, who may do this: what the request's route is for, unless said otherwise."""
    here, known = parts(request), cast("Caller | None", getattr(request.state, "caller", None))
    if known is None:  # a route that admits asks before its handler does: nobody is verified twice
        until = patience(request, here.settings.answer_seconds)
        known = request.state.caller = await here.authenticator.caller(request.headers, until)
    wanted = operation(request)
    require(known.principal, *NEEDED[doing or wanted])
    here.gates.require_open(wanted, known.principal.tenant)
    return known


def until(request: Request) -> float:
    """When it has to be over, by the event loop's clock. Invalid where its caller's seconds are none."""
    return deadline(request, parts(request).settings.answer_seconds)


def pins(request: Request, principal: Principal) -> ResolvedPins:
    """The versions of this request: the pinned ones, or those that a caller who may do so names in its headers."""
    forced = Forced(request.headers.get("x-twinpin-index"), request.headers.get("x-twinpin-model"))
    if forced != Forced():
        require(principal, "release:override")
    resolved = parts(request).release.resolve(forced)
    request.state.pins = resolved  # for whoever counts the request
    return resolved
