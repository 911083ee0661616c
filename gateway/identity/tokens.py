"""Tokens and keys as they come, by joserfc: what does not verify is refused before any of it is believed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import urlsafe_b64decode

from gateway.identity.claims import refused
from gateway.identity.config import IssuerConfig

Key: TypeAlias = RSAKey | ECKey | OKPKey
Keys: TypeAlias = Mapping[tuple[str, str], Key]
_LONGEST, _MOST_KEYS, _REMEMBERED_SECONDS = 16_384, 100, 3_600.0
_TYPES: Final = ("", "jwt", "at+jwt")
# What a header may say. Anything else would have us do something: fetch a key, take one along, know an extension.
_HEADER: Final = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
_PUBLIC: Final = ("kty", "kid", "alg", "use", "key_ops", "n", "e", "crv", "x", "y")
_RSA_DIGITS: Final = range(342, 1_367)  # of a modulus in base64url: 2048 to 8192 bits
_KEY_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class KeysUnusable(Exception):
    """What came is no set of keys, or has none that verifies a token."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """A token that has been read and not been checked: good for finding the key that it has to verify with."""

    token: str = field(repr=False)
    key: tuple[str, str]
    algorithm: str
    type: str
    issuer: str
    claims: Mapping[str, Any] = field(repr=False)


def is_token(bearer: str) -> bool:
    """Whether it has the form of a signed token; no API key has."""
    return bearer.count(".") == 2


def read_token(token: str) -> Unverified:
    """Take a token apart; Unauthenticated when it is none, or its header asks for more than a look at the signature."""
    if len(token) > _LONGEST or not token.isascii() or not is_token(token):
        raise refused("it is no signed token (JWS), or longer than 16 KiB")
    head, body, _ = token.encode().split(b".")
    header, claims = _object(head), _object(body)
    named = [header.get(name, "") for name in ("alg", "kid", "typ")]
    if not header.keys() <= _HEADER or not all(isinstance(one, str) for one in header.values()):
        raise refused("its header has more than alg, kid, typ, x5t and x5t#S256")
    algorithm, kid, told = named
    issuer = claims.get("iss")
    if not kid or not isinstance(issuer, str):
        raise refused("it names no key (kid) or no issuer (iss)")
    kind = told.lower().removeprefix("application/")
    return Unverified(token, (kid, _KEY_TYPES.get(algorithm[:2], "")), algorithm, kind, issuer, claims)


def verify_token(read: Unverified, key: Key, config: IssuerConfig, now: float) -> float:
    """Check the signature and then issuer, audience and times; gives until when that holds, Unauthenticated if not."""
    try:
        jws.deserialize_compact(read.token, key, config.algorithms)
    except (JoseError, ValueError) as error:
        raise refused("its signature does not verify") from error
    claims = JWTClaimsRegistry(
        now=int(now),
        leeway=config.leeway,
        iss={"essential": True, "value": config.issuer},
        aud={"essential": True, "values": config.audience},
        exp={"essential": True},
    )
    try:
        claims.validate(dict(read.claims))
    except ExpiredTokenError as error:
        raise refused("it has expired") from error
    except JoseError as error:
        raise refused("its issuer, its audience or one of its times does not hold") from error
    ends: float = read.claims["exp"] + config.leeway
    return min(ends, now + _REMEMBERED_SECONDS)


def right_kind(read: Unverified, config: IssuerConfig) -> bool:
    """Whether algorithm and type are on the issuer's lists: asked before any key is looked for."""
    types = _TYPES if config.types is None else [one.lower() for one in config.types]
    return read.algorithm in config.algorithms and read.type in types


def parse_keys(raw: bytes, known: Keys) -> Keys:
    """The public keys of a JWK set that verify signatures, by `kid` and type; a key that stays is the same object.

    What is no such key is left out: symmetric ones, short ones, those for encryption, those without a name.
    """
    try:
        listed = json.loads(raw)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise KeysUnusable("this is no JWK set") from error
    if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
        raise KeysUnusable(f"a JWK set is a list of at most {_MOST_KEYS} keys")
    found: dict[tuple[str, str], Key] = {}
    for one in listed:
        key = _key(one)
        if key is not None and key.kid:
            name = (key.kid, key.key_type)
            before = known.get(name)
            found.setdefault(name, before if before is not None and _same(before, key) else key)
    if not found:
        raise KeysUnusable("there is no key in it that verifies signatures and has a kid")
    return found


def _key(told: object) -> Key | None:
    if not isinstance(told, dict) or not _verifies(told):
        return None
    public = {name: told[name] for name in _PUBLIC if name in told}
    try:
        key = JWKRegistry.import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None if isinstance(key, OctKey) else key


def _verifies(told: Mapping[str, Any]) -> bool:
    """Its use, or what may be done with it, says so or nothing."""
    long_enough = told.get("kty") != "RSA" or (isinstance(told.get("n"), str) and len(told["n"]) in _RSA_DIGITS)
    may = told.get("key_ops")
    return (
        long_enough and told.get("use", "sig") == "sig" and (may is None or (isinstance(may, list) and "verify" in may))
    )


def _same(one: Key, other: Key) -> bool:
    return one.as_dict(private=False) == other.as_dict(private=False)


def _object(segment: bytes) -> dict[str, Any]:
    """A JSON object in base64url; a name that is there twice would be read one way here and another way elsewhere."""
    try:
        found = json.loads(urlsafe_b64decode(segment).decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise refused("its header or its claims are no JSON object") from error
    if not isinstance(found, dict):
        raise refused("its header or its claims are no JSON object")
    return found


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len(made := dict(pairs)) != len(pairs):
        raise ValueError("a name is there twice")
    return made


def _no_constant(told: str) -> None:
    raise ValueError(f"{told} is no JSON")
