"""Where an issuer's keys come from: over HTTP, by its discovery document or straight, or from a file."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import aiohttp

from gateway.identity.config import IssuerConfig, safe_url

KeySource: TypeAlias = Callable[[], Awaitable[bytes]]
_DISCOVERY = "/.well-known/openid-configuration"
_LARGEST, _SECONDS = 1 << 20, 5.0


class KeySourceError(Exception):
    """Keys could not be fetched; the text says where and why."""


class KeyFetcher:
    """Gets small documents: no redirect, proxy or cookie takes a part in whom we believe."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["KeyFetcher"]:
        """Closes its connections with the block."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        ) as session:
            yield cls(session)

    def source(self, config: IssuerConfig) -> KeySource:
        """How this issuer's keys are read."""
        if config.jwks_file is not None:
            return partial(_read, Path(config.jwks_file))
        if config.jwks_url is not None:
            return partial(self._get, config.jwks_url)
        return partial(self._discovered, config.issuer)

    async def _discovered(self, issuer: str) -> bytes:
        """Asked each time: an issuer may move its keys."""
        url = issuer.rstrip("/") + _DISCOVERY
        try:
            told = json.loads(await self._get(url))
            named, keys = told["issuer"], told["jwks_uri"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise KeySourceError(f"{url} is no discovery document") from error
        if named != issuer:
            raise KeySourceError(f"{url} is of the issuer {named!r}: write it so, to the last character")
        if not isinstance(keys, str) or not safe_url(keys):
            raise KeySourceError(f"{url} names {keys!r} for its keys, which is no https URL")
        return await self._get(keys)

    async def _get(self, url: str) -> bytes:
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise KeySourceError(f"{url} answers {response.status}")
                body = await response.content.read(_LARGEST + 1)
                while not response.content.at_eof() and len(body) <= _LARGEST:
                    body += await response.content.read(_LARGEST + 1 - len(body))
        except TimeoutError as error:
            raise KeySourceError(f"{url} does not answer within {_SECONDS:.0f} s") from error
        except aiohttp.ClientError as error:
            raise KeySourceError(f"{url} cannot be read: {type(error).__name__}") from error
        if len(body) > _LARGEST:
            raise KeySourceError(f"{url} answers with more than {_LARGEST} bytes")
        return body


async def _read(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise KeySourceError(f"{path.name!r} cannot be read: {error.strerror}") from error
