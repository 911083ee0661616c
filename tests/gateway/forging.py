"""Tokens that somebody without an issuer's key could make, and tokens of the issuer that are not for this gateway."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

from joserfc.util import urlsafe_b64encode

from tests.gateway.issuer import Issuer, Key, made, segment, signed

Forged: TypeAlias = tuple[str, str]
_HOLES = ["\u0430na", " ana", "ana\x00", "an\u200ba", "ana\u202e", "", "a\x1fgroup:hr"]


def forgeries(issuer: Issuer, other: Issuer) -> Iterator[Forged]:
    """All of them, by name. `other` is an issuer that counts too, for another audience."""
    yield from _without_signature(issuer)
    yield from _by_a_public_key(issuer)
    yield from _by_another_key(issuer, other)
    yield from _claims(issuer, other)
    yield from _tampered(issuer)
    yield from _key_ids(issuer)
    yield from _headers(issuer)
    yield from _shapes(issuer)


def _header(issuer: Issuer, **changed: Any) -> dict[str, Any]:
    told = {"alg": issuer.keys["first"][0], "kid": "first", "typ": "JWT", **changed}
    return {name: value for name, value in told.items() if value is not None}


def _properly(issuer: Issuer, header: Any, claims: Any) -> str:
    """Signed with the issuer's own key: only what is said is wrong."""
    algorithm, key = issuer.keys["first"]
    return signed(header, claims, key, algorithm)


def _without_signature(issuer: Issuer) -> Iterator[Forged]:
    begin, _, signature = issuer.token().rpartition(".")
    for algorithm in ("none", "None", "NONE", "nOnE", "none ", "", "null"):
        head = segment(_header(issuer, alg=algorithm)).decode()
        for name, end in (("none", ""), ("an old one", signature), ("some bytes", "AAAA")):
            yield f"alg {algorithm!r} with {name} for a signature", f"{head}.{begin.partition('.')[2]}.{end}"
    yield "no signature", f"{begin}."
    yield "no signature and no dot", begin


def _by_a_public_key(issuer: Issuer) -> Iterator[Forged]:
    """An HMAC keyed with what everybody knows."""
    for kid, (_, key) in issuer.keys.items():
        public = key.as_dict(private=False)
        known = {
            "PEM": key.as_pem(private=False),
            "PEM without its end": key.as_pem(private=False).strip(),
            "DER": key.as_der(private=False),
            "JWK": json.dumps(public).encode(),
            "JWK without spaces": json.dumps(public, separators=(",", ":")).encode(),
            "one of its numbers": str(public.get("n", public.get("x"))).encode(),
            "kid": kid.encode(),
        }
        for name, secret in known.items():
            for algorithm in ("HS256", "HS384", "HS512"):
                header = _header(issuer, alg=algorithm, kid=kid)
                begin = segment(header) + b"." + segment(issuer.claims())
                signature = hmac.digest(secret, begin, f"sha{algorithm[2:]}")
                yield f"{algorithm} by the {name} of {kid}", (begin + b"." + urlsafe_b64encode(signature)).decode()


def _by_another_key(issuer: Issuer, other: Issuer) -> Iterator[Forged]:
    strangers: dict[str, Key] = {
        "RS256": made("RSA", 9),
        "RS384": made("RSA", 9),
        "RS512": made("RSA", 9),
        "PS256": made("RSA", 9),
        "ES256": made("P-256", 9),
        "ES384": made("P-384", 9),
        "ES512": made("P-521", 9),
        "Ed25519": made("Ed25519", 9),
    }
    for algorithm, key in strangers.items():
        for kid in issuer.keys:
            header = _header(issuer, alg=algorithm, kid=kid)
            yield f"{algorithm} by a stranger's key as {kid}", signed(header, issuer.claims(), key, algorithm)
    foreign, theirs = other.keys["first"]
    yield "by another issuer's key", signed(_header(issuer, alg=foreign), issuer.claims(), theirs, foreign)
    first, second = issuer.keys["first"], issuer.keys["second"]
    for name, (label, by) in {"first as second": ("second", first), "second as first": ("first", second)}.items():
        yield f"{name}, its own algorithm", signed(_header(issuer, alg=by[0], kid=label), issuer.claims(), by[1], by[0])
        told = issuer.keys[label][0]
        yield (
            f"{name}, the other's algorithm",
            signed(_header(issuer, alg=told, kid=label), issuer.claims(), by[1], by[0]),
        )
    for algorithm in ("RS384", "RS512", "PS256", "PS384", "PS512"):
        header = _header(issuer, alg=algorithm, kid="second")
        yield f"{algorithm}, which is not listed", signed(header, issuer.claims(), second[1], algorithm)


def _claims(issuer: Issuer, other: Issuer) -> Iterator[Forged]:
    now = int(time.time())
    url = issuer.url
    wrong: dict[str, list[Any]] = {
        "iss": [
            f"{url}/",
            url.upper(),
            url.replace("http", "https"),
            f"{url} ",
            "",
            [url],
            {"a": url},
            7,
            None,
            other.url,
        ],
        "aud": [
            "Twinpin",
            "twinpin ",
            "twinpi",
            "other",
            "",
            [],
            ["other"],
            {"twinpin": 1},
            7,
            True,
            None,
            ["twinpin", 7],
        ],
        "exp": [now - 60, 0, -1, str(now + 600), True, [now + 600], {}, None, 1e-9],
        "nbf": [now + 600, str(now), True, [now], 10**30],
        "iat": [now + 600, str(now), False, {}, 10**30],
        "sub": [*_HOLES[1:], None, 7, ["ana"], {"id": "ana"}],
        "groups": [7, [7], {"staff": 1}, [["staff"]], [None], True, [f"g{n}" for n in range(1_200)]],
    }
    for name, values in wrong.items():
        for number, value in enumerate(values):
            yield (
                f"{name} {number}: {str(value)[:20]!r}",
                _properly(issuer, _header(issuer), issuer.claims(**{name: value})),
            )


def _tampered(issuer: Issuer) -> Iterator[Forged]:
    token = issuer.token()
    head, body, signature = token.split(".")
    for claims in ({"sub": "root"}, {"groups": ["hr"]}, {"exp": 9_999_999_999}, {"iss": issuer.url}):
        changed = segment({**issuer.claims(), "jti": "1", **claims}).decode()
        yield f"claims changed to {claims}", f"{head}.{changed}.{signature}"
    for place in range(0, len(token), 11):
        if token[place] != ".":
            other = "A" if token[place] != "A" else "B"
            yield f"character {place} changed", f"{token[:place]}{other}{token[place + 1 :]}"
    yield "signature of another token", f"{head}.{body}.{issuer.token(jti='2').split('.')[2]}"
    yield "signature twice", f"{head}.{body}.{signature}{signature}"
    yield "signature of zeros", f"{head}.{body}.{urlsafe_b64encode(bytes(64)).decode()}"
    raw = base64.urlsafe_b64decode(signature + "==")
    yield "signature with its halves exchanged", f"{head}.{body}.{urlsafe_b64encode(raw[32:] + raw[:32]).decode()}"


def _key_ids(issuer: Issuer) -> Iterator[Forged]:
    stranger = made("P-256", 9)
    kids: list[Any] = ["", None, 7, True, ["first"], {"kid": "first"}, "FIRST", "first ", "first\x00", "0", "third"]
    kids += ["../../../../dev/null", "file:///dev/null", "' OR 1=1 --", "| whoami", "https://evil.example/k", "a" * 400]
    for kid in kids:
        yield f"kid {str(kid)[:30]!r}", signed(_header(issuer, kid=kid), issuer.claims(), stranger, "ES256")
    for kid in ("first ", "FIRST", "third", None, 7):
        yield f"own key as {kid!r}", _properly(issuer, _header(issuer, kid=kid), issuer.claims())


def _headers(issuer: Issuer) -> Iterator[Forged]:
    stranger = made("P-256", 9)
    public = {**stranger.as_dict(private=False), "kid": "mine"}
    brought: dict[str, dict[str, Any]] = {
        "jwk": {"jwk": public},
        "jwk, and its kid": {"jwk": public, "kid": "mine"},
        "jwk, and no kid": {"jwk": public, "kid": None},
        "jku": {"jku": "https://evil.example/keys", "kid": "mine"},
        "x5u": {"x5u": "https://evil.example/cert"},
        "x5c": {"x5c": ["MIIB"]},
        "crit": {"crit": ["exp"], "exp": 1},
        "crit of nothing": {"crit": []},
        "b64": {"b64": False, "crit": ["b64"]},
        "zip": {"zip": "DEF"},
        "cty": {"cty": "JWT"},
        "enc": {"enc": "A256GCM"},
        "nonce": {"nonce": "1"},
        "alg as a list": {"alg": ["ES256"]},
        "typ as a number": {"typ": 7},
        **{
            f"typ {one}": {"typ": one}
            for one in ("JWE", "logout+jwt", "secevent+jwt", "dpop+jwt", "JOSE", "JWT ", "at")
        },
    }
    for name, changed in brought.items():
        header = _header(issuer, **changed)
        yield f"{name}, by a stranger", signed(header, issuer.claims(), stranger, "ES256")
        yield f"{name}, by the issuer", _properly(issuer, header, issuer.claims())
    yield "alg twice", _properly(issuer, b'{"alg":"none","alg":"ES256","kid":"first","typ":"JWT"}', issuer.claims())
    yield "kid twice", _properly(issuer, b'{"alg":"ES256","kid":"x","kid":"first","typ":"JWT"}', issuer.claims())
    for raw in (b"[]", b'"ES256"', b"null", b"{", b"", b"\xff", b"\xef\xbb\xbf{}", b"[" * 3_000):
        yield f"header {raw[:8]!r}", _properly(issuer, raw, issuer.claims())


def _shapes(issuer: Issuer) -> Iterator[Forged]:
    token = issuer.token()
    head, body, signature = token.split(".")
    for length in range(1, len(token) - 1, len(token) // 12):
        yield f"the first {length} characters", token[:length]
    yield from {
        "four parts": f"{token}.{signature}",
        "five parts, as if encrypted": f"{head}..{body}.{signature}.{signature}",
        "no claims": f"{head}..{signature}",
        "no header": f".{body}.{signature}",
        "dots alone": "..",
        "padding": f"{head}==.{body}==.{signature}==",
        "another alphabet": f"{head}.{body}.{signature}+/",
        "a space within": f"{head}. {body}.{signature}",
        "something behind": f"{token}~",
        "letters beyond ASCII": f"{head}.{body}.{signature[:-1]}é",
        "wide letters": f"{head}.{body}.{signature[:-1]}\u00ff",
        "JSON": json.dumps({"protected": head, "payload": body, "signature": signature}),
        "huge": f"{head}.{'A' * 100_000}.{signature}",
        "huge and signed": _properly(issuer, _header(issuer), issuer.claims(more="a" * 20_000)),
        "three in one": ",".join([token] * 3),
    }.items()
    claims = json.dumps(issuer.claims())[1:]
    payloads = {
        "sub twice": b'{"sub":"root",' + claims.encode(),
        "groups twice": b'{"groups":["hr"],' + claims.encode(),
        "a name twice further in": b'{"a":{"b":1,"b":2},' + claims.encode(),
        "NaN for a time": claims.replace('"exp":', '"exp": NaN, "was":').join(["{", ""]).encode(),
        "Infinity for a time": claims.replace('"exp":', '"exp": Infinity, "was":').join(["{", ""]).encode(),
        "a time beyond floats": claims.replace('"exp":', '"exp": 1e999, "was":').join(["{", ""]).encode(),
        "a number without end": b'{"n":' + b"9" * 5_000 + b"," + claims.encode(),
        "lists without end": b'{"n":' + b"[" * 5_000 + b"," + claims.encode(),
        "UTF-16": ("{" + claims).encode("utf-16"),
        "a mark before it": b"\xef\xbb\xbf{" + claims.encode(),
        "bytes that are no text": b'{"x":"\xff",' + claims.encode(),
        "a list": b"[" + json.dumps(issuer.claims()).encode() + b"]",
        "a text": b'"ana"',
        "nothing": b"",
        "null": b"null",
    }
    for name, raw in payloads.items():
        yield f"claims: {name}", _properly(issuer, _header(issuer), raw)
