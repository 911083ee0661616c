"""Who a token speaks for: the story from a token to a Person, by the identity file, which is followed while it runs."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Protocol

import structlog

from gateway.identity.claims import Person, person, refused
from gateway.identity.config import IdentityConfig, IdentityError, IssuerConfig, parse_identity, read_identity
from gateway.identity.keycache import KeyCache
from gateway.identity.sources import KeyFetcher
from gateway.identity.tokens import Key, read_token, right_kind, verify_token

_LOOK_SECONDS = 1.0
_REMEMBERED: Final = 10_000
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Issuer:
    """An entry of the file and the keys that it verifies by."""

    config: IssuerConfig
    cache: KeyCache


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was verified: it counts until then, and while its key is one of its issuer's."""

    person: Person
    issuer: Issuer
    name: tuple[str, str]
    key: Key
    until: float

    def holds(self, now: float, issuers: Mapping[str, Issuer]) -> bool:
        same = issuers.get(self.issuer.config.issuer) is self.issuer
        return same and now < self.until and self.issuer.cache.keys.get(self.name) is self.key


class Heard(Protocol):
    """Is told how many issuers' keys are in which state, and whether the file as it stands is in force."""

    def __call__(self, states: Mapping[str, int], *, ok: bool) -> None: ...


class People:
    """Remembers the tokens that it verified by their digest, as one comes many times."""

    def __init__(
        self, path: Path, fetcher: KeyFetcher, heard: Heard | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.refusal: str | None = None
        self._path, self._fetcher, self._clock, self._heard = path, fetcher, clock, heard
        self._raw = read_identity(path)
        self._issuers = self._built(parse_identity(self._raw, path), {})
        self._verified: dict[bytes, _Known] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, heard: Heard | None = None) -> AsyncIterator["People"]:
        """By the file as it is; IdentityError when it is not good. Keys are read by `run` and when a token comes."""
        async with KeyFetcher.open() as fetcher:
            people = cls(path, fetcher, heard)
            try:
                yield people
            finally:
                for issuer in people._issuers.values():
                    await issuer.cache.close()

    async def person(self, token: str) -> tuple[Person, str]:
        """Whom it speaks for, and the issuer that says so; Unauthenticated when it does not count."""
        digest, now = hashlib.sha256(token.encode()).digest(), self._clock()
        known = self._verified.get(digest)
        if known is None or not known.holds(now, self._issuers):
            known = await self._verify(token, now)
            self._remember(digest, known)
        return known.person, known.issuer.config.issuer

    async def run(self) -> NoReturn:
        """Follow the file, and each issuer's keys, for as long as the process lives."""
        while True:
            await self._look()
            due = [issuer.cache for issuer in self._issuers.values() if issuer.cache.due()]
            await asyncio.gather(*(cache.refresh() for cache in due))
            if self._heard is not None:
                self._heard(self.states(), ok=self.refusal is None)
            await asyncio.sleep(_LOOK_SECONDS)

    def states(self) -> dict[str, int]:
        """How many issuers' keys are as they last were, how many are older ones, and how many could never be read."""
        caches = [issuer.cache for issuer in self._issuers.values()]
        stale = sum(bool(cache.keys and cache.trouble) for cache in caches)
        unavailable = sum(not cache.keys for cache in caches)
        return {"ready": len(caches) - stale - unavailable, "stale": stale, "unavailable": unavailable}

    async def _verify(self, token: str, now: float) -> _Known:
        read = read_token(token)
        issuer = self._issuers.get(read.issuer)
        if issuer is None or not right_kind(read, issuer.config):
            raise refused("its issuer, its algorithm or its type is not one that counts here")
        key = await issuer.cache.find(read.key)
        if key is None:
            raise refused("its issuer has no key of that kid")
        until = verify_token(read, key, issuer.config, now)
        return _Known(person(read.claims, issuer.config), issuer, read.key, key, until)

    def _remember(self, digest: bytes, known: _Known) -> None:
        """The oldest goes first when there are too many."""
        self._verified.pop(digest, None)
        if len(self._verified) >= _REMEMBERED:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = known

    async def _look(self) -> None:
        """Put a changed file in force, or keep what is and say why."""
        try:
            raw = await asyncio.to_thread(read_identity, self._path)
            config = None if raw == self._raw else parse_identity(raw, self._path)
        except IdentityError as error:
            self._refuse(str(error))
            return
        self._raw, self.refusal = raw, None
        if config is not None:
            await self._apply(config)

    async def _apply(self, config: IdentityConfig) -> None:
        before, self._issuers = self._issuers, self._built(config, self._issuers)
        followed = {id(issuer.cache) for issuer in self._issuers.values()}
        for issuer in before.values():
            if id(issuer.cache) not in followed:
                await issuer.cache.close()
        _log.info("identity_applied", issuers=len(self._issuers))

    def _refuse(self, reason: str) -> None:
        if reason != self.refusal:
            self.refusal = reason
            _log.error("identity_refused", reason=reason)

    def _built(self, config: IdentityConfig, before: Mapping[str, Issuer]) -> dict[str, Issuer]:
        """An entry whose keys come from where they came from keeps them, whatever else of it changed."""
        made = {}
        for one in config.issuers:
            same = before.get(one.issuer)
            if same is None or _place(same.config) != _place(one):
                made[one.issuer] = Issuer(one, KeyCache(one.issuer, self._fetcher.source(one), float(one.refresh)))
                continue
            same.cache.every = float(one.refresh)
            made[one.issuer] = same if same.config == one else Issuer(one, same.cache)
        return made


def _place(config: IssuerConfig) -> tuple[str, str | None, str | None]:
    """Where an issuer's keys come from."""
    return config.issuer, config.jwks_url, config.jwks_file
