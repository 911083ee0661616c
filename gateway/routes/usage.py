"""A tenant's own figures: how its limits stand, and what it has used by day and model version."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from gateway.errors import Forbidden
from gateway.limits.budgets import Level
from gateway.limits.caps import NANO
from gateway.parts import caller, parts
from gateway.usage import today
from retrieval.sql.usage import Used, UsedBy

router = APIRouter()
_ADMIN = "admin"


@router.get("/v1/usage")
async def usage(
    request: Request, tenant: str | None = None, days: Annotated[int, Query(ge=1, le=366)] = 30
) -> dict[str, Any]:
    """Those of the caller's tenant and key; an administrator may name another tenant."""
    known, here = await caller(request), parts(request)
    own = known.principal.tenant
    if tenant not in (None, own) and _ADMIN not in known.principal.scopes:
        raise Forbidden("this key may not ask for another tenant's usage: it lacks the scope 'admin'")
    asked = tenant or own
    claims = here.limits.claims(known) if asked == own else (here.limits.of_tenant(asked),)
    used = await here.usage.since(asked, today() - timedelta(days - 1))
    return {
        "object": "usage",
        "tenant": asked,
        "limits": [_level(level) for level in await here.limits.levels(claims)],
        "days": list(_days(used)),
    }


def _level(level: Level) -> dict[str, Any]:
    return {
        "of": level.whose,
        "measure": level.measure,
        "seconds": level.seconds,
        "limit": level.limit,
        "used": level.used,
        "remaining": level.remaining,
        "reset": round(level.reset, 3),
    }


def _days(used: Iterable[tuple[UsedBy, Used]]) -> Iterator[dict[str, Any]]:
    """Newest first; what needed no model is under none."""
    for day, rows in groupby(used, key=lambda row: row[0].day):
        of_day = list(rows)
        models = [{"model": by.model or None, **_sums(took)} for by, took in of_day]
        yield {"day": day.isoformat(), **_sums(sum((took for _, took in of_day), Used())), "models": models}


def _sums(used: Used) -> dict[str, Any]:
    return {
        "requests": used.requests,
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "cached_tokens": used.cached_tokens,
        "cost": used.cost / NANO,
    }
