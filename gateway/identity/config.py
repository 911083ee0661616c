"""Reads the identity file: which issuers' tokens count, and what their claims mean here."""

from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
import yaml

from deploy.keys import SCOPES
from retrieval.acl import invalid_grants, is_tenant

# All of them asymmetric: what verifies a token can make none.
Algorithm: TypeAlias = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519"
]
ClaimPath: TypeAlias = str | list[str]
GIVEN: Final = SCOPES - {"act-as"}
USUAL: Final = ("ask", "search", "feedback")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class IdentityError(Exception):
    """The identity file is not there or not valid; its text says what is to be changed."""


class SubjectClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose name it is: a claim, and what goes in front of it so that two issuers do not share names."""

    claim: ClaimPath = "sub"
    prefix: str = ""


class TenantClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tenant for all of an issuer's tokens, or the claim that names it: one of `among`, where that is given."""

    fixed: str | None = None
    claim: ClaimPath | None = None
    rename: dict[str, str] = {}  # msgspec gives each its own
    among: list[str] | None = None


class GroupsClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A claim with names of groups. Those in `among` count, or all; they are renamed, or get the prefix."""

    claim: ClaimPath = "groups"
    among: list[str] | None = None
    rename: dict[str, str] = {}
    prefix: str = ""


class ScopesClaim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Scopes by a claim's words and by groups as they are called here; `default` where these give none.

    A word gives what it is renamed to, or itself if it is in `among`: whoever fills the claim gives no other scope.
    """

    claim: ClaimPath | None = None
    among: tuple[str, ...] = USUAL
    rename: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    default: tuple[str, ...] = USUAL


class IssuerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An issuer, and where its keys are: at a URL, in a file, or where its own discovery document says.

    `types` are the values of `typ` that count, by default none, JWT and at+jwt; `leeway` and `refresh` are seconds.
    """

    issuer: str
    audience: Annotated[list[str], msgspec.Meta(min_length=1)]
    tenant: TenantClaim
    jwks_url: str | None = None
    jwks_file: str | None = None
    algorithms: Annotated[tuple[Algorithm, ...], msgspec.Meta(min_length=1)] = ("RS256", "ES256")
    types: Annotated[list[str], msgspec.Meta(min_length=1)] | None = None
    leeway: Annotated[int, msgspec.Meta(ge=0, le=300)] = 30
    refresh: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 300
    subject: SubjectClaim = SubjectClaim()
    groups: GroupsClaim = GroupsClaim()
    scopes: ScopesClaim = ScopesClaim()


class IdentityConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    issuers: Annotated[list[IssuerConfig], msgspec.Meta(min_length=1)]


def parse_identity(raw: bytes, path: Path) -> IdentityConfig:
    """The content of the identity file, whole and valid; relative names of key files are made those beside it."""
    try:
        config = msgspec.convert(yaml.safe_load(raw.decode()), IdentityConfig)
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise IdentityError(f"{path.name!r} is not valid: {error}") from error
    names = [one.issuer for one in config.issuers]
    if twice := {name for name in names if names.count(name) > 1}:
        raise IdentityError(f"{path.name!r} names the issuer {min(twice)!r} twice: give it one entry")
    for one in config.issuers:
        if wrong := _wrong_with(one):
            raise IdentityError(f"{path.name!r}, issuer {one.issuer!r}: {wrong}")
    return IdentityConfig([_placed(one, path.parent) for one in config.issuers])


def read_identity(path: Path) -> bytes:
    """The file's content, whatever it is worth."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdentityError(f"the identity file {path.name!r} cannot be read: {error.strerror}") from error


def safe_url(url: str) -> bool:
    """Whether keys may come from there: nobody on the way can change what https brings, nor what this machine has.

    It is logged, so that no password may be in it.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.hostname is None or parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _placed(one: IssuerConfig, folder: Path) -> IssuerConfig:
    return one if one.jwks_file is None else msgspec.structs.replace(one, jwks_file=str(folder / one.jwks_file))


def _wrong_with(one: IssuerConfig) -> str | None:
    tenant, scopes = one.tenant, one.scopes
    by_group = (scope for some in scopes.groups.values() for scope in some)
    given = {*scopes.among, *scopes.default, *scopes.rename.values(), *by_group}
    groups = (*one.groups.rename.values(), f"{one.groups.prefix}x")
    names = [f"user:{one.subject.prefix}x", *(f"group:{name}" for name in groups)]
    if one.jwks_url is not None and one.jwks_file is not None:
        return "name jwks_url or jwks_file, not both"
    if one.jwks_file is None and not safe_url(one.jwks_url or one.issuer):
        return "keys come by https, with no password in the URL: name a jwks_url, a jwks_file or such an issuer"
    if (tenant.fixed is None) == (tenant.claim is None):
        return "say whose tenant its people are: tenant.fixed or tenant.claim"
    if tenant.fixed is not None and (tenant.rename or tenant.among is not None or not is_tenant(tenant.fixed)):
        return "tenant.fixed is one name, without rename and among"
    if unknown := given - GIVEN:
        return f"scopes has {min(unknown)!r}: choose from {', '.join(sorted(GIVEN))}"
    if wrong := invalid_grants(names):
        return f"it makes {wrong[0]!r}, which no access list can hold"
    return None
