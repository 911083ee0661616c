"""What each request needs: every route and its scopes, any of which is enough; none at all is for everybody."""

from collections.abc import Mapping
from typing import Final

from fastapi import Request

READ_DOCUMENT: Final = "GET /v1/documents/{id:path}"
_WRITES: Final = ("documents:write", "admin")
_REVIEWS: Final = ("review", "admin")
_READS: Final = ("search", *_WRITES)
MEASURES: Final = ("metrics", "admin")  # of `GET /metrics`, where not everybody may read it

NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "POST /v1/answer": ("ask",),
    "POST /v1/chat/completions": ("ask",),
    "GET /v1/models": ("ask",),
    "POST /v1/search": ("search",),
    "POST /mcp": ("ask", "search"),
    "GET /v1/documents": _READS,
    READ_DOCUMENT: _READS,
    "GET /v1/documents/{id:path}/history": _WRITES,
    "POST /v1/documents": _WRITES,
    "PUT /v1/documents/{id:path}": _WRITES,
    "DELETE /v1/documents/{id:path}": _WRITES,
    "PATCH /v1/documents/{id:path}/access": _WRITES,
    "POST /v1/documents/{id:path}/revert": _WRITES,
    "GET /v1/ingestions/{id}": _WRITES,
    "POST /v1/ingestions/{id}/revert": _WRITES,
    "POST /v1/feedback": ("feedback", "review", "admin"),
    "GET /v1/review": _REVIEWS,
    "POST /v1/review": _REVIEWS,
    "GET /v1/records": ("admin",),
    "GET /v1/records/{id}": ("admin",),
    "DELETE /v1/records": ("admin",),
    "GET /v1/usage": ("ask", "search", "admin"),
    "GET /v1/release": ("release:read", "admin"),
    "GET /v1/gates": ("admin",),
    "POST /v1/gates": ("admin",),
    "GET /healthz": (),
    "GET /readyz": (),
    "GET /metrics": (),
    "GET /openapi.json": (),
}


def operation(request: Request) -> str:
    """The route that a request matched, as the table names it."""
    return f"{request.method} {request.scope['route'].path}"
