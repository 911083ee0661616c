"""Every role and every operation: who may do it, and that what is denied and what is missing read the same."""

import json
from collections.abc import Callable

import pytest
from httpx2 import Response

from tests.gateway.house import SALARY, House
from tests.gateway.librarians import BADGE, STAFF, hire, path, put, send

THEIRS = "hr/salaries.md"  # of tenant acme, for the group hr
BODY = {"text": BADGE, "access": STAFF}
GRANT = {"allow": ["group:staff"], "deny": []}
OPERATIONS: dict[str, Callable[[House, str | None, str], Response]] = {
    "put": lambda house, who, tenant: send(house, "PUT", path("new.md") + tenant, who, BODY),
    "put many": lambda house, who, tenant: send(
        house, "POST", f"/v1/documents{tenant}", who, {"documents": [{"id": "new.md", **BODY}]}
    ),
    "get": lambda house, who, tenant: send(house, "GET", path(THEIRS) + tenant, who),
    "list": lambda house, who, tenant: send(house, "GET", f"/v1/documents{tenant}", who),
    "history": lambda house, who, tenant: send(house, "GET", path(THEIRS, "/history") + tenant, who),
    "access": lambda house, who, tenant: send(house, "PATCH", path(THEIRS, "/access") + tenant, who, GRANT),
    "revert": lambda house, who, tenant: send(house, "POST", path(THEIRS, "/revert") + tenant, who, {}),
    "delete": lambda house, who, tenant: send(house, "DELETE", path(THEIRS) + tenant, who),
    "ingestion": lambda house, who, tenant: send(house, "GET", f"/v1/ingestions/{house.keys['known']}{tenant}", who),
    "revert ingestion": lambda house, who, tenant: send(
        house, "POST", f"/v1/ingestions/{house.keys['known']}/revert{tenant}", who, {}
    ),
    "erase": lambda house, who, tenant: send(
        house, "DELETE", f"{path(THEIRS)}?erase=true{tenant.replace('?', '&')}", who
    ),
}
OWN = {
    "put": 201,
    "put many": 202,
    "get": 200,
    "list": 200,
    "history": 200,
    "access": 200,
    "revert": 409,
    "delete": 200,
    "ingestion": 200,
    "revert ingestion": 409,
    "erase": 200,
}
NOTHING_OF_IT = {**dict.fromkeys(OWN, 404), "put": 201, "put many": 202, "list": 200}
READS = {**dict.fromkeys(OWN, 403), "get": 200, "list": 200}
ROLES: dict[str, tuple[str | None, str, dict[str, int]]] = {
    "owner": ("wanda", "", OWN),
    "owner who names their tenant": ("wanda", "?tenant=acme", OWN),
    "administrator": ("root", "", OWN),
    "administrator of another tenant": ("root", "?tenant=acme", OWN),
    "administrator who names a tenant without it": ("root", "?tenant=other", NOTHING_OF_IT),
    "writer of another tenant": ("wim", "", NOTHING_OF_IT),
    "writer of another tenant who names this one": ("wim", "?tenant=acme", dict.fromkeys(OWN, 403)),
    "owner who names another tenant": ("wanda", "?tenant=other", dict.fromkeys(OWN, 403)),
    "reader whom it permits": ("hanneke", "", READS),
    "reader whom it does not permit": ("eve", "", {**READS, "get": 404}),
    "reader of another tenant": ("oscar", "", {**READS, "get": 404}),
    "key for asking": ("asker", "", dict.fromkeys(OWN, 403)),
    "key for something else": ("nina", "", dict.fromkeys(OWN, 403)),
    "nobody": (None, "", dict.fromkeys(OWN, 401)),
}


@pytest.fixture
def house(house: House) -> House:
    """Somebody of tenant acme has ingested something already, which changed nothing."""
    hire(house)
    put(house, "old.md", BADGE)
    body = {"documents": [{"id": "old.md", **BODY}]}
    house.keys["known"] = send(house, "POST", "/v1/documents", "wanda", body).json()["id"]
    while send(house, "GET", f"/v1/ingestions/{house.keys['known']}", "wanda").json()["state"] != "done":
        continue
    return house


@pytest.mark.parametrize("role", ROLES)
def test_every_role_may_do_what_it_may_and_nothing_else(house: House, role: str) -> None:
    who, tenant, expected = ROLES[role]
    got = {name: OPERATIONS[name](house, who, tenant).status_code for name in OWN}
    assert got == expected


STRANGERS = ("writer of another tenant", "reader whom it does not permit", "reader of another tenant")


@pytest.mark.parametrize("role", STRANGERS)
def test_denied_and_missing_are_the_same_bytes(house: House, role: str) -> None:
    who, _, expected = ROLES[role]
    denied = {name: told(OPERATIONS[name](house, who, "")) for name, status in expected.items() if status == 404}
    assert send(house, "DELETE", f"{path(THEIRS)}?erase=true", "wanda").status_code == 200
    house.keys["known"] = "ing_" + "0" * 26
    missing = {name: told(OPERATIONS[name](house, who, "")) for name in denied}
    assert denied == missing != {}


def told(response: Response) -> tuple[int, str, list[tuple[str, str]]]:
    """All of an answer but for the id of the request."""
    request_id = response.headers["x-request-id"]
    headers = [(name, value) for name, value in response.headers.items() if name != "x-request-id"]
    return response.status_code, response.text.replace(request_id, ""), headers


def test_nothing_of_another_tenant_shows(house: House) -> None:
    before = send(house, "GET", "/v1/documents", "wim").json()
    assert [one["id"] for one in before["data"]] == ["policies/refunds.md"]
    for name in ("put", "put many", "list", "get", "history"):
        shown = OPERATIONS[name](house, "wim", "").text
        assert "salar" not in shown
        assert "acme" not in shown
        assert SALARY not in shown


def test_a_writers_document_of_the_same_id_is_their_own(house: House) -> None:
    own = send(house, "PUT", path(THEIRS), "wim", BODY).json()
    assert (own["outcome"], own["access"]["tenant"]) == ("added", "other")
    assert send(house, "GET", path(THEIRS), "wanda").json()["text"] == SALARY
    assert send(house, "DELETE", path(THEIRS), "wim").status_code == 200
    assert send(house, "GET", path(THEIRS), "wanda").status_code == 200


def test_another_tenant_is_named_by_administrators_alone(house: House) -> None:
    foreign = {"text": BADGE, "access": {**STAFF, "tenant": "third"}}
    response = send(house, "PUT", path("x.md"), "wanda", foreign)
    assert (response.status_code, response.json()["error"]["code"]) == (403, "missing_scope")
    assert "'admin'" in response.json()["error"]["message"]
    many = {"documents": [{"id": "x.md", **foreign}]}
    assert send(house, "POST", "/v1/documents", "wanda", many).status_code == 403
    assert send(house, "PUT", path("x.md"), "root", foreign).json()["access"]["tenant"] == "third"
    assert send(house, "GET", path("x.md") + "?tenant=third", "root").status_code == 200
    assert send(house, "GET", path("x.md"), "root").status_code == 404
    everything = send(house, "GET", "/v1/documents?tenant=*", "root").json()["data"]
    assert {one["access"]["tenant"] for one in everything} == {"acme", "other", "third"}
    assert send(house, "GET", "/v1/documents?tenant=*", "wanda").status_code == 403


def test_documents_of_several_tenants_are_sent_apart(house: House) -> None:
    one, two = ({"id": f"{n}.md", "text": BADGE, "access": {**STAFF, "tenant": n}} for n in ("acme", "other"))
    response = send(house, "POST", "/v1/documents", "root", {"documents": [one, two]})
    assert (response.status_code, response.json()["error"]["param"]) == (422, "documents")


def test_a_caller_is_known_before_a_body_is_read(house: House) -> None:
    huge = b'{"text": "' + b"a" * 3_000_000
    for who, status in ((None, 401), ("ana", 403), ("wanda", 422)):
        headers = house.headers(who) if who else {}
        sent = house.client.put(path("a.md"), content=huge, headers=headers)
        assert sent.status_code == status
        assert "a" * 20 not in sent.text


def test_a_readers_cursor_names_nothing_that_is_hidden(house: House) -> None:
    import base64

    page = send(house, "GET", "/v1/documents?limit=1", "ana").json()
    assert json.loads(base64.urlsafe_b64decode(page["next"])) == ["acme", "handbook.pdf"]
