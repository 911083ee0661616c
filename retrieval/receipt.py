"""Proof of an erasure: what was done in which store, signed so that nobody can change it unseen."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from retrieval.errors import ReceiptInvalid

_ALGORITHM = "Ed25519"
_RECEIPT = "erasure-receipt+jws"


@dataclass(frozen=True, slots=True)
class Erased:
    """What one store did: `scanned` bytes were searched for `sought` words of the document alone, `found` are left.

    `scanned` is None where nobody can look; what backups or logs of that store keep is gone on the day `until`. Of a
    document that was deleted before there are no words any more, and with nothing `sought` a scan proves nothing.
    """

    store: str
    done: str
    scanned: int | None
    found: int
    until: datetime | None
    sought: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """One erasure, complete: `sequence` is the tenant's change that took the document from all readers."""

    id: str
    tenant: str
    document: str
    sequence: int
    requested: datetime
    completed: datetime
    stores: tuple[Erased, ...]


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """`signature` is a compact JWS (Ed25519) whose payload is the receipt itself, for whoever has the public key."""

    receipt: Receipt
    signature: str


class Signer:
    """Signs with a key of its own, made on first use in a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def sign(self, receipt: Receipt) -> SignedReceipt:
        """Sign the receipt's canonical JSON."""
        return SignedReceipt(receipt, self.seal(msgspec.json.encode(receipt), _RECEIPT))

    def verify(self, signature: str) -> Receipt:
        """The receipt that was signed with this key; ReceiptInvalid when it was not, or was changed since."""
        try:
            return msgspec.json.decode(self.unseal(signature, _RECEIPT), type=Receipt)
        except msgspec.DecodeError as error:
            raise ReceiptInvalid("this is not a receipt of an erasure") from error

    def seal(self, payload: bytes, kind: str) -> str:
        """A compact JWS of any payload; its `typ` keeps one kind from being taken for another."""
        key = self._key()
        header = {"alg": _ALGORITHM, "kid": key.thumbprint(), "typ": kind}
        return jws.serialize_compact(header, payload, key, [_ALGORITHM])

    def unseal(self, signature: str, kind: str) -> bytes:
        """The payload that was signed with this key; ReceiptInvalid when it was not, or is of another kind."""
        try:
            signed = jws.deserialize_compact(signature, self._key(), [_ALGORITHM])
        except (JoseError, ValueError) as error:
            raise ReceiptInvalid(f"this {kind.partition('+')[0]} was not signed here, or was changed since") from error
        if signed.protected.get("typ") != kind:
            raise ReceiptInvalid(f"this was signed here, but not as a {kind.partition('+')[0]}")
        return signed.payload

    def public_key(self) -> str:
        """PEM, for those who check receipts elsewhere."""
        return self._key().as_pem(private=False).decode()

    def _key(self) -> OKPKey:
        if not self._path.exists():
            self._make()
        return OKPKey.import_key(self._path.read_bytes())

    def _make(self) -> None:
        """Two processes may come here at once; the first key stays."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(OKPKey.generate_key("Ed25519", private=True).as_pem(private=True))
        try:
            os.link(draft, self._path)
        except FileExistsError:
            return
        finally:
            draft.unlink()
