"""The gateway's API as the command line uses it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx2

from deploy.settings import Settings

_PATIENCE_SECONDS = 180.0


class GatewayRefused(Exception):
    """The gateway said no, or nothing answered; the text is what to tell the user."""


class Gateway:
    """A connection to the gateway that is kept between requests; use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = httpx2.Client(base_url=settings.url, timeout=_PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._http.close()

    def post(self, path: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """Send a JSON request as the holder of `key` (or of the configured one) and return the JSON answer."""
        headers = _headers(self._settings, key)
        with _mapped(self._settings):
            response = self._http.post(path, json=body, headers=headers)
        return _accepted(response)

    def stream(self, path: str, body: dict[str, Any], *, key: str | None = None) -> bytes:
        """The same, reading a stream of server-sent events to its end."""
        headers = _headers(self._settings, key)
        with _mapped(self._settings), self._http.stream("POST", path, json=body, headers=headers) as response:
            content = b"".join(response.iter_raw())
        if response.status_code != httpx2.codes.OK:
            raise GatewayRefused(f"{response.status_code} from {path}")
        return content


def post(settings: Settings, path: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
    """Send one request."""
    with Gateway(settings) as gateway:
        return gateway.post(path, body, key=key)


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
