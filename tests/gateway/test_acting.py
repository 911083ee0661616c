"""Apps that ask for their users: what both may, nothing that either may not, and both in what is told of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from deploy.keys import create_key
from gateway.app import create_app
from gateway.caller import Caller
from retrieval.acl import Access
from tests.gateway.house import CORPUS, House, Part, Seeded, make_house, opening
from tests.gateway.issuer import Issuer, entry, write_identity

WORDS = {
    "staff.md": ({"group:staff"}, set()),
    "hr.md": ({"group:hr"}, set()),
    "not-externals.md": ({"group:staff"}, {"group:externals"}),
    "not-the-app.md": ({"group:staff"}, {"user:desk"}),
    "not-ben.md": ({"group:staff"}, {"user:ben"}),
    "bens.md": ({"user:ben"}, set()),
    "the-apps.md": ({"user:desk"}, set()),
    "desks.md": ({"group:desks"}, set()),
}
SHELF = tuple(
    Seeded(name, text, Access("acme", frozenset(allow), frozenset(deny)), (Part(text),))
    for name, (allow, deny) in WORDS.items()
    for text in [f"Holiday rota of {name}."]
)
ISSUER = Issuer()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A shelf of documents, each open to somebody else, and an issuer of users."""
    (tmp_path / "keys.json").write_bytes(ISSUER.jwks())
    identity = write_identity(tmp_path / "identity.yaml", entry(ISSUER, jwks_file="keys.json"))
    house = make_house(tmp_path, identity=identity)
    house.app = create_app(house.settings, opening(house, (*CORPUS, *SHELF)))
    with TestClient(house.app) as client:
        house.client = client
        yield house


def app(house: House, **fields: Any) -> str:
    """A key of the app `desk`."""
    told = {"groups": ["desks"], "scopes": ["ask", "search", "act-as"], "allowed_groups": ["staff"], **fields}
    return create_key(house.settings.keys, **{"tenant": "acme", "subject": "desk", **told})


def named(subject: str, *groups: str) -> dict[str, str]:
    return {"x-twinpin-subject": subject, **({"x-twinpin-groups": ", ".join(groups)} if groups else {})}


def by_token(subject: str, *groups: str, **claims: Any) -> dict[str, str]:
    return {"x-twinpin-user-token": ISSUER.token(sub=subject, groups=list(groups), **claims)}


def asked(house: House, key: str, headers: dict[str, str], path: str = "/v1/search") -> Response:
    body = {"query": "holiday rota", "limit": 50} if path == "/v1/search" else None
    return house.client.request(
        "POST" if body else "GET", path, json=body, headers={"authorization": f"Bearer {key}", **headers}
    )


def seen(house: House, key: str, headers: dict[str, str]) -> set[str]:
    found = asked(house, key, headers)
    assert found.status_code == 200, found.text
    return {one["document"] for one in found.json()["passages"]} & WORDS.keys()


def known(house: House, key: str, headers: dict[str, str]) -> Caller:
    sent = {"authorization": f"Bearer {key}", **headers}
    caller: Caller = house.client.portal.call(house.app.state.parts.authenticator.caller, sent)  # type: ignore[union-attr]
    return caller


def refused(response: Response, status: int, code: str) -> str:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    return str(error["message"])


WAYS = pytest.mark.parametrize("say", [named, by_token], ids=["named", "by token"])


@WAYS
def test_an_app_sees_what_its_user_and_its_key_both_may(house: House, say: Any) -> None:
    key = app(house)
    assert seen(house, key, {}) == {"the-apps.md", "desks.md"}
    assert seen(house, key, say("ben", "staff", "hr")) == {"staff.md", "not-externals.md"}
    assert seen(house, key, say("ann", "staff", "hr")) == {"staff.md", "not-externals.md", "not-ben.md"}
    assert seen(house, key, say("ann", "hr")) == set()
    assert seen(house, key, say("ann")) == set()


@WAYS
def test_a_group_that_the_key_does_not_reach_still_denies(house: House, say: Any) -> None:
    assert seen(house, app(house), say("ben", "staff", "externals")) == {"staff.md"}


@WAYS
def test_what_is_shared_by_name_takes_a_key_that_says_so(house: House, say: Any) -> None:
    assert seen(house, app(house, by_name=True), say("ben", "staff")) == {"staff.md", "not-externals.md", "bens.md"}
    assert seen(house, app(house, by_name=True), say("ann")) == set()


@WAYS
def test_a_key_may_reach_every_group_or_its_own_alone(house: House, say: Any) -> None:
    everywhere, nowhere = app(house, allowed_groups=["*"]), app(house, allowed_groups=[])
    assert seen(house, everywhere, say("ann", "staff", "hr")) >= {"staff.md", "hr.md"}
    assert seen(house, nowhere, say("ann", "staff", "hr")) == set()
    assert seen(house, nowhere, say("ann", "staff", "desks")) == {"desks.md"}


@pytest.mark.parametrize("subject", ["ana", "ben", "desk", "root"])
@WAYS
def test_an_app_never_sees_more_than_either(house: House, say: Any, subject: str) -> None:
    """Whatever the user's groups: each document is one that the user may see, and no document is denied to the app."""
    key = app(house, allowed_groups=["*"], by_name=True)
    for groups in ((), ("staff",), ("hr", "externals"), ("staff", "hr", "desks")):
        alone = create_key(house.settings.keys, tenant="acme", subject=subject, groups=groups, scopes=["search"])
        assert seen(house, key, say(subject, *groups)) <= seen(house, alone, {}) - {"not-the-app.md"}


def test_a_user_who_is_named_may_ask_and_no_more(house: House) -> None:
    key = app(house, scopes=["ask", "search", "documents:write", "admin", "release:read", "act-as"])
    assert known(house, key, named("ben", "staff")).principal.scopes == {"ask", "search"}
    assert asked(house, key, {}, "/v1/documents/hr.md").status_code == 200
    assert asked(house, key, named("ben", "staff"), "/v1/documents/hr.md").status_code == 404
    assert asked(house, key, named("ben", "staff"), "/v1/documents/hr.md?tenant=other").status_code == 403


def test_scopes_are_those_that_both_have(house: House) -> None:
    assert known(house, app(house), by_token("ben", "staff")).principal.scopes == {"ask", "search"}
    narrow = app(house, scopes=["search"])
    assert "'ask'" in refused(asked(house, narrow, by_token("ben"), "/v1/models"), 403, "missing_scope")


def test_naming_somebody_takes_the_scope_and_bringing_their_token_does_not(house: House) -> None:
    key = app(house, scopes=["search"])
    assert "'act-as'" in refused(asked(house, key, named("ben", "staff")), 403, "missing_scope")
    assert seen(house, key, by_token("ann", "staff")) == {"staff.md", "not-externals.md", "not-ben.md"}


def test_the_caller_is_the_user_and_the_app_is_told(house: House) -> None:
    key = app(house)
    for headers in (named("ben", "staff"), by_token("ben", "staff")):
        caller = known(house, key, headers)
        assert (caller.principal.subject, caller.app, caller.credential) == ("ben", "desk", f"key:{key[:10]}")
    assert known(house, key, {}).app is None


def test_a_user_of_another_tenant_is_refused(house: House, tmp_path: Path) -> None:
    key = app(house, tenant="other")
    refused(asked(house, key, by_token("ben", "staff")), 403, "other_tenant")
    assert known(house, key, named("ben", "staff")).principal.tenant == "other"


def test_a_token_asks_for_nobody_else(house: House) -> None:
    token = ISSUER.token()
    for headers in (named("ben"), by_token("ben")):
        refused(asked(house, token, headers), 403, "not_an_app")


def test_a_users_token_that_does_not_count_is_no_reason_to_ask_as_the_app(house: House) -> None:
    key = app(house)
    for bad in ("", "tp_x", ISSUER.token(exp=1), ISSUER.token()[:-2]):
        refused(asked(house, key, {"x-twinpin-user-token": bad}), 401, "invalid_token")


def test_names_may_hold_any_letters(house: House) -> None:
    headers = named("ren%C3%A9", "human%20resources", "a%2Cb", "100%25")
    principal = known(house, app(house, allowed_groups=["*"]), headers).principal
    assert principal.subject == "ren\u00e9"
    assert principal.groups == {"human resources", "a,b", "100%"}


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"x-twinpin-subject": ""}, "x-twinpin-subject"),
        ({"x-twinpin-subject": "ben%20"}, "x-twinpin-subject"),
        ({"x-twinpin-subject": "ben%E2%80%8B"}, "x-twinpin-subject"),
        ({"x-twinpin-subject": "ben%ff"}, "x-twinpin-subject"),
        (named("ben", "staff%0a"), "x-twinpin-groups"),
        (named("ben", *(f"g{n}" for n in range(1_001))), "x-twinpin-groups"),
        ({"x-twinpin-groups": "staff"}, "x-twinpin-groups"),
        ({**named("ben"), "x-twinpin-user-token": "a.b.c"}, "x-twinpin-subject"),
    ],
)
def test_headers_that_cannot_be_meant_are_refused(house: House, headers: dict[str, str], param: str) -> None:
    response = asked(house, app(house), headers)
    refused(response, 422, "invalid_request")
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize("name", ["authorization", "x-twinpin-subject", "x-twinpin-groups", "x-twinpin-user-token"])
def test_a_header_that_is_sent_twice_is_refused(house: House, name: str) -> None:
    sent = {"authorization": f"Bearer {app(house)}", **named("ben", "staff")}
    if name == "x-twinpin-user-token":
        sent = {"authorization": sent["authorization"], **by_token("ben")}
    twice = [*sent.items(), (name, sent[name])]
    response = house.client.post("/v1/search", json={"query": "rota"}, headers=twice)
    refused(response, 422, "invalid_request")
    assert response.json()["error"]["param"] == name
