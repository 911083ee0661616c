"""One record: who is concerned, when, and four parts of JSON that can be erased and leave their digests."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import msgspec

Part: TypeAlias = Literal["facts", "person", "sources", "words"]
PARTS: Final[tuple[Part, ...]] = ("facts", "person", "sources", "words")
ABSENT = "-"
"""In place of a digest: there never was such a part."""
_NONCE_BYTES = 12


class Record(msgspec.Struct, frozen=True):
    """What is kept of one event. `about` is the id of the record that it comments on.

    `facts` hold numbers and names of versions; `person` what says who it was, `subject` with it; `sources` what was
    read, `documents` with it; `words` anything that somebody said. A `review` is wanted of some. There is no subject
    without a person and no document without sources: the digest of the one is that of the other.
    """

    id: str
    kind: str
    created: datetime
    tenant: str
    subject: str | None
    facts: str | None
    person: str | None = None
    sources: str | None = None
    words: str | None = None
    documents: tuple[str, ...] = ()
    about: str | None = None
    review: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it is stored, less what was erased: place `n` in a batch, and the digests as it was written.

    `digests` are of its parts, `digest` is what the chain is made of.
    """

    record: Record
    batch: int
    n: int
    digests: tuple[str, ...]
    digest: str


def part(fields: Mapping[str, Any]) -> str:
    """A part of a record. A nonce is in it, so that nobody guesses what was erased by trying digests."""
    return msgspec.json.encode({"nonce": secrets.token_urlsafe(_NONCE_BYTES), **fields}).decode()


def fields_of(written: str | None) -> dict[str, Any]:
    """What `part` was given; nothing where it is erased."""
    fields: dict[str, Any] = msgspec.json.decode(written) if written else {}
    fields.pop("nonce", None)
    return fields


def part_digests(record: Record) -> tuple[str, ...]:
    """A digest for each part, in the order of `PARTS`."""
    return tuple(_part_digest(record, name) for name in PARTS)


def changed_parts(kept: Kept) -> list[str]:
    """Parts that are there and are not what was written, and what is there without the part it goes with."""
    record = kept.record
    found = zip(PARTS, part_digests(record), kept.digests, strict=True)
    changed: list[str] = [name for name, now, then in found if now not in (then, ABSENT)]
    alone = {"subject": record.subject and not record.person, "documents": record.documents and not record.sources}
    return changed + [name for name, stands in alone.items() if stands]


def gone_parts(kept: Kept) -> set[Part]:
    """Parts that were written and are not there."""
    named = zip(PARTS, kept.digests, strict=True)
    return {name for name, then in named if then != ABSENT and getattr(kept.record, name) is None}


def digest_of(record: Record, digests: tuple[str, ...]) -> str:
    """The record's own digest; it stays what it is when parts are erased."""
    created = record.created.astimezone(UTC).isoformat(timespec="microseconds")
    whole = [record.id, record.kind, created, record.tenant, record.about, record.review, digests]
    return _sha256(msgspec.json.encode(whole))


def _part_digest(record: Record, name: Part) -> str:
    written: str | None = getattr(record, name)
    if written is None:
        return ABSENT
    beside = {"person": record.subject, "sources": record.documents}.get(name)
    return _sha256(msgspec.json.encode([name, beside, written]))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
