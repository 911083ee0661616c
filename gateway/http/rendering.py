"""The one rendering of refusals: every failure becomes a status and a body here, and what is ours is logged."""

from typing import cast

import msgspec
import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway import errors
from gateway.parts import caller

_log = structlog.get_logger()
_NOT_JSON = "the body is not valid JSON"
_NO_OBJECT = "send a JSON object, with the header `Content-Type: application/json`"


async def render(request: Request, error: Exception) -> Response:
    """The one mapping of failures to statuses; what is not ours is logged with its traceback and told as a 500."""
    told = errors.as_gateway_error(error)
    request_id = request.state.request_id
    if told.status >= errors.Internal.status:
        _log.error("request_failed", request_id=request_id, code=told.code, exc_info=error)
    headers = {} if told.retry_after is None else {"retry-after": str(max(1, round(told.retry_after)))}
    if isinstance(told, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    body = msgspec.json.encode(told.body(request_id))
    response = Response(body, told.status, headers, media_type="application/json")
    response.raw_headers.extend(told.headers)
    return response


async def render_unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours is rendered outside of all middleware, so that it needs its id here."""
    response = await render(request, error)
    response.headers["x-request-id"] = request.state.request_id
    return response


async def render_invalid(request: Request, error: Exception) -> Response:
    """Name the first field at fault, to callers who may do this; the value is not repeated."""
    try:
        await caller(request)
    except errors.GatewayError as refused:
        return await render(request, refused)
    first = cast("RequestValidationError", error).errors()[0]
    if first["type"] == "json_invalid":
        return await render(request, errors.Invalid(_NOT_JSON))
    field = ".".join(str(part) for part in first["loc"] if part != "body" and not _is_type(part)) or None
    if field is None and first["type"] in ("model_attributes_type", "model_type"):
        return await render(request, errors.Invalid(_NO_OBJECT))
    message = first["msg"].removeprefix("Value error, ")
    return await render(request, errors.Invalid(f"{field}: {message}" if field else message, param=field))


def _is_type(part: object) -> bool:
    """Where a field may have one of several types, its location names the type that was tried."""
    return isinstance(part, str) and (part in ("str", "constrained-str") or part.startswith("list["))


async def render_http(request: Request, error: Exception) -> Response:
    """What the router, the reading of the body and its limit refuse."""
    refused = cast("HTTPException", error)
    nowhere = f"there is no {request.method} {request.url.path}"
    match refused.status_code:
        case 404:
            told: errors.GatewayError = errors.NotFound(nowhere)
        case 405:
            told = errors.MethodNotAllowed(nowhere)
        case 413:
            told = errors.TooLarge(refused.detail)
        case _:
            told = errors.Invalid(_NOT_JSON)
    response = await render(request, told)
    response.headers.update(refused.headers or {})
    return response
