"""A document as somebody hands it in, and what is refused of it before anything is read."""

import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

import msgspec

from retrieval.acl import Access, invalid_grants
from retrieval.errors import AccessMissing, DocumentRefused, SupersedesItself

LONGEST_ID = 1024  # bytes: databases index no longer keys
_LONGEST_FIELD = 2000


@dataclass(frozen=True, slots=True)
class NewDocument:
    """`name` is a file name and chooses the parser, `origin` names the source that alone may change it from now on.

    What is left open here is read from the document itself, but for access and `supersedes`.
    """

    id: str
    name: str
    raw: bytes
    access: Access
    origin: str
    title: str | None = None
    source: str | None = None
    category: str | None = None
    updated: date | None = None
    expires: date | None = None
    supersedes: str | None = None


def given_digest(new: NewDocument) -> str:
    """Over the description as it was given: what did not change needs no parsing to be known unchanged."""
    described = (new.name, new.title, new.source, new.category, new.updated, new.expires, new.supersedes)
    return hashlib.sha256(msgspec.json.encode(described)).hexdigest()


def require_valid(new: NewDocument) -> None:
    """DocumentRefused, AccessMissing or SupersedesItself, each naming the field and what to do."""
    _require_id(new.id, "id")
    _require_plain(new.access.tenant, "tenant")
    _require_plain(new.origin, "origin")
    _require_access(new)
    for field in ("title", "category", "name"):
        value = getattr(new, field)
        if value is not None:
            _require_plain(value, field)
    if new.supersedes is not None:
        _require_id(new.supersedes, "supersedes")
        if new.supersedes == new.id:
            raise SupersedesItself(f"{new.id!r} supersedes itself, so nobody would see it")
    require_openable(new.source)


def require_openable(source: str | None) -> None:
    """Citations become links: nothing but a web address, or a path on whatever site shows them, may be one."""
    if source is None:
        return
    try:
        address = urlsplit(source)
    except ValueError as error:
        raise DocumentRefused(f"source: {source!r} is no URL") from error
    is_web = address.scheme in ("http", "https") and bool(address.hostname)
    is_path = not address.scheme and not source.startswith("//")
    if not is_plain(source) or "\\" in source or not (is_web or is_path):  # browsers take \\ for /, and so // from it
        raise DocumentRefused(f"source: {source!r} has to begin with https:// or http://, or be a path")


def _require_id(text: str, field: str) -> None:
    _require_plain(text, field)
    if len(text.encode()) > LONGEST_ID or any(part.strip() in ("", ".", "..") for part in text.split("/")):
        raise DocumentRefused(
            f"{field}: {text[:80]!r} is no document id: write it like a path, 'policies/refunds.md', "
            f"of at most {LONGEST_ID} bytes"
        )


def _require_access(new: NewDocument) -> None:
    if not new.access.allow:
        raise AccessMissing(f"access.allow: {new.id!r} has no readers: name groups or users, or delete it")
    if wrong := invalid_grants(sorted(new.access.allow | new.access.deny)):
        raise AccessMissing(
            f"access: {new.id!r} grants {wrong[0]!r}: write 'user:<subject>' or 'group:<name>', "
            "without white space around it and in composed characters (NFC)"
        )


def _require_plain(text: str, field: str) -> None:
    if not is_plain(text):
        raise DocumentRefused(
            f"{field}: {text[:80]!r} is empty, too long or not plain text: write printable, composed characters (NFC) "
            "without white space around them"
        )


def is_plain(text: str) -> bool:
    """Whether a name can be kept, compared and shown: neither empty nor too long, and nothing in it is unseen."""
    fits = 0 < len(text.encode()) <= _LONGEST_FIELD
    return fits and text == text.strip() and text.isprintable() and unicodedata.is_normalized("NFC", text)
