"""Documents that are not as they should be: each fault is a 422 that names its field, and nothing is taken in."""

import base64
from typing import Any

import pytest

from tests.gateway.house import House
from tests.gateway.librarians import BADGE, STAFF, hire, path, put, send

GOOD: dict[str, Any] = {"text": BADGE, "access": STAFF}
FILE = {"name": "a.md", "content": base64.b64encode(BADGE.encode()).decode()}
FAULTS: list[tuple[dict[str, Any], str | None]] = [
    ({"access": None}, "access"),
    ({"access": {}}, "access.allow"),
    ({"access": {"deny": []}}, "access.allow"),
    ({"access": {"allow": []}}, "access.allow"),
    ({"access": {"allow": None}}, "access.allow"),
    ({"access": {"allow": ["staff"]}}, "access.allow.0"),
    ({"access": {"allow": ["group:staff", "group: hr"]}}, "access.allow.1"),
    ({"access": {"allow": ["group:"]}}, "access.allow.0"),
    ({"access": {"allow": ["group:a\u0308"]}}, "access.allow.0"),
    ({"access": {"allow": ["everybody:x"]}}, "access.allow.0"),
    ({"access": {**STAFF, "deny": ["eve"]}}, "access.deny.0"),
    ({"access": {**STAFF, "alow": []}}, "access.alow"),
    ({"access": {**STAFF, "tenant": ""}}, "access.tenant"),
    ({"text": ""}, "text"),
    ({"text": " \n\t"}, "text"),
    ({"text": "a\x00b"}, "text"),
    ({"text": 5}, "text"),
    ({"text": None}, None),
    ({"file": FILE}, None),
    ({"text": None, "file": {**FILE, "content": "???"}}, "file.content"),
    ({"text": None, "file": {**FILE, "content": "YWJj\nYWJj"}}, "file.content"),
    ({"text": None, "file": {**FILE, "content": "YWJ"}}, "file.content"),
    ({"text": None, "file": {**FILE, "content": 7}}, "file.content"),
    ({"text": None, "file": {**FILE, "name": "../a.md"}}, "file.name"),
    ({"text": None, "file": {**FILE, "name": "a\x00.md"}}, "file.name"),
    ({"text": None, "file": {"content": "YWJj"}}, "file.name"),
    ({"updated": "yesterday"}, "updated"),
    ({"updated": "2026-02-30"}, "updated"),
    ({"updated": 20260101}, "updated"),
    ({"updated": "2026-01-01T00:00:00Z"}, "updated"),
    ({"expires": "2026-13-01"}, "expires"),
    ({"title": ""}, "title"),
    ({"title": "a\nb"}, "title"),
    ({"title": "a" * 3_000}, "title"),
    ({"category": "\x00"}, "category"),
    ({"source": "javascript:alert(1)"}, "source"),
    ({"source": "//elsewhere.example/x"}, "source"),
    ({"source": "data:text/html,x"}, "source"),
    ({"supersedes": "../x"}, "supersedes"),
    ({"origin": ""}, "origin"),
    ({"colour": "red"}, "colour"),
    ({"id": "another.md"}, "id"),
]
PARTS = ["..", "a/../b", "a/./b", "/a", "a/", "a//b", " a", "a "]
LETTERS = ["a\tb", "a\rb", "a\x00b", "\x7f", "a\u202eb", "a\u0308", "x" * 1_025]


@pytest.fixture
def house(house: House) -> House:
    return hire(house)


def refused(response: Any, param: str | None, code: str = "invalid_request") -> str:
    assert response.status_code == 422, response.text
    error = response.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert "a" * 300 not in error["message"]
    return str(error["message"])


def test_each_fault_is_named_alone_and_among_others(house: House) -> None:
    """One house for all: a refusal leaves nothing behind."""
    before = send(house, "GET", "/v1/documents", "wanda").json()
    for change, param in FAULTS:
        refused(send(house, "PUT", path("new.md"), "wanda", GOOD | change), param)
        if param != "id":
            many = {"documents": [{"id": "good.md", **GOOD}, {"id": "new.md", **GOOD, **change}]}
            refused(
                send(house, "POST", "/v1/documents", "wanda", many), f"documents.1.{param}" if param else "documents.1"
            )
    assert send(house, "GET", "/v1/documents", "wanda").json() == before
    assert put(house, "new.md", BADGE).status_code == 201


def test_an_id_that_is_none_is_named(house: House) -> None:
    for document in PARTS + LETTERS:
        refused(send(house, "PUT", path(document).replace("..", "%2E%2E"), "wanda", GOOD), "id")
        many = {"documents": [{"id": document, **GOOD}]}
        refused(send(house, "POST", "/v1/documents", "wanda", many), "documents.0.id")
    assert send(house, "PUT", path("a\nb"), "wanda", GOOD).status_code == 404
    for raw in ("%FF", "a%00b", "x" * 1_025):
        for method in ("GET", "DELETE"):
            refused(send(house, method, f"/v1/documents/{raw}", "wanda"), "id")
    assert put(house, "x" * 1_024, BADGE).status_code == 201
    assert send(house, "GET", "/v1/documents/a/../b", "wanda").status_code == 404


def test_what_replaces_itself_is_refused(house: House) -> None:
    refused(put(house, "a.md", BADGE, supersedes="a.md"), None, "document_refused")


def test_too_many_or_none_are_refused(house: House) -> None:
    one = {"id": "a.md", **GOOD}
    for documents in ([], [one] * 1_001):
        refused(send(house, "POST", "/v1/documents", "wanda", {"documents": documents}), "documents")
    refused(send(house, "POST", "/v1/documents", "wanda", {"documents": [GOOD]}), "documents.0.id")
    refused(send(house, "POST", "/v1/documents", "wanda", [one]), None)


@pytest.mark.parametrize(
    ("method", "where", "body", "param"),
    [
        ("PATCH", path("handbook.pdf", "/access"), {"allow": ["group:hr"]}, "deny"),
        ("PATCH", path("handbook.pdf", "/access"), {"deny": []}, "allow"),
        ("PATCH", path("handbook.pdf", "/access"), {"allow": ["hr"], "deny": []}, "allow.0"),
        ("PATCH", path("handbook.pdf", "/access"), {"allow": [], "deny": [], "tenant": "other"}, "tenant"),
        ("POST", path("handbook.pdf", "/revert"), {"to": ""}, "to"),
        ("POST", path("handbook.pdf", "/revert"), {"from": "x"}, "from"),
        ("DELETE", path("handbook.pdf") + "?erased=true", None, "erased"),
        ("DELETE", path("handbook.pdf") + "?erase=perhaps", None, "erase"),
        ("GET", "/v1/documents?limit=0", None, "limit"),
        ("GET", "/v1/documents?limit=1001", None, "limit"),
        ("GET", "/v1/documents?after=???", None, "after"),
        ("GET", "/v1/documents?after=YWJj", None, "after"),
        ("GET", "/v1/documents?categroy=hr", None, "categroy"),
    ],
)
def test_other_requests_are_refused_naming_the_field(
    house: House, method: str, where: str, body: Any, param: str
) -> None:
    refused(send(house, method, where, "wanda", body), param)
    assert send(house, "GET", path("handbook.pdf"), "wanda").status_code == 200


def test_a_body_may_be_larger_than_a_question_but_not_without_end(house: House) -> None:
    limit = house.settings.max_document_bytes
    headers = house.headers("wanda") | {"content-length": str(limit + 1)}
    response = house.client.put(path("a.md"), content=b"{", headers=headers)
    assert response.status_code == 413
    assert str(limit) in response.json()["error"]["message"]
    assert put(house, "long.md", "\n\n".join(f"{BADGE} {n}" for n in range(15_000))).status_code == 201


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"\xff", b"[" * 100_000, b'{"text": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_422(house: House, body: bytes) -> None:
    headers = house.headers("wanda")
    assert house.client.put(path("a.md"), content=body, headers=headers).status_code == 422
    assert house.client.post("/v1/documents", content=body, headers=headers).status_code == 422
