"""Routes that ask a model: the body goes from its bytes into its schema, once it is known who sends it."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import request_response

from gateway.http.bounds import check_size, refused
from gateway.parts import caller, parts

Schema = TypeVar("Schema", bound=BaseModel)
_NOT_SAID = b'"is not said to be JSON"'


class Direct(APIRoute):
    """Calls its handler as `handler(request, body)`, with the caller's seat in the request's state.

    FastAPI's own way there takes several times as long, and to be refused has to cost nearly nothing.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, endpoint, **more)
        if self.body_field is not None:
            self._schema = cast("type[BaseModel]", self.body_field.field_info.annotation)
            self.app = request_response(self._direct)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Where it is included in another router: the same, but for what it costs."""
        return super().get_route_handler() if self.body_field is None else self._direct

    async def _direct(self, request: Request) -> Response:
        asking, here = await caller(request), parts(request)
        request.state.seat = here.limits.greet(asking, may_reuse=here.answering.reuses)
        response: Response = await self.endpoint(request, await _body(request, self._schema))
        return response


async def _body(request: Request, schema: type[Schema]) -> Schema:
    """Errors: as FastAPI refuses a body."""
    try:
        raw = await request.body()
    except ClientDisconnect as error:
        raise HTTPException(400) from error
    check_size(raw)
    try:
        return schema.model_validate_json(raw if _says_json(request) else _NOT_SAID)
    except ValidationError as error:
        raise refused(error) from error


def _says_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
