"""What a request says of who sends it, and for whom: read from its headers, and believed nowhere yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.errors import Invalid, Unauthenticated
from retrieval.acl import invalid_grants

USER: Final = "x-twinpin-user-token"
SUBJECT: Final = "x-twinpin-subject"
GROUPS: Final = "x-twinpin-groups"
MOST_GROUPS: Final = 1_000
_READ = frozenset({"authorization", USER, SUBJECT, GROUPS})


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody whom an app names by itself."""

    subject: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Credentials:
    """The bearer's own secret, and for an app that asks for somebody either their token or their name."""

    bearer: str = field(repr=False)
    user_token: str | None = field(default=None, repr=False)
    named: Named | None = None


def credentials(headers: Mapping[str, str]) -> Credentials:
    """Read them; Unauthenticated without a bearer, Invalid where the rest cannot be meant."""
    sent = _sent(headers)
    scheme, _, bearer = sent.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not bearer.strip():
        raise Unauthenticated("send your API key or token as `Authorization: Bearer <key>`")
    token = sent.get(USER)
    if token is not None and SUBJECT in sent:
        raise Invalid(f"{SUBJECT}: send the user's token or their name, not both", param=SUBJECT)
    if GROUPS in sent and SUBJECT not in sent:
        raise Invalid(f"{GROUPS}: name the user they are of, in {SUBJECT}", param=GROUPS)
    return Credentials(bearer.strip(), token, _named(sent))


def _sent(headers: Mapping[str, str]) -> dict[str, str]:
    """A header that is sent twice may have been put there by two: nobody knows which of them to believe."""
    sent: dict[str, str] = {}
    for name, value in headers.items():
        if name in _READ:
            if name in sent:
                raise Invalid(f"{name}: send this header once", param=name)
            sent[name] = value
    return sent


def _named(sent: Mapping[str, str]) -> Named | None:
    if SUBJECT not in sent:
        return None
    groups = [_unescaped(GROUPS, one) for one in sent.get(GROUPS, "").split(",") if one.strip()]
    if len(groups) > MOST_GROUPS:
        raise Invalid(f"{GROUPS}: name at most {MOST_GROUPS} groups", param=GROUPS)
    subject = _unescaped(SUBJECT, sent[SUBJECT])
    for header, grants in ((SUBJECT, [f"user:{subject}"]), (GROUPS, [f"group:{one}" for one in groups])):
        if invalid_grants(grants):
            raise Invalid(f"{header}: this is a name that no access list can hold", param=header)
    return Named(subject, frozenset(groups))


def _unescaped(header: str, value: str) -> str:
    """Names are UTF-8, percent-encoded where they hold a comma, a percent sign or anything beyond ASCII."""
    try:
        return unquote_to_bytes(value.strip().encode("latin-1")).decode()
    except ValueError as error:
        raise Invalid(f"{header}: percent-encode names that are not ASCII as UTF-8", param=header) from error
