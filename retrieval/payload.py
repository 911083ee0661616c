"""How a chunk's place, access and metadata are written beside its vectors; the same in both Qdrant stores."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from retrieval.acl import Access
from retrieval.fusion import ChunkId
from retrieval.store import ChunkHit, ChunkPoint, ChunkRef

TENANT, ALLOW, DENY, DOCUMENT, VERSION = "tenant", "allow", "deny", "document", "version"
CATEGORY, UPDATED = "category", "updated"
KEYWORDS = (ALLOW, DENY, DOCUMENT, VERSION, CATEGORY)


def description(access: Access, category: str | None, updated: date | None) -> dict[str, Any]:
    """The fields that filters read: a document's access and metadata."""
    lists = {ALLOW: sorted(access.allow), DENY: sorted(access.deny)}
    return {TENANT: access.tenant, **lists, CATEGORY: category, UPDATED: instant(updated)}


def point_payload(point: ChunkPoint) -> dict[str, Any]:
    """All fields of a chunk; there is no text among them."""
    ref = point.ref
    return {
        **description(point.access, point.category, point.updated),
        DOCUMENT: ref.document,
        VERSION: ref.version,
        "start": ref.start,
        "end": ref.end,
        "heading": list(ref.heading),
        "page": ref.page,
    }


def hit(chunk: ChunkId, payload: Mapping[str, Any] | None) -> ChunkHit:
    """Read a chunk back; a missing field is a KeyError, because nothing else ever writes points."""
    held = payload or {}
    place = ChunkRef(
        document=held[DOCUMENT],
        version=held[VERSION],
        start=held["start"],
        end=held["end"],
        heading=tuple(held["heading"]),
        page=held["page"],
    )
    return ChunkHit(chunk, place, Access(held[TENANT], frozenset(held[ALLOW]), frozenset(held[DENY])))


def instant(day: date | None) -> str | None:
    """A day as the engine's datetime index wants it."""
    return None if day is None else f"{day.isoformat()}T00:00:00Z"
