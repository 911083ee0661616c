"""A library behind a running gateway: what ingestion needs of one, over HTTP as the holder of a key."""

import asyncio
import base64
import re
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from deploy.client import Gateway, GatewayRefused, segment
from retrieval.acl import Access
from retrieval.described import read_described, read_outcome
from retrieval.documents import Outcome
from retrieval.entries import Document
from retrieval.errors import DocumentMissing
from retrieval.newdocument import NewDocument

EVERY_TENANT = "*"
_MOST_DOCUMENTS, _MOST_BYTES = 1_000, 48 * 1024 * 1024
_FIRST_LOOK, _SLOWEST_LOOK, _PATIENCE_SECONDS = 0.05, 2.0, 900.0
_PLACE = re.compile(r"documents\.(\d+)")


def document_path(document: str, ending: str = "") -> str:
    """Where a document is; its slashes are escaped, so that no part of its id is taken for an `ending`."""
    return f"/v1/documents/{segment(document)}{ending}"


class RemoteLibrary:
    """A key of one tenant brings in that tenant's documents; one with the scope `admin`, those of all.

    Errors: GatewayRefused when the key may not do it or the gateway cannot; DocumentMissing.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def known(self, origin: str) -> list[Document]:
        """All documents of one source, as far as the key sees."""
        try:
            return list(self._listed(origin, EVERY_TENANT))
        except GatewayRefused as refused:
            if refused.code != "missing_scope":
                raise
        return list(self._listed(origin, None))

    async def put(self, new: Sequence[NewDocument]) -> list[Outcome]:
        """Hand documents over and wait until each is taken in or refused."""
        outcomes: list[Outcome] = []
        for stretch in _stretches(new):
            outcomes += await self._put(stretch)
        return outcomes

    async def grant(self, tenant: str, document: str, access: Access) -> Document:
        """Change who may read a document."""
        body = {"allow": sorted(access.allow), "deny": sorted(access.deny)}
        return read_described(self._one("PATCH", tenant, document, "/access", body))

    async def delete(self, tenant: str, document: str) -> dict[str, Any]:
        """Delete a document."""
        return self._one("DELETE", tenant, document)

    def _one(
        self, method: str, tenant: str, document: str, ending: str = "", body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            return self._gateway.call(method, document_path(document, ending), body, query={"tenant": tenant})
        except GatewayRefused as refused:
            if refused.code == "not_found":
                raise DocumentMissing(f"there is no document {document!r}") from refused
            raise

    def _listed(self, origin: str, tenant: str | None) -> Iterator[Document]:
        query = {"origin": origin, "tenant": tenant, "limit": 1_000}
        return map(read_described, self._gateway.listed("/v1/documents", query))

    async def _put(self, new: Sequence[NewDocument]) -> list[Outcome]:
        """One that the gateway does not even accept is refused by itself, and the others are sent without it."""
        try:
            accepted = self._gateway.call("POST", "/v1/documents", {"documents": [document_body(one) for one in new]})
        except GatewayRefused as refused:
            place = _refused_place(refused, len(new))
            if place is None:
                raise
            outcome = Outcome(
                new[place].access.tenant, new[place].id, "refused", reason=str(refused), code=refused.code
            )
            before, after = list(new[:place]), list(new[place + 1 :])
            others = await self.put(before + after)
            return [*others[:place], outcome, *others[place:]]
        return await self._settled(accepted["id"], new[0].access.tenant)

    async def _settled(self, ingestion: str, tenant: str) -> list[Outcome]:
        """The outcome of each document, once all have one; the gateway goes on whether anybody waits or not."""
        pause, waited = _FIRST_LOOK, 0
        moved = time.monotonic()
        while True:
            progress = self._gateway.call("GET", f"/v1/ingestions/{ingestion}", query={"tenant": tenant})
            if progress["state"] == "done":
                return [read_outcome(tenant, item) for item in progress["items"]]
            left = progress["counts"].get("waiting", 0)
            if left != waited:
                waited, moved, pause = left, time.monotonic(), _FIRST_LOOK
            if time.monotonic() - moved > _PATIENCE_SECONDS:
                raise GatewayRefused(
                    f"nothing moves in {ingestion!r}, with {left} documents waiting: they are safe, and the gateway "
                    "takes them in when it can; look at its log"
                )
            await asyncio.sleep(pause)
            pause = min(_SLOWEST_LOOK, pause * 1.5)


def _stretches(new: Sequence[NewDocument]) -> Iterator[list[NewDocument]]:
    """Neighbours of one tenant, as many as fit into a request."""
    for _, some in groupby(new, key=lambda one: one.access.tenant):
        stretch: list[NewDocument] = []
        for one in some:
            full = sum(len(other.raw) for other in stretch) + len(one.raw) > _MOST_BYTES
            if stretch and (full or len(stretch) == _MOST_DOCUMENTS):
                yield stretch
                stretch = []
            stretch.append(one)
        yield stretch


def _refused_place(refused: GatewayRefused, count: int) -> int | None:
    """Which of the documents was to blame, if one was."""
    if refused.status == 413 and count == 1:
        return 0
    named = _PLACE.match(refused.param or "")
    return int(named.group(1)) if refused.status == 422 and named else None


def _refused(new: NewDocument, refused: GatewayRefused) -> Outcome:
    reason = f"{new.id!r} was refused: {refused}"
    return Outcome(new.access.tenant, new.id, "refused", reason=reason, code=refused.code)


def document_body(new: NewDocument) -> dict[str, Any]:
    """A document as the API takes it: whatever it is, its bytes go as they are. Without a tenant it is the key's."""
    lists = {"allow": sorted(new.access.allow), "deny": sorted(new.access.deny)}
    given = {
        "title": new.title,
        "source": new.source,
        "category": new.category,
        "updated": new.updated and new.updated.isoformat(),
        "expires": new.expires and new.expires.isoformat(),
        "supersedes": new.supersedes,
    }
    return {
        "id": new.id,
        "file": {"name": new.name, "content": base64.b64encode(new.raw).decode()},
        "origin": new.origin,
        "access": {"tenant": new.access.tenant, **lists} if new.access.tenant else lists,
        **{name: value for name, value in given.items() if value is not None},
    }
