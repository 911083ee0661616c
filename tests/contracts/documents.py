"""Documents for the catalog's contract, and a reader of them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from retrieval.acl import Access, AccessFilter, Principal, access_filter
from retrieval.catalog import Catalog, Content, Document, Entry, Holding
from retrieval.store import ChunkRef

TODAY = date(2026, 11, 21)
TEXT = "Grüße 👋 from the handbook.\nSecond line."
STAFF = Access("acme", frozenset({"group:staff"}))
HR = replace(STAFF, allow=frozenset({"group:hr"}))
ELSEWHERE = replace(STAFF, tenant="other")
PAGE = Document("doc", "sha256:1", "Handbook", "doc.md", "handbook", date(2026, 1, 2), None, STAFF, "folder")
HELD = Holding("d", "e", 3, 120.5)


def page(document: str = "doc", version: str = "sha256:1", **changed: Any) -> Document:
    return replace(PAGE, id=document, version=version, **changed)


def entry(
    document: Document = PAGE, text: str = TEXT, *, blocks: bytes = b"", held: Mapping[str, Holding] | None = None
) -> Entry:
    return Entry(document, Content("blocks-1", text, blocks), f"raw {text}".encode(), held or {})


def reader(*groups: str, tenant: str = "acme") -> AccessFilter:
    return access_filter(Principal(tenant, "u", frozenset(groups), frozenset()))


def ref(start: int, end: int, *, document: str = "doc", version: str = "sha256:1") -> ChunkRef:
    return ChunkRef(document, version, start, end, (), None)


async def read(
    catalog: Catalog, *refs: ChunkRef, access: AccessFilter | None = None, index: str = "idx", today: date = TODAY
) -> list[str]:
    who = access or reader("staff")
    return [one.text for one in await catalog.read(refs, who, "blocks-1", index=index, today=today)]
