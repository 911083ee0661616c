"""Who asks, who may see a document, and the one filter that every read needs."""

import unicodedata
from collections.abc import Container, Iterable
from dataclasses import InitVar, dataclass
from typing import Final

import msgspec

EVERY_TENANT: Final = "*"
_SEAL: Final = object()


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose identity has been verified.

    `groups` are bare names ("hr"); `scopes` are what the credential may do ("ask", "search"). Where an app asks for
    somebody, its key bounds what lets them in and never what keeps them out: `denied_as` are the grants that only deny
    lists may call them by, and without `by_name` a document that is shared with their subject stays closed.
    """

    tenant: str
    subject: str
    groups: frozenset[str]
    scopes: frozenset[str]
    denied_as: frozenset[str] = frozenset()
    by_name: bool = True


@dataclass(frozen=True, slots=True)
class Access:
    """A document's own list: grants are "user:<subject>" or "group:<name>"; deny wins; an empty allow means nobody."""

    tenant: str
    allow: frozenset[str]
    deny: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PermissionScope:
    """What callers to whom the same is permitted have in common: of their names those that decide anything, in order.

    What is shared more widely than in it, its timing tells to others.
    """

    tenant: str
    grants: tuple[str, ...]
    denied_as: tuple[str, ...]

    @property
    def key(self) -> str:
        """Another one for every other scope: whatever is in a name ends none."""
        return msgspec.json.encode((self.tenant, self.grants, self.denied_as)).decode()


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """What one principal may read. Only `access_filter` makes it; every store and catalog read requires it.

    An allow list may call them by their `grants`, a deny list by any of `denied_as`, which are all of those and more.
    """

    tenant: str
    grants: frozenset[str]
    denied_as: frozenset[str]
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("an AccessFilter is made by retrieval.acl.access_filter, from a verified Principal")

    @property
    def own_scope(self) -> PermissionScope:
        """Shared only with who goes by all of the same names."""
        return self.scope(self.grants, self.denied_as)

    def scope(self, allowing: Container[str], denying: Container[str]) -> PermissionScope:
        """Shared with all who differ only in names that no allow list and no deny list has."""
        grants = tuple(sorted(name for name in self.grants if name in allowing))
        return PermissionScope(self.tenant, grants, tuple(sorted(name for name in self.denied_as if name in denying)))

    def permits(self, access: Access) -> bool:
        """The whole access rule, in one place."""
        return (
            access.tenant == self.tenant
            and not self.grants.isdisjoint(access.allow)
            and self.denied_as.isdisjoint(access.deny)
        )


def access_filter(principal: Principal) -> AccessFilter:
    """Turn a verified caller into the filter under which everything is read for them."""
    own, groups = f"user:{principal.subject}", frozenset(f"group:{group}" for group in principal.groups)
    grants = groups | {own} if principal.by_name else groups
    return AccessFilter(principal.tenant, grants, grants | {own} | principal.denied_as, _SEAL)


def invalid_grants(grants: Iterable[str]) -> list[str]:
    """Those entries of an access list that could never match a caller, or that only look like another one.

    A name has no white space around it, nothing in it that is not printed, and is in Unicode's composed form (NFC):
    nobody sees the difference.
    """
    return [grant for grant in grants if not _is_grant(grant)]


def is_tenant(name: str) -> bool:
    """Whether somebody can be of a tenant of this name; `*` is how administrators call all of them."""
    return bool(name) and _is_plain(name) and name != EVERY_TENANT


def _is_grant(grant: str) -> bool:
    kind, _, name = grant.partition(":")
    return kind in ("user", "group") and bool(name) and _is_plain(name)


def _is_plain(name: str) -> bool:
    return name == name.strip() and name.isprintable() and unicodedata.is_normalized("NFC", name)
