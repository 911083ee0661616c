"""What answers are held under: a keyed digest over every input that decides one, in which no word can be read."""

import hashlib
import hmac
import unicodedata
from dataclasses import fields
from datetime import date
from typing import Any, Final

import msgspec

from gateway.answers.exchange import Asked
from gateway.release import ResolvedPins
from retrieval.acl import PermissionScope

_EDITION: Final = 1  # raise it with whatever changes answers and stands in no version: what was kept is not found again
_DECIDES_NOTHING: Final = frozenset({"conversation", "user"})
_APART: Final = frozenset({"question", "max_tokens"})
_AS_THEY_ARE: Final = tuple(one.name for one in fields(Asked) if one.name not in _DECIDES_NOTHING | _APART)
# lengths stand before all that is variable, and an order of fields that somebody gave is kept: a schema's decides
_encode = msgspec.msgpack.Encoder().encode


class Names:
    """Names under one secret: whoever has it too can tell which questions were asked, so it stays in the gateways."""

    def __init__(self, secret: bytes) -> None:
        self._key = _derived(secret, "names")
        self.sealing_key = _derived(secret, "sealing")

    def answer(self, asked: Asked, scope: PermissionScope, pins: ResolvedPins, today: date) -> str:
        """The same for questions that a cold run would answer the same, while the tenant's catalog does not change.

        The day is one of the inputs: documents expire, and grow old. A field that questions get is one by itself.
        """
        index, manifest = pins.index_version, pins.model_version.manifest
        return self._named(
            "answer",
            _EDITION,
            scope.tenant,
            scope.grants,
            scope.denied_as,
            pins.index,
            index.calibration,
            pins.model,
            today,
            normalised(asked.question),
            min(asked.max_tokens or manifest.answer_tokens, manifest.answer_tokens),
            [getattr(asked, name) for name in _AS_THEY_ARE],
        )

    def tenant(self, tenant: str) -> str:
        """What a tenant is called where others may look."""
        return self._named("tenant", tenant)

    def document(self, tenant: str, document: str) -> str:
        """What a document is called there."""
        return self._named("document", tenant, document)

    def _named(self, *inputs: Any) -> str:
        return hmac.new(self._key, _encode(inputs), hashlib.sha256).hexdigest()


def normalised(question: str) -> str:
    """A question without what nobody means by it: Unicode's form of a letter, and how much white space there is."""
    return " ".join(unicodedata.normalize("NFC", question).split())


def _derived(secret: bytes, purpose: str) -> bytes:
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()
