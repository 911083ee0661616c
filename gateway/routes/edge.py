"""What every route starts with: the parts that were opened at start, and a verified caller with the right scope."""

from typing import TYPE_CHECKING, cast

from fastapi import Request

from gateway.auth import require
from retrieval.acl import Principal

if TYPE_CHECKING:
    from gateway.app import Parts


def parts(request: Request) -> "Parts":
    """Everything the lifespan opened."""
    return cast("Parts", request.app.state.parts)


def caller(request: Request, scope: str) -> Principal:
    """The verified caller, who may do this."""
    principal = parts(request).authenticator.principal(request.headers.get("authorization"))
    require(principal, scope)
    return principal
