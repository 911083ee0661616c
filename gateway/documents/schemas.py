"""What callers may send about documents, field by field, and how it becomes a NewDocument."""

import binascii
import re
import unicodedata
from datetime import date
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from gateway.schemas import Strict
from retrieval.acl import Access, invalid_grants
from retrieval.errors import DocumentRefused
from retrieval.newdocument import LONGEST_ID, NewDocument, require_openable

API = "api"
MOST_DOCUMENTS = 1_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MARKDOWN = (".md", ".markdown")


def storable_id(given: str) -> str:
    """What can name a document at all; ValueError otherwise."""
    if not 1 <= len(given) <= LONGEST_ID or "\0" in given:
        raise ValueError(f"an id has 1 to {LONGEST_ID} characters, none of them NUL")
    return given


def new_id(given: str) -> str:
    """The id of what is new: one that looks like what it is, and that nothing rewrites on its way."""
    if any(part.strip() in ("", ".", "..") for part in _plain(storable_id(given)).split("/")):
        raise ValueError("write an id like a path: parts between slashes, none of them empty, '.' or '..'")
    return given


def _plain(given: str) -> str:
    if not given.isprintable() or given != given.strip() or not unicodedata.is_normalized("NFC", given):
        raise ValueError("write printable, composed characters (NFC) without white space around them")
    return given


def _file_name(given: str) -> str:
    if "/" in given or "\\" in given:
        raise ValueError("write the file's own name, without folders")
    return given


def _grant(given: str) -> str:
    if invalid_grants([given]) or not given.isprintable():
        raise ValueError(
            "write 'user:<subject>' or 'group:<name>', without white space around it and in composed characters (NFC)"
        )
    return given


def _day(given: object) -> object:
    """A day and nothing else: a number would be read as seconds since 1970."""
    if not isinstance(given, str) or not _DAY.fullmatch(given):
        raise ValueError("write a day as YYYY-MM-DD")
    return given


def _openable(given: str) -> str:
    try:
        require_openable(given)
    except DocumentRefused as error:
        raise ValueError("a source begins with https:// or http://, or is a path: citations become links") from error
    return given


def _words(given: str) -> str:
    if "\0" in given or not given.strip():
        raise ValueError("a text has some words, and no NUL")
    return given


def _bytes(given: object) -> bytes:
    if not isinstance(given, str):
        raise ValueError("write the file's bytes as a string of base64")  # noqa: TRY004 - pydantic reads ValueError
    try:
        return binascii.a2b_base64(given, strict_mode=True)
    except binascii.Error as error:
        raise ValueError("this is not base64: write the standard alphabet, padded, without line breaks") from error


Id = Annotated[str, AfterValidator(new_id)]
Plain = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_plain)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=2_000), AfterValidator(_plain)]
Address = Annotated[
    str, StringConstraints(min_length=1, max_length=16_384), AfterValidator(_plain), AfterValidator(_openable)
]
Grant = Annotated[str, StringConstraints(max_length=512), AfterValidator(_grant)]
Grants = Annotated[list[Grant], Field(max_length=1_000)]
Day = Annotated[date, BeforeValidator(_day)]


class AccessBody(Strict):
    """Who may see a new document; without a tenant it is the caller's."""

    tenant: Plain | None = None
    allow: Annotated[Grants, Field(min_length=1)]
    deny: Grants = Field(default_factory=list)


class FileBody(Strict):
    """A file in base64; its name chooses the parser."""

    name: Annotated[Plain, AfterValidator(_file_name)]
    content: Annotated[bytes, BeforeValidator(_bytes)]


class DocumentBody(Strict):
    """`PUT /v1/documents/{id}`: Markdown as `text`, or a file."""

    id: Id | None = None
    title: Title | None = None
    text: Annotated[str, AfterValidator(_words)] | None = None
    file: FileBody | None = None
    source: Address | None = None
    category: Plain | None = None
    updated: Day | None = None
    expires: Day | None = None
    supersedes: Id | None = None
    origin: Plain = API
    access: AccessBody

    @model_validator(mode="after")
    def _one_content(self) -> "DocumentBody":
        if (self.text is None) == (self.file is None):
            raise ValueError("send either `text` or `file`")
        return self

    def new(self, document: str, tenant: str) -> NewDocument:
        """The same as retrieval takes it in."""
        name, raw = (self.file.name, self.file.content) if self.file else (_named(document), (self.text or "").encode())
        return NewDocument(
            id=document,
            name=name,
            raw=raw,
            access=Access(tenant, frozenset(self.access.allow), frozenset(self.access.deny)),
            origin=self.origin,
            title=self.title,
            source=self.source,
            category=self.category,
            updated=self.updated,
            expires=self.expires,
            supersedes=self.supersedes,
        )


class NamedDocumentBody(DocumentBody):
    """One of many: its id is in the body."""

    id: Id


class BulkBody(Strict):
    """`POST /v1/documents`."""

    documents: Annotated[list[NamedDocumentBody], Field(min_length=1, max_length=MOST_DOCUMENTS)]


class GrantBody(Strict):
    """`PATCH /v1/documents/{id}/access`: both lists as they are to be, so that none is kept or lost unseen."""

    allow: Grants
    deny: Grants


class RevertBody(Strict):
    """`POST /v1/documents/{id}/revert`: to a version of the history, or to the one before."""

    to: Plain | None = None


class Nothing(Strict):
    """A body without fields."""


class Addressing(Strict):
    """The query of every route about documents; naming another tenant than the caller's needs the scope `admin`."""

    tenant: Plain | None = None


class Deleting(Addressing):
    """The query of `DELETE /v1/documents/{id}`."""

    erase: bool = False


class Listing(Addressing):
    """The query of `GET /v1/documents`; `after` is the `next` of the page before."""

    origin: Plain | None = None
    category: Plain | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    after: Annotated[str, StringConstraints(max_length=4_096)] | None = None


def _named(document: str) -> str:
    """A file name for Markdown that came without one."""
    name = PurePosixPath(document).name
    return name if name.lower().endswith(_MARKDOWN) else f"{name}.md"
