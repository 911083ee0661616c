"""The items of a JSON API, page by page; a page that cannot be had whole ends the reading."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import partial

import httpx2
import msgspec

from retrieval.errors import SourceError
from retrieval.ingest.sources.document import LARGEST, Found
from retrieval.ingest.sources.rows import Mapper, Row, RowsConfig
from retrieval.ingest.sources.secrets import Secrets
from retrieval.ingest.sources.transport import Bounds, CheckedTransport, Fetcher, Resolve, resolved

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LARGEST_PAGE = 2 * LARGEST


class Numbered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pages are asked for by number until one is empty."""

    parameter: str
    first: int = 1


class Cursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each page says, at `path`, what to ask for the next one with."""

    parameter: str
    path: str


class ApiConfig(RowsConfig, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="api", tag_field="kind"):
    """`items` is where a page has its list, `next` where it has the URL of the next page, in dots.

    `${NAME}` in `url` and `headers` is a secret. `http` and `private` permit what is refused otherwise.
    """

    url: str
    items: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    next: str | None = None
    page: Numbered | None = None
    cursor: Cursor | None = None
    link: bool = False
    http: bool = False
    private: bool = False
    max_pages: int = 10_000
    max_megabytes: int = 4096
    max_seconds: float = 3600


class ApiSource:
    """Every item of every page is a document."""

    def __init__(self, config: ApiConfig, file: str, secrets: Secrets, resolve: Resolve = resolved) -> None:
        self._config, self._file, self._resolve = config, file, resolve
        self._url = _url(secrets.fill_url(config.url), config, file)
        self._headers = {name: _header(name, secrets.fill(value), file) for name, value in config.headers.items()}
        self.origin = config.origin
        if sum((config.next is not None, config.page is not None, config.cursor is not None, config.link)) > 1:
            raise SourceError(f"{file} has more than one of next, page, cursor and link: write one")
        Mapper(config, file)

    def documents(self) -> list[Found]:
        """All items, their content put aside on disk; SourceError when a page cannot be had, or pages never end."""
        return list(Mapper(self._config, self._file).documents(self._rows()))

    def _rows(self) -> Iterator[Row]:
        said = self._config
        bounds = Bounds(said.max_megabytes << 20, _LARGEST_PAGE, said.max_seconds)
        transport = CheckedTransport(self._resolve, private=said.private)
        with Fetcher(self._url, self._headers, bounds, transport) as fetcher:
            url: httpx2.URL | None = self._first()
            seen: set[bytes] = set()
            number = 0
            while url is not None:
                number += 1
                try:
                    items, url = self._page(fetcher, url, number, seen)
                except SourceError as error:
                    raise SourceError(f"page {number} of {self._file}: {error}") from error
                yield from (partial(_at, item) for item in items)

    def _page(
        self, fetcher: Fetcher, url: httpx2.URL, number: int, seen: set[bytes]
    ) -> tuple[list[object], httpx2.URL | None]:
        """The items of a page and the address of the next; a page that was there before means that there is no end."""
        if number > self._config.max_pages:
            raise SourceError(f"there are more than {self._config.max_pages} pages")
        body, link = fetcher.get(url)
        page = _decoded(body)
        items = _at(page, self._config.items) if self._config.items else page
        if not isinstance(items, list):
            raise SourceError(f"it has no list at {self._config.items!r}")
        url_next = self._next(fetcher, url, page, link, number) if items or self._config.page is None else None
        digest = hashlib.sha256(body if items else str(url).encode()).digest()
        if digest in seen:
            raise SourceError("it is the same as an earlier one: the pages go in a circle")
        seen.add(digest)
        return items, url_next

    def _next(
        self, fetcher: Fetcher, url: httpx2.URL, page: object, link: str | None, number: int
    ) -> httpx2.URL | None:
        said = self._config
        if said.page is not None:
            return url.copy_set_param(said.page.parameter, said.page.first + number)
        if said.cursor is not None:
            cursor = _word(_at(page, said.cursor.path), said.cursor.path)
            return url.copy_set_param(said.cursor.parameter, cursor) if cursor else None
        named = link if said.link else _word(_at(page, said.next), said.next) if said.next is not None else None
        return fetcher.follow(url, named) if named else None

    def _first(self) -> httpx2.URL:
        page = self._config.page
        return self._url if page is None else self._url.copy_set_param(page.parameter, page.first)


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError("it is not JSON") from error


def _at(value: object, path: str) -> object:
    """What stands at a path of names with dots between them; None where it ends early."""
    for name in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _word(value: object, path: str) -> str | None:
    """What leads to the next page; nothing, null, false or an empty text means that there is none."""
    if value is None or value is False or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SourceError(f"what stands at {path!r} leads to no page")
    return str(value)


def _url(text: str, config: ApiConfig, file: str) -> httpx2.URL:
    """Its text may hold a secret, so that no message shows it."""
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        raise SourceError(f"the url of {file} is none") from None
    if url.scheme not in ("https", "http") or not url.host:
        raise SourceError(f"the url of {file} has to begin with https://")
    if url.scheme == "http" and not config.http:
        raise SourceError(f"the url of {file} is not encrypted: write https://, or `http: true` if that is meant")
    return url


def _header(name: str, value: str, file: str) -> str:
    if not _HEADER.fullmatch(name) or not value.isascii() or not value.isprintable():
        raise SourceError(f"the header {name!r} of {file} cannot be sent: its name or value has forbidden characters")
    return value
