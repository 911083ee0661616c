"""What leaves this process is sealed: nobody reads an answer without the secret, or finds it under another name."""

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12


class SealBroken(Exception):
    """The bytes were not sealed with this secret, or under another name."""


class Sealer:
    """AES-256 in GCM. The name is sealed with the bytes and not in them, so that one cannot pass for another."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, name: str, value: bytes) -> bytes:
        """Bytes that only `unseal` under the same name opens."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, name.encode())

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """What was sealed under this name; SealBroken for anything else."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken("an answer does not open: its bytes were changed, or are another's") from error
