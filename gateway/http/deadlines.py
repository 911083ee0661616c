"""When a request has to be over: after the deployment's seconds, or the fewer that its caller gives it."""

import asyncio
import re

from fastapi import Request

from gateway.errors import Invalid
from gateway.parts import parts

_HEADER = "x-request-timeout"
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)


def deadline(request: Request) -> float:
    """By the event loop's clock; it travels with the request, so that each stage gets what the others have left."""
    most, asked = parts(request).settings.answer_seconds, request.headers.get(_HEADER)
    if asked is not None:
        if not _SECONDS.fullmatch(asked) or float(asked) == 0:
            raise Invalid(f"{_HEADER}: write seconds, more than none, like 2.5", param=_HEADER)
        most = min(most, float(asked))
    return asyncio.get_running_loop().time() + most
