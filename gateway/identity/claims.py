"""What the claims of a verified token mean here: a tenant, a subject, groups and scopes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import Unauthenticated
from gateway.identity.config import ClaimPath, GroupsClaim, IssuerConfig, ScopesClaim, TenantClaim
from retrieval.acl import invalid_grants, is_tenant

MOST_GROUPS: Final = 1_000
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a token speaks for."""

    tenant: str
    subject: str
    groups: frozenset[str]
    scopes: frozenset[str]


def refused(reason: str) -> Unauthenticated:
    """A token that does not count, and why; its holder may know what is in it anyway."""
    return Unauthenticated(f"this token is not accepted: {reason}", code="invalid_token")


def person(claims: Mapping[str, Any], config: IssuerConfig) -> Person:
    """Read the claims as the issuer's entry says; a token that leaves open who it is counts for nobody."""
    groups = _groups(claims, config.groups)
    return Person(
        tenant=_tenant(claims, config.tenant),
        subject=config.subject.prefix + _name(claims, config.subject.claim),
        groups=groups,
        scopes=_scopes(claims, config.scopes, groups),
    )


def _tenant(claims: Mapping[str, Any], config: TenantClaim) -> str:
    if config.claim is None:
        return config.fixed or ""
    named = _name(claims, config.claim)
    if config.among is not None and named not in config.among:
        raise refused("its tenant is not one of those that this issuer speaks for")
    tenant = config.rename.get(named, named)
    if not is_tenant(tenant):
        raise refused("its tenant is no name of one")
    return tenant


def _groups(claims: Mapping[str, Any], config: GroupsClaim) -> frozenset[str]:
    """Names that no access list can hold let nobody in and keep nobody out. None are left out for their number:

    one that is missing might be one that is denied.
    """
    told = _words(claims, config.claim)
    if len(told) > MOST_GROUPS or _elsewhere(claims, config.claim):
        raise refused("it has too many groups: let its issuer send only those that matter here")
    meant = (config.rename.get(one, config.prefix + one) for one in told if config.among is None or one in config.among)
    return frozenset(one for one in meant if not invalid_grants([f"group:{one}"]))


def _scopes(claims: Mapping[str, Any], config: ScopesClaim, groups: frozenset[str]) -> frozenset[str]:
    """A claim may hold scopes of other products too, in a list or between spaces."""
    said = [word for one in _words(claims, config.claim) for word in one.split()] if config.claim else []
    by_claim = {config.rename.get(word, word) for word in said if word in config.rename or word in config.among}
    by_group = {scope for group in groups for scope in config.groups.get(group, ())}
    return frozenset(by_claim | by_group or config.default)


def _name(claims: Mapping[str, Any], path: ClaimPath) -> str:
    found = _at(claims, path)
    if not isinstance(found, str) or invalid_grants([f"user:{found}"]):
        raise refused(f"its claim {_told(path)} is missing, or is no name")
    return found


def _words(claims: Mapping[str, Any], path: ClaimPath) -> Sequence[str]:
    found = _at(claims, path)
    if found is _ABSENT:
        return ()
    words = [found] if isinstance(found, str) else found
    if not isinstance(words, list) or not all(isinstance(one, str) for one in words):
        raise refused(f"its claim {_told(path)} is no list of names")
    return words


def _at(claims: Mapping[str, Any], path: ClaimPath) -> Any:
    found: Any = claims
    for name in _steps(path):
        if not isinstance(found, dict) or name not in found:
            return _ABSENT
        found = found[name]
    return found


def _elsewhere(claims: Mapping[str, Any], path: ClaimPath) -> bool:
    """Whether the issuer only says where the claim could be fetched, as some do when a user has many groups."""
    names = claims.get("_claim_names")
    return isinstance(names, dict) and _steps(path)[0] in names


def _steps(path: ClaimPath) -> Sequence[str]:
    return path.split(".") if isinstance(path, str) else path


def _told(path: ClaimPath) -> str:
    return repr(path if isinstance(path, str) else "/".join(path))
