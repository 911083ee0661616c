"""How a chunk's place, access and metadata are written beside its vectors; the same in both Qdrant stores."""

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeAlias

from retrieval.acl import Access
from retrieval.errors import StoreError
from retrieval.fusion import ChunkId
from retrieval.store import ChunkHit, ChunkPoint, ChunkRef

TENANT, ALLOW, DENY, DOCUMENT, VERSION = "tenant", "allow", "deny", "document", "version"
CATEGORY, UPDATED, START = "category", "updated", "start"
KEYWORDS = (ALLOW, DENY, DOCUMENT, VERSION, CATEGORY)
PLACE = (TENANT, DOCUMENT, VERSION, START)
Place: TypeAlias = tuple[str, str, str, int]


def description(access: Access, category: str | None, updated: date | None) -> dict[str, Any]:
    """The fields that filters read: a document's access and metadata."""
    lists = {ALLOW: sorted(access.allow), DENY: sorted(access.deny)}
    return {TENANT: access.tenant, **lists, CATEGORY: category, UPDATED: instant(updated)}


def point_payload(point: ChunkPoint) -> dict[str, Any]:
    """All fields of a chunk; of its document's text there are only the headings and the table's header above it."""
    ref = point.ref
    header = {"header": ref.header} if ref.header else {}
    return {
        **description(point.access, point.category, point.updated),
        DOCUMENT: ref.document,
        VERSION: ref.version,
        START: ref.start,
        "end": ref.end,
        "heading": list(ref.heading),
        "page": ref.page,
        **header,
    }


def hit(chunk: ChunkId, payload: Mapping[str, Any] | None) -> ChunkHit:
    """Read a chunk back; StoreError when it is not as `point_payload` writes it, as nothing else may write points."""
    try:
        return _hit(chunk, payload or {})
    except (KeyError, TypeError) as error:
        raise StoreError(f"chunk {chunk} of the index was not written by this release: build the index anew") from error


def place(payload: Mapping[str, Any] | None) -> Place:
    """Where a chunk belongs among the others."""
    held = payload or {}
    return held[TENANT], held[DOCUMENT], held[VERSION], held[START]


def _hit(chunk: ChunkId, held: Mapping[str, Any]) -> ChunkHit:
    at = ChunkRef(
        document=held[DOCUMENT],
        version=held[VERSION],
        start=held[START],
        end=held["end"],
        heading=tuple(held["heading"]),
        page=held["page"],
        header=held.get("header", ""),
    )
    return ChunkHit(chunk, at, Access(held[TENANT], frozenset(held[ALLOW]), frozenset(held[DENY])))


def instant(day: date | None) -> str | None:
    """A day as the engine's datetime index wants it."""
    return None if day is None else f"{day.isoformat()}T00:00:00Z"
