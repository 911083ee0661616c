"""What every source gives: documents with their access, whose bytes are read only when somebody asks for them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias
from urllib.parse import quote

from retrieval.acl import Access, invalid_grants
from retrieval.errors import AccessMissing, SourceError, SupersedesItself
from retrieval.ingest.sources.rules import ID, RULES_FILE, Rule
from retrieval.newdocument import NewDocument

LARGEST = 64 * 1024 * 1024
_OF_URLS = "%/:?#[]@!$&'()*+,;=~"


class Content(Protocol):
    """The bytes of one document, where they lie; blocking."""

    def version(self) -> str:
        """The digest of the bytes, without keeping them; SourceError when they cannot be read."""
        ...

    def read(self) -> bytes:
        """The bytes, 64 MiB at most; SourceError when they cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document and what rules and fields say of it. `rules` names the file to mend when they say too little.

    `flaw` is what keeps it from being taken in as it is; its access counts all the same, where that is whole.
    """

    id: str
    name: str
    origin: str
    rule: Rule
    content: Content
    rules: str = RULES_FILE
    flaw: str | None = None

    def access(self) -> Access:
        """Tenant and lists; AccessMissing when either is left open, or names somebody who cannot be."""
        if not self.rule.tenant or not self.rule.allow:
            missing = "tenant" if not self.rule.tenant else "allow list"
            raise AccessMissing(self.flaw or f"{self.id!r} has no {missing}: add a rule for it to {self.rules}")
        denied = self.rule.deny or []
        if wrong := invalid_grants([*self.rule.allow, *denied]):
            raise AccessMissing(
                f"{self.id!r} grants {wrong[0]!r}: write 'user:<subject>' or 'group:<name>', "
                "without white space around it and in composed characters (NFC)"
            )
        return Access(self.rule.tenant, frozenset(self.rule.allow), frozenset(denied))

    def url(self) -> str:
        """Where a reader opens it: the rules' `source` with the id in it, else the id; in either case a URL."""
        return quote((self.rule.source or ID).replace(ID, quote(self.id, safe="/")), safe=_OF_URLS)

    def described(self) -> NewDocument:
        """All of it but the bytes; AccessMissing, SupersedesItself, or SourceError for a flaw."""
        access, rule = self.access(), self.rule
        if rule.supersedes == self.id:
            raise SupersedesItself(f"{self.id!r} supersedes itself, so nobody would see it: mend {self.rules}")
        if self.flaw is not None:
            raise SourceError(self.flaw)
        return NewDocument(
            id=self.id,
            name=self.name,
            raw=b"",
            access=access,
            origin=self.origin,
            title=rule.title,
            source=self.url(),
            category=rule.category,
            updated=rule.updated,
            expires=rule.expires,
            supersedes=rule.supersedes,
        )

    def new(self) -> NewDocument:
        """The whole document, read now."""
        return replace(self.described(), raw=self.content.read())


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something in a source that is no document, and that an operator wants to know of: where it is, and why."""

    place: str
    reason: str


Found: TypeAlias = SourceDocument | Unusable


class Source(Protocol):
    """`origin` names it: that alone may change or delete what came from it."""

    @property
    def origin(self) -> str:
        """The same at every run, whatever else changes."""
        ...

    def documents(self) -> Iterable[Found]:
        """All that there is of it; blocking. SourceError when a part of it cannot be seen: it would look gone."""
        ...


def version_of(raw: bytes) -> str:
    """The version that the catalog gives these bytes."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def too_large(document: str) -> SourceError:
    """The refusal of more than a document may have."""
    return SourceError(f"{document!r} is larger than {LARGEST >> 20} MiB")
