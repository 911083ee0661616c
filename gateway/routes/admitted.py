"""Routes that cost something and ask no model: each request takes one of the caller's, and a place while it lasts."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from gateway.parts import caller, parts


class Admitted(APIRoute):
    """Lets a known caller who may do this in before anything is read of what was sent."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            async with parts(request).limits.admit(await caller(request)) as admission:
                request.state.limits = admission.headers
                return await handle(request)

        return admitted
