"""An identity provider here: the keys it publishes, how often it is asked for them, and tokens of any kind."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode

Key: TypeAlias = RSAKey | ECKey | OKPKey
AUDIENCE = "twinpin"


@cache
def made(kind: str, number: int = 0) -> Key:
    """A private key, the same one each time it is asked for."""
    match kind:
        case "RSA":
            return RSAKey.generate_key(2048)
        case "Ed25519":
            return OKPKey.generate_key("Ed25519")
        case _:
            return ECKey.generate_key(kind)


def segment(told: object) -> bytes:
    """Part of a token: bytes as they are, anything else as JSON."""
    return urlsafe_b64encode(told if isinstance(told, bytes) else json.dumps(told).encode())


def signed(header: Mapping[str, Any] | bytes, claims: object, key: Key, algorithm: str) -> str:
    """A token that is signed so, whatever its header says."""
    begin = segment(header) + b"." + segment(claims)
    signature = JWSRegistry.algorithms[algorithm].sign(begin, key)
    return (begin + b"." + urlsafe_b64encode(signature)).decode()


@dataclass
class Issuer:
    """Publishes what is in `keys`; `answer` instead, where it is set. `asked` are the paths that it was asked for."""

    url: str = "https://login.example"
    keys: dict[str, tuple[str, Key]] = field(default_factory=lambda: {"first": ("ES256", made("P-256"))})
    answer: tuple[int, bytes] | None = None
    asked: list[str] = field(default_factory=list)
    wait: float = 0.0

    @property
    def fetched(self) -> int:
        """How many times the keys were."""
        return self.asked.count("/keys")

    def jwks(self) -> bytes:
        """The set, as it is published."""
        listed = [
            {**key.as_dict(private=False), "kid": kid, "alg": algorithm, "use": "sig"}
            for kid, (algorithm, key) in self.keys.items()
        ]
        return json.dumps({"keys": listed}).encode()

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of Ana, who is staff; None leaves one out."""
        now = int(time.time())
        told = {"iss": self.url, "aud": AUDIENCE, "sub": "ana", "groups": ["staff"], "iat": now, "nbf": now}
        return {name: value for name, value in {**told, "exp": now + 600, **changed}.items() if value is not None}

    def token(self, kid: str = "first", **changed: Any) -> str:
        """A good one, but for what is changed in its claims."""
        algorithm, key = self.keys[kid]
        return signed({"alg": algorithm, "kid": kid, "typ": "JWT"}, self.claims(**changed), key, algorithm)


@contextmanager
def served(issuer: Issuer) -> Iterator[Issuer]:
    """Publish by HTTP, on loopback; the issuer is called by that address then."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            time.sleep(issuer.wait)
            document = json.dumps({"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}).encode()
            status, body = issuer.answer or (200, issuer.jwks() if self.path == "/keys" else document)
            self.send_response(status)
            self.send_header("location", f"{issuer.url}/elsewhere")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *told: Any) -> None:
            """Nothing is."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            serving.join()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what somebody else does."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


def entry(issuer: Issuer, **fields: Any) -> dict[str, Any]:
    """Its entry in an identity file."""
    return {"issuer": issuer.url, "audience": [AUDIENCE], "tenant": {"fixed": "acme"}, **fields}


def write_identity(path: Path, *entries: Mapping[str, Any]) -> Path:
    """The file, changed in one go."""
    return write_raw(path, yaml.safe_dump({"issuers": list(entries)}).encode())


def write_raw(path: Path, raw: bytes) -> Path:
    """The same with any content."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(raw)
    draft.replace(path)
    return path
