"""The gateway's API as the command line uses it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from deploy.settings import Settings

_PATIENCE_SECONDS = 180.0


class GatewayRefused(Exception):
    """The gateway said no, or nothing answered; the text is what to tell the user."""


def post(settings: Settings, path: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
    """Send a JSON request as the holder of `key` (or of the configured one) and return the JSON answer."""
    headers = _headers(settings, key)
    with _mapped(settings):
        response = httpx2.post(f"{settings.url}{path}", json=body, headers=headers, timeout=_PATIENCE_SECONDS)
    return _accepted(response)


def stream(settings: Settings, path: str, body: dict[str, Any], *, key: str | None = None) -> bytes:
    """The same, reading a stream of server-sent events to its end."""
    headers = _headers(settings, key)
    url = f"{settings.url}{path}"
    with (
        _mapped(settings),
        httpx2.stream("POST", url, json=body, headers=headers, timeout=_PATIENCE_SECONDS) as response,
    ):
        content = b"".join(response.iter_raw())
    if response.status_code != httpx2.codes.OK:
        raise GatewayRefused(f"{response.status_code} from {path}")
    return content


def _headers(settings: Settings, key: str | None) -> dict[str, str]:
    secret = key or settings.api_key
    if not secret:
        raise GatewayRefused("set TWINPIN_API_KEY to your API key (`twinpin keys create` makes one)")
    return {"authorization": f"Bearer {secret}"}


@contextmanager
def _mapped(settings: Settings) -> Iterator[None]:
    try:
        yield
    except httpx2.ConnectError as error:
        raise GatewayRefused(f"nothing answers at {settings.url}: start it with `make run`") from error
    except httpx2.HTTPError as error:
        raise GatewayRefused(f"the gateway at {settings.url} broke off: {type(error).__name__}") from error


def _accepted(response: httpx2.Response) -> dict[str, Any]:
    answer: dict[str, Any] = response.json()
    if response.status_code != httpx2.codes.OK:
        raise GatewayRefused(f"{response.status_code} {answer['error']['message']}")
    return answer
