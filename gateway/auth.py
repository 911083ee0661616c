"""Who asks: a bearer token becomes a Caller, or nobody."""

from collections.abc import Mapping
from pathlib import Path

import structlog

from deploy.keys import KeyFileError, KeyRing, read_keys
from gateway.caller import Caller
from gateway.errors import Forbidden, Unauthenticated
from retrieval.acl import Principal

_log = structlog.get_logger()


class Authenticator:
    """Follows the key file: a key created or revoked counts from the next request on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._ring = KeyRing({})

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """The caller by the request's `Authorization` header; Unauthenticated when there is none we know."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send your API key as `Authorization: Bearer <key>`")
        key = self._keys().find(token.strip())
        if key is None:
            raise Unauthenticated("this API key is not known: it may be mistyped or revoked")
        principal = Principal(key.tenant, key.subject, frozenset(key.groups), frozenset(key.scopes))
        return Caller(principal, f"key:{key.prefix}")

    def _keys(self) -> KeyRing:
        """Reread when the file changed; a broken file leaves the last good keys in force and says so."""
        stamp = self._stat()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._ring = read_keys(self._path)
            except KeyFileError as error:
                _log.error("key_file_refused", reason=str(error))
        return self._ring

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino


def require(principal: Principal, *scopes: str) -> None:
    """Forbidden unless the caller's credential carries one of these; the first is the one to ask for."""
    if principal.scopes.isdisjoint(scopes):
        raise Forbidden(f"this key may not do that: it lacks the scope {scopes[0]!r}")
