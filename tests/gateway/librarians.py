"""Callers who change documents, beside those who ask, and what they send."""

from typing import Any
from urllib.parse import quote

from httpx2 import Response

from deploy.keys import create_key
from tests.gateway.house import House

WRITERS = {
    "wanda": ("acme", ["documents:write"]),
    "wim": ("other", ["documents:write"]),
    "root": ("acme", ["admin"]),
    "nina": ("acme", ["feedback"]),
    "full": ("acme", ["ask", "search", "documents:write"]),
}
STAFF = {"allow": ["group:staff"]}
BADGE = "Visitors collect a yellow badge at the front desk."
LANYARD = "Visitors collect a purple lanyard at the side gate."


def hire(house: House) -> House:
    """A key for each of them."""
    for name, (tenant, scopes) in WRITERS.items():
        groups = ["staff"] if name == "full" else []
        house.keys[name] = create_key(house.settings.keys, tenant=tenant, subject=name, groups=groups, scopes=scopes)
    return house


def path(document: str, ending: str = "") -> str:
    """Where a document is, its slashes escaped."""
    return f"/v1/documents/{quote(document, safe='')}{ending}"


def send(house: House, method: str, where: str, caller: str | None, body: object = None) -> Response:
    """Any request as any caller, or as nobody."""
    headers = house.headers(caller) if caller else {}
    return house.client.request(method, where, json=body, headers=headers)


def put(house: House, document: str, text: str, caller: str = "wanda", **fields: Any) -> Response:
    """A Markdown document that staff may read, unless said otherwise."""
    return send(house, "PUT", path(document), caller, {"text": text, "access": STAFF, **fields})


def found(house: House, query: str, caller: str = "ana", **fields: Any) -> set[str]:
    """Which documents are found."""
    return {one["document"] for one in house.search(query, caller, limit=50, **fields).json()["passages"]}


def texts(house: House, query: str, caller: str = "ana") -> str:
    """The words of all passages that are found."""
    return "\n".join(one["text"] for one in house.search(query, caller, limit=50).json()["passages"])
