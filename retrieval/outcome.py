"""What became of a document that was handed in, changed or deleted."""

from dataclasses import dataclass
from typing import Literal

from retrieval.errors import (
    CannotRevert,
    ChangedMeanwhile,
    DocumentMissing,
    DocumentRefused,
    OriginConflict,
    RetrievalError,
)

Status = Literal["added", "updated", "access", "unchanged", "refused", "failed", "gone", "moved"]
_CODES: tuple[tuple[type[RetrievalError], str], ...] = (
    (OriginConflict, "origin_conflict"),
    (ChangedMeanwhile, "changed_meanwhile"),
    (CannotRevert, "cannot_revert"),
    (DocumentMissing, "not_found"),
    (DocumentRefused, "document_refused"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one document; `reason` and `code` say why it is not as was asked."""

    tenant: str
    document: str
    status: Status
    chunks: int = 0
    reason: str | None = None
    version: str | None = None
    sequence: int = 0
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """A deletion that is true everywhere: how many chunks went, and which documents it had hidden answer again."""

    sequence: int
    chunks: int
    restored: list[str]


def refused(tenant: str, document: str, error: RetrievalError) -> Outcome:
    """The outcome of a document that was not taken in."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "document_refused")
    return Outcome(tenant, document, "refused", reason=str(error), code=code)
