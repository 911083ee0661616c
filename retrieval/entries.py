"""What goes into the catalog and comes out of it, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, TypeAlias

from retrieval.acl import Access
from retrieval.index import IndexManifest
from retrieval.passages.outline import Place
from retrieval.store import ChunkRef

ChangeKind: TypeAlias = Literal["put", "describe", "access", "delete", "erase"]


@dataclass(frozen=True, slots=True)
class Document:
    """The current version of a document: `version` is `sha256:<hex>` of its bytes, `source` is where a reader opens it.

    `origin` names the source it came from, which alone may replace it. `name` is its file name and chooses the parser.
    `given` digests its description as it was given, so that a source sees what did not change. `sequence` and `epoch`
    are those of its last change and of its last change of access: the catalog sets them and ignores them when written.
    """

    id: str
    version: str
    title: str
    source: str
    category: str | None
    updated: date | None
    supersedes: str | None
    access: Access
    origin: str = ""
    expires: date | None = None
    name: str = ""
    given: str = ""
    sequence: int = 0
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Content:
    """The stored text of one version under one parser, with its blocks as that parser encoded them."""

    parser: str
    text: str
    blocks: bytes


@dataclass(frozen=True, slots=True)
class Passage:
    """A permitted chunk with its words: `text` is code points `ref.start` to `ref.end` of the stored text.

    `places` are the headings and pages its words stand under, in order, from `ref.start` on.
    """

    ref: ChunkRef
    title: str
    source: str
    category: str | None
    updated: date | None
    text: str
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """What an index version holds of a document: digests of what went into its chunks and of what they carry.

    Without a `digest` it is being written, and what there is of it may be half of it.
    """

    digest: str
    described: str
    chunks: int
    tokens: float


BEGUN = Holding("", "", 0, 0.0)


@dataclass(frozen=True, slots=True)
class Entry:
    """A version to make current. `held` is what index versions, by name, already hold of it."""

    document: Document
    content: Content
    raw: bytes
    held: Mapping[str, Holding] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Version:
    """A row of a document's history. A former access list is never kept: `document.access` permits nobody."""

    document: Document
    ingestion: str
    at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a tenant's sequence; `version` is that of the document afterwards, none when it is gone."""

    tenant: str
    sequence: int
    document: str
    kind: ChangeKind
    at: datetime
    ingestion: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A document that was deleted, and whether its bytes had to go too."""

    sequence: int
    at: datetime
    erased: bool


@dataclass(frozen=True, slots=True)
class TenantMark:
    """A tenant's last sequence, and the one that an index version must have applied before it takes traffic."""

    value: int
    required: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A tenant's last sequence, and the one that an index version has applied."""

    value: int
    applied: int

    @property
    def settled(self) -> bool:
        """Whether what the index version finds stays the same until the next change."""
        return self.applied >= self.value


@dataclass(frozen=True, slots=True)
class Sealed:
    """An index version whose build was finished, and the place of that build."""

    manifest: IndexManifest
    place: str
