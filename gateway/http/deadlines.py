"""When a request has to be over: after the deployment's seconds, or the fewer that its caller gives it."""

import re

from fastapi import Request

from gateway.errors import Invalid

_HEADER = "x-request-timeout"
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)


def deadline(request: Request, most: float) -> float:
    """By the event loop's clock; it travels with the request, so that each stage gets what the others have left.

    Invalid where the caller's seconds are none.
    """
    asked = request.headers.get(_HEADER)
    if asked is not None and not _asked(asked):
        raise Invalid(f"{_HEADER}: write seconds, more than none, like 2.5", param=_HEADER)
    return patience(request, most)


def patience(request: Request, most: float) -> float:
    """The same, while it is not known yet who asks: they are told later what is wrong with it."""
    arrived: float = request.state.arrived
    return arrived + min(most, _asked(request.headers.get(_HEADER, "")) or most)


def _asked(seconds: str) -> float:
    return float(seconds) if _SECONDS.fullmatch(seconds) else 0.0
