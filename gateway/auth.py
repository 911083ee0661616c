"""Who asks, and for whom: what a request's headers say becomes a Caller, or nobody."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from deploy.keys import ApiKey
from gateway.caller import Caller
from gateway.errors import Forbidden, Unauthenticated
from gateway.identity.acting import both, named, principal_of
from gateway.identity.credentials import Credentials, credentials
from gateway.identity.keyfile import KeyFile
from gateway.identity.people import People
from gateway.identity.tokens import is_token
from gateway.telemetry.metrics import Metrics
from retrieval.acl import Principal


class Authenticator:
    """API keys by the key file, and, where there is an identity file, people by tokens of the issuers in it."""

    def __init__(
        self, keys: KeyFile, people: People | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.keys = keys
        self.people = people
        self._now = now

    @classmethod
    @asynccontextmanager
    async def open(cls, keys: Path, identity: Path | None, metrics: Metrics) -> AsyncIterator["Authenticator"]:
        """IdentityError when there is an identity file that is not good."""
        metrics.identity({}, ok=True)
        async with AsyncExitStack() as stack:
            people = await stack.enter_async_context(People.open(identity, metrics.identity)) if identity else None
            yield cls(KeyFile(keys, metrics.keys_ok.set), people)

    async def caller(self, headers: Mapping[str, str], deadline: float | None = None) -> Caller:
        """By the request's headers; Unauthenticated when they name none we know, Forbidden when it may not act so.

        TimeoutError when an issuer that is asked has not answered at the `deadline`, by the event loop's clock.
        """
        sent = credentials(headers)
        if self.people is not None and is_token(sent.bearer):
            return await self._person(sent, deadline)
        key = await self._key(sent.bearer)
        credential = f"key:{key.prefix}"
        if sent.user_token is not None:
            user, _ = await self._principal(sent.user_token, deadline)
            return Caller(both(key, user), credential, key.subject)
        if sent.named is not None:
            return Caller(named(key, sent.named), credential, key.subject)
        return Caller(principal_of(key), credential)

    async def _person(self, sent: Credentials, deadline: float | None) -> Caller:
        if sent.user_token is not None or sent.named is not None:
            raise Forbidden(
                "a token speaks for its own user: an app asks for others with its API key", code="not_an_app"
            )
        principal, issuer = await self._principal(sent.bearer, deadline)
        return Caller(principal, f"issuer:{issuer}")

    async def _key(self, secret: str) -> ApiKey:
        key = await self.keys.find(secret)
        if key is None:
            raise Unauthenticated("this API key is not known: it may be mistyped or revoked")
        if key.expired(self._now()):
            raise Unauthenticated(
                f"this API key ended on {key.expires:%Y-%m-%d}: ask for a new one", code="expired_api_key"
            )
        return key

    async def _principal(self, token: str, deadline: float | None) -> tuple[Principal, str]:
        if self.people is None:
            raise Unauthenticated(
                "tokens of users are not accepted here: no issuer is configured", code="invalid_token"
            )
        async with asyncio.timeout_at(deadline):
            person, issuer = await self.people.person(token)
        return Principal(person.tenant, person.subject, person.groups, person.scopes), issuer


def require(principal: Principal, *scopes: str) -> None:
    """Forbidden unless the caller's credential carries one of these; the first is the one to ask for."""
    if principal.scopes.isdisjoint(scopes):
        raise Forbidden(f"this caller may not do that: the scope {scopes[0]!r} is missing")
