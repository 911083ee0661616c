"""Documents behind a gateway: one request for each thing that is done."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from deploy.client import Gateway
from deploy.desk import Shown, Wanted
from deploy.remote import document_body, document_path
from retrieval.newdocument import NewDocument


class RemoteDesk:
    """As the holder of a key: of one tenant, or with the scope `admin` of the one that is named."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def listed(self, wanted: Wanted) -> list[Shown]:
        """A page at a time."""
        query = {"tenant": wanted.tenant, "origin": wanted.origin, "category": wanted.category}
        limited = {**query, "limit": min(1_000, wanted.limit)}
        return list(islice(self._gateway.listed("/v1/documents", limited), wanted.limit))

    async def shown(self, tenant: str | None, document: str) -> Shown:
        """`GET /v1/documents/{id}`."""
        return self._one("GET", tenant, document)

    async def history(self, tenant: str | None, document: str) -> list[Shown]:
        """`GET /v1/documents/{id}/history`."""
        kept: list[Shown] = self._one("GET", tenant, document, "/history")["data"]
        return kept

    async def put(self, tenant: str | None, new: NewDocument) -> Shown:
        """`PUT /v1/documents/{id}`."""
        return self._one("PUT", tenant, new.id, body=document_body(new))

    async def delete(self, tenant: str | None, document: str) -> Shown:
        """`DELETE /v1/documents/{id}`."""
        return self._one("DELETE", tenant, document)

    async def grant(self, tenant: str | None, document: str, allow: list[str], deny: list[str]) -> Shown:
        """`PATCH /v1/documents/{id}/access`."""
        return self._one("PATCH", tenant, document, "/access", {"allow": allow, "deny": deny})

    async def revert(self, tenant: str | None, document: str, to: str | None) -> Shown:
        """`POST /v1/documents/{id}/revert`."""
        return self._one("POST", tenant, document, "/revert", {"to": to})

    async def revert_ingestion(self, tenant: str | None, ingestion: str) -> Shown:
        """`POST /v1/ingestions/{id}/revert`."""
        return self._gateway.call("POST", f"/v1/ingestions/{ingestion}/revert", {}, query={"tenant": tenant})

    async def erase(self, tenant: str | None, document: str) -> Shown:
        """`DELETE /v1/documents/{id}?erase=true`."""
        query = {"tenant": tenant, "erase": "true"}
        return self._gateway.call("DELETE", document_path(document), query=query)

    def _one(
        self, method: str, tenant: str | None, document: str, ending: str = "", body: Mapping[str, Any] | None = None
    ) -> Shown:
        return self._gateway.call(method, document_path(document, ending), body, query={"tenant": tenant})
