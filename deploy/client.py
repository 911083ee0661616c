"""The gateway's API as the command line uses it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self
from urllib.parse import quote

import httpx2

from deploy.settings import Settings

_PATIENCE_SECONDS = 180.0
MADE_ANEW: Final[Mapping[str, str]] = {"cache-control": "no-store"}
"""For whoever wants to know how an answer is made."""


class GatewayRefused(Exception):
    """The gateway said no, or nothing answered; the text is what to tell the user.

    `code` and `param` are those of the API's error, `status` is the HTTP status; all None when no gateway answered.
    """

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


class Gateway:
    """A connection to the gateway that is kept between requests; use it as a context manager."""

    def __init__(self, settings: Settings, *, patience: float = _PATIENCE_SECONDS) -> None:
        self._settings = settings
        self._http = httpx2.Client(base_url=settings.url, timeout=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a request as the holder of `key` (or of the configured one) and return the JSON answer."""
        named = {**_headers(self._settings, key), **(headers or {})}
        given = {name: value for name, value in (query or {}).items() if value is not None}
        with _mapped(self._settings):
            response = self._http.request(method, path, json=body, params=given or None, headers=named)
        return _accepted(response)

    def listed(self, path: str, query: Mapping[str, Any]) -> Iterator[Any]:
        """All of a list that the gateway gives in pages."""
        after = None
        while True:
            page = self.call("GET", path, query={**query, "after": after})
            yield from page["data"]
            after = page["next"]
            if after is None:
                return

    def post(self, path: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """Send a JSON request."""
        return self.call("POST", path, body, key=key)

    def stream(self, path: str, body: dict[str, Any], *, key: str | None = None) -> bytes:
        """The same, reading a stream of server-sent events to its end."""
        headers = _headers(self._settings, key)
        with _mapped(self._settings), self._http.stream("POST", path, json=body, headers=headers) as response:
            content = b"".join(response.iter_raw())
        if response.status_code != httpx2.codes.OK:
            raise GatewayRefused(f"{response.status_code} from {path}")
        return content


def segment(name: str) -> str:
    """A name as one step of a path: no slash, query or dots in it lead elsewhere."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


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
    status = response.status_code
    try:
        answer: dict[str, Any] = response.json()
        if response.is_success:
            return answer
        error = answer["error"]
        told = f"{status} {error['message']}"
    except (ValueError, KeyError, TypeError) as unreadable:
        raise GatewayRefused(f"{status} from something that is not a gateway of ours", status=status) from unreadable
    raise GatewayRefused(told, status=status, code=error.get("code"), param=error.get("param"))
