"""Fetches from one web origin and nowhere else: the address that was checked is the one connected to."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeAlias

import httpx2

from retrieval.errors import SourceError

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
_PATIENCE = 30.0
_OK = 200
_NAT64, _SIX_TO_FOUR = ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one reading may take: bytes of all pages together, bytes of one, seconds of all together."""

    total: int
    page: int
    seconds: float


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host, as this machine's resolver gives them; OSError when there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet: not private, loopback, link-local or reserved."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if parsed in _NAT64 or parsed in _SIX_TO_FOUR:
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


class CheckedTransport(httpx2.BaseTransport):
    """Looks a host up, refuses addresses that are not public unless `private`, and connects to what it looked at."""

    def __init__(self, resolve: Resolve, *, private: bool, trusted: ssl.SSLContext | None = None) -> None:
        self._resolve, self._private = resolve, private
        self._inner = httpx2.HTTPTransport(verify=trusted or True, trust_env=False)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Name and certificate stay the host's, whatever the address is."""
        host = request.url.host
        errors: list[httpx2.ConnectError] = []
        for address in self._addresses(host, request.url.port or (443 if request.url.scheme == "https" else 80)):
            direct = httpx2.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return self._inner.handle_request(direct)
            except httpx2.ConnectError as error:
                errors.append(error)
        raise errors[-1]

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise SourceError(f"{host!r} has no address") from error
        if not addresses:
            raise SourceError(f"{host!r} has no address")
        if not self._private and not all(map(is_public, addresses)):
            raise SourceError(f"{host!r} is an address of a private network: write `private: true` if that is meant")
        return addresses


@dataclass(slots=True)
class Fetcher:
    """GETs pages of one origin within bounds; a context manager. All errors are SourceError, and show no URL."""

    base: httpx2.URL
    headers: Mapping[str, str]
    bounds: Bounds
    transport: httpx2.BaseTransport
    clock: Callable[[], float] = time.monotonic
    _client: httpx2.Client | None = None
    _ends: float = 0.0

    def __enter__(self) -> Self:
        headers = {"accept": "application/json", "accept-encoding": "identity", **self.headers}
        self._client = httpx2.Client(transport=self.transport, headers=headers, timeout=_PATIENCE, trust_env=False)
        self._ends = self.clock() + self.bounds.seconds
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    def follow(self, current: httpx2.URL, link: str) -> httpx2.URL:
        """Where a page says that the next one is; only on the same scheme, host and port."""
        try:
            url = current.join(link)
        except (httpx2.InvalidURL, ValueError) as error:
            raise SourceError("the link to the next page is no URL") from error
        if (url.scheme, url.host, _port(url)) != (self.base.scheme, self.base.host, _port(self.base)):
            raise SourceError(f"the next page is on {url.host!r}, another origin, which is not followed")
        return url.copy_with(userinfo=self.base.userinfo, fragment=None)

    def get(self, url: httpx2.URL) -> tuple[bytes, str | None]:
        """The body of a page, and what its `Link` header names as the next."""
        with self._answer(url) as response:
            _require_plain(response)
            body = bytearray()
            for piece in response.iter_raw():
                body += piece
                self._require_room(len(body))
            self.bounds = replace(self.bounds, total=self.bounds.total - len(body))
            return bytes(body), response.links.get("next", {}).get("url")

    @contextmanager
    def _answer(self, url: httpx2.URL) -> Iterator[httpx2.Response]:
        if self._client is None:
            raise TypeError("a Fetcher is entered before it fetches")
        try:
            with self._client.stream("GET", url, follow_redirects=False) as response:
                yield response
        except httpx2.TimeoutException as error:
            raise SourceError(f"no answer within {_PATIENCE:.0f} s") from error
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise SourceError(f"the connection failed ({type(error).__name__})") from error

    def _require_room(self, length: int) -> None:
        if length > min(self.bounds.page, self.bounds.total):
            raise SourceError(f"more than {min(self.bounds.page, self.bounds.total) >> 20} MiB")
        if self.clock() > self._ends:
            raise SourceError(f"more than {self.bounds.seconds:g} s")


def _require_plain(response: httpx2.Response) -> None:
    if response.has_redirect_location:
        raise SourceError("it redirects elsewhere, which is not followed: write the address that it redirects to")
    if response.status_code != _OK:
        raise SourceError(f"it answers with status {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise SourceError("its answer is compressed, which was not asked for")


def _port(url: httpx2.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
