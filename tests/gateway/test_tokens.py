"""People with tokens: whom a token speaks for, what its claims mean, and which issuers count."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from httpx2 import Response
from starlette.testclient import TestClient

from gateway.app import create_app
from tests.gateway.house import House, make_house, opening
from tests.gateway.issuer import Issuer, entry, made, served, write_identity
from tests.gateway.test_access import EVERYTHING


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with served(Issuer()) as one:
        yield one


@pytest.fixture
def house(tmp_path: Path, issuer: Issuer) -> Iterator[House]:
    """A gateway for the issuer's people."""
    with a_house(tmp_path, write_identity(tmp_path / "identity.yaml", entry(issuer))) as house:
        yield house


@contextmanager
def a_house(folder: Path, identity: Path) -> Iterator[House]:
    house = make_house(folder, identity=identity)
    house.app = create_app(house.settings, opening(house))
    with TestClient(house.app) as client:
        house.client = client
        yield house


def seen(house: House, token: str) -> set[str]:
    """Documents that the token's person finds."""
    headers = {"authorization": f"Bearer {token}"}
    found = house.client.post("/v1/search", json={"query": EVERYTHING, "limit": 50}, headers=headers)
    assert found.status_code == 200, found.text
    return {one["document"] for one in found.json()["passages"]}


def models(house: House, token: str, **headers: str) -> Response:
    return house.client.get("/v1/models", headers={"authorization": f"Bearer {token}", **headers})


def refused(response: Response, status: int = 401, code: str = "invalid_token") -> str:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    return str(error["message"])


def test_a_person_sees_what_their_groups_may(house: House, issuer: Issuer) -> None:
    assert seen(house, issuer.token()) == {"policies/refunds.md", "handbook.pdf"}
    both = issuer.token(groups=["staff", "hr"])
    assert seen(house, both) == {"policies/refunds.md", "handbook.pdf", "hr/salaries.md"}
    assert seen(house, issuer.token(groups=None)) == set()


def test_keys_go_on_beside_tokens(house: House, issuer: Issuer) -> None:
    assert house.ask().status_code == 200
    assert models(house, issuer.token()).status_code == 200
    assert "API key" in refused(models(house, "tp_unknown"), code="invalid_api_key")


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("RS256", "RSA"),
        ("PS256", "RSA"),
        ("ES256", "P-256"),
        ("ES384", "P-384"),
        ("ES512", "P-521"),
        ("Ed25519", "Ed25519"),
    ],
)
def test_every_algorithm_counts_where_it_is_listed(tmp_path: Path, algorithm: str, kind: str) -> None:
    with served(Issuer(keys={"k": (algorithm, made(kind))})) as issuer:
        for listed, status in ((algorithm, 200), ("RS384", 401)):
            folder = tmp_path / listed
            folder.mkdir()
            identity = write_identity(folder / "identity.yaml", entry(issuer, algorithms=[listed]))
            with a_house(folder, identity) as house:
                assert models(house, issuer.token("k")).status_code == status


def test_times_hold_within_the_leeway(house: House, issuer: Issuer) -> None:
    now = int(time.time())
    for good in ({"exp": now - 20}, {"nbf": now + 20}, {"iat": now + 20}, {"nbf": None, "iat": None}):
        assert models(house, issuer.token(**good)).status_code == 200
    assert "expired" in refused(models(house, issuer.token(exp=now - 40)))
    for bad in ({"nbf": now + 60}, {"iat": now + 60}, {"exp": None}):
        refused(models(house, issuer.token(**bad)))


def test_a_token_that_was_good_ends_with_its_time(
    house: House, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token()
    assert models(house, token).status_code == 200
    people = house.app.state.parts.authenticator.people
    monkeypatch.setattr(people, "_clock", lambda: time.time() + 700)
    assert "expired" in refused(models(house, token))


def test_what_was_verified_is_not_verified_again(house: House, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    token = issuer.token()
    assert models(house, token).status_code == 200
    monkeypatch.setattr("gateway.identity.people.verify_token", None)
    assert models(house, token).status_code == 200


def test_no_more_tokens_are_remembered_than_some(house: House, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.identity.people._REMEMBERED", 3)
    for number in range(10):
        assert models(house, issuer.token(jti=str(number))).status_code == 200
    assert len(house.app.state.parts.authenticator.people._verified) == 3


MAPPED: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "groups somewhere deeper": (
        {"groups": {"claim": "realm_access.roles"}},
        {"realm_access": {"roles": ["staff"]}, "groups": ["hr"]},
        {"policies/refunds.md", "handbook.pdf"},
    ),
    "a claim whose name has dots": (
        {"groups": {"claim": ["https://a.example/groups"]}},
        {"https://a.example/groups": ["hr"]},
        {"hr/salaries.md"},
    ),
    "one group alone": ({}, {"groups": "hr"}, {"hr/salaries.md"}),
    "groups that are renamed": (
        {"groups": {"rename": {"0f-11": "hr"}}},
        {"groups": ["0f-11", "other"]},
        {"hr/salaries.md"},
    ),
    "groups with a prefix": ({"groups": {"prefix": "kc-"}}, {"groups": ["staff", "hr"]}, set()),
    "groups that count": (
        {"groups": {"among": ["staff"]}},
        {"groups": ["staff", "hr"]},
        {"policies/refunds.md", "handbook.pdf"},
    ),
    "a tenant by a claim": (
        {"tenant": {"claim": "org", "among": ["other"]}},
        {"org": "other"},
        {"policies/refunds.md"},
    ),
    "a tenant that is renamed": (
        {"tenant": {"claim": "org", "rename": {"7": "acme"}, "among": ["7"]}},
        {"org": "7"},
        {"policies/refunds.md", "handbook.pdf"},
    ),
}


@pytest.mark.parametrize("case", MAPPED)
def test_claims_mean_what_the_file_says(tmp_path: Path, issuer: Issuer, case: str) -> None:
    fields, claims, documents = MAPPED[case]
    with a_house(tmp_path, write_identity(tmp_path / "identity.yaml", entry(issuer, **fields))) as house:
        assert seen(house, issuer.token(**claims)) == documents


SCOPED: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "by default": ({}, {"scope": "admin"}, {"ask", "search", "feedback"}),
    "a default of the file": ({"default": ["search"]}, {}, {"search"}),
    "by a claim": ({"claim": "scope"}, {"scope": "openid ask profile act-as"}, {"ask"}),
    "by a claim that is a list": ({"claim": "scp"}, {"scp": ["search", "ask"]}, {"ask", "search"}),
    "by a claim that says nothing of ours": ({"claim": "scope"}, {"scope": "openid"}, {"ask", "search", "feedback"}),
    "by a claim that says more than it may": (
        {"claim": "scope"},
        {"scope": "ask admin documents:write review release:read release:override"},
        {"ask"},
    ),
    "by a claim that says only what it may not": (
        {"claim": "scope"},
        {"scope": "admin"},
        {"ask", "search", "feedback"},
    ),
    "by a claim that may say more": (
        {"claim": "scope", "among": ["ask", "review"]},
        {"scope": "ask search review admin"},
        {"ask", "review"},
    ),
    "by a claim that may say nothing as it is": (
        {"claim": "scope", "among": [], "rename": {"rag.all": "admin"}},
        {"scope": "ask rag.all"},
        {"admin"},
    ),
    "by a claim in other words": (
        {"claim": "scope", "rename": {"rag.read": "search"}},
        {"scope": "rag.read"},
        {"search"},
    ),
    "by a group": ({"groups": {"staff": ["ask", "release:read"]}}, {}, {"ask", "release:read"}),
    "by a claim and a group": (
        {"claim": "scope", "groups": {"staff": ["review"]}},
        {"scope": "ask"},
        {"ask", "review"},
    ),
}


@pytest.mark.parametrize("case", SCOPED)
def test_scopes_come_from_claim_group_or_default(tmp_path: Path, issuer: Issuer, case: str) -> None:
    fields, claims, scopes = SCOPED[case]
    with a_house(tmp_path, write_identity(tmp_path / "identity.yaml", entry(issuer, scopes=fields))) as house:
        headers = {"authorization": f"Bearer {issuer.token(**claims)}"}
        caller = house.client.portal.call(house.app.state.parts.authenticator.caller, headers)  # type: ignore[union-attr]
        assert caller.principal.scopes == scopes
        assert (caller.credential, caller.app) == (f"issuer:{issuer.url}", None)


def test_only_the_file_makes_administrators_of_every_tenant(tmp_path: Path, issuer: Issuer) -> None:
    asking, silent, explicit = issuer.token(scope="admin"), {"claim": "scope"}, {"claim": "scope", "among": ["admin"]}
    with a_house(tmp_path / "a", write_identity(tmp_path / "identity.yaml", entry(issuer, scopes=silent))) as house:
        refused(records_of(house, "other", asking), 403, "missing_scope")
    with a_house(tmp_path / "b", write_identity(tmp_path / "identity.yaml", entry(issuer, scopes=explicit))) as house:
        assert records_of(house, "other", asking).status_code == 200


def records_of(house: House, tenant: str, token: str) -> Response:
    headers = {"authorization": f"Bearer {token}"}
    return house.client.get("/v1/records", params={"tenant": tenant}, headers=headers)


def test_a_person_may_do_what_their_scopes_say(tmp_path: Path, issuer: Issuer) -> None:
    fields = {"scopes": {"default": ["search"]}}
    with a_house(tmp_path, write_identity(tmp_path / "identity.yaml", entry(issuer, **fields))) as house:
        assert seen(house, issuer.token())
        assert "'ask'" in refused(models(house, issuer.token()), 403, "missing_scope")


REFUSED: dict[str, dict[str, Any]] = {
    "no subject": {"sub": None},
    "a subject that is no name": {"sub": "ana "},
    "a subject that only looks like another": {"sub": "an\u200ba"},
    "groups that are no names": {"groups": [1, 2]},
    "groups that are an object": {"groups": {"staff": True}},
    "more groups than anybody has": {"groups": [f"g{n}" for n in range(1_001)]},
    "groups that are to be fetched": {"groups": None, "_claim_names": {"groups": "src1"}},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_that_leaves_open_who_it_is_counts_for_nobody(house: House, issuer: Issuer, case: str) -> None:
    refused(models(house, issuer.token(**REFUSED[case])))


def test_a_tenant_has_to_be_told_and_to_be_one_of_those_that_count(tmp_path: Path, issuer: Issuer) -> None:
    fields = {"tenant": {"claim": "org", "among": ["acme"]}}
    with a_house(tmp_path, write_identity(tmp_path / "identity.yaml", entry(issuer, **fields))) as house:
        assert models(house, issuer.token(org="acme")).status_code == 200
        for org in (None, "other", "", 7, ["acme"]):
            refused(models(house, issuer.token(org=org)))


def test_nobody_is_of_every_tenant(tmp_path: Path, issuer: Issuer) -> None:
    """By `*` administrators ask for all of them: a token that said so would read everybody's documents."""
    fields = {"tenant": {"claim": "org", "rename": {"all": "*"}}, "scopes": {"default": ["documents:write"]}}
    with a_house(tmp_path, write_identity(tmp_path / "identity.yaml", entry(issuer, **fields))) as house:
        assert told(house, issuer.token(org="acme")).status_code == 200
        for org in ("*", "all", "ac\u200bme"):
            refused(told(house, issuer.token(org=org)))


def told(house: House, token: str) -> Response:
    return house.client.get("/v1/documents", headers={"authorization": f"Bearer {token}"})


def test_a_group_that_no_list_can_hold_lets_nobody_in(house: House, issuer: Issuer) -> None:
    assert seen(house, issuer.token(groups=["staff\u200b", " staff", "hr\x1fgroup:staff"])) == set()


def test_each_issuer_speaks_with_its_own_keys(tmp_path: Path, issuer: Issuer) -> None:
    with served(Issuer(keys={"first": ("ES256", made("P-256", 1))})) as second:
        fields = {"tenant": {"fixed": "other"}, "audience": ["elsewhere"]}
        identity = write_identity(tmp_path / "identity.yaml", entry(issuer), entry(second, **fields))
        with a_house(tmp_path, identity) as house:
            assert seen(house, issuer.token()) == {"policies/refunds.md", "handbook.pdf"}
            assert seen(house, second.token(aud="elsewhere")) == {"policies/refunds.md"}
            refused(models(house, second.token()))
            refused(models(house, issuer.token(aud="elsewhere")))
            refused(models(house, issuer.token(iss=second.url, aud="elsewhere")))


def test_keys_may_stand_in_a_file(tmp_path: Path) -> None:
    issuer = Issuer()
    (tmp_path / "keys.json").write_bytes(issuer.jwks())
    identity = write_identity(tmp_path / "identity.yaml", entry(issuer, jwks_file="keys.json"))
    with a_house(tmp_path, identity) as house:
        assert models(house, issuer.token()).status_code == 200


def test_types_that_count_are_those_of_the_file(tmp_path: Path, issuer: Issuer) -> None:
    identity = write_identity(tmp_path / "identity.yaml", entry(issuer, types=["at+JWT"]))
    with a_house(tmp_path, identity) as house:
        refused(models(house, issuer.token()))


def test_where_no_issuer_is_configured_no_token_counts(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    house.app = create_app(house.settings, opening(house))
    with TestClient(house.app) as house.client:
        refused(models(house, Issuer().token()), code="invalid_api_key")
        refused(models(house, house.keys["asker"], **{"x-twinpin-user-token": Issuer().token()}))
        assert "identity" not in house.client.get("/readyz").json()


def test_the_log_names_no_token(house: House, issuer: Issuer, logged: list[structlog.typing.EventDict]) -> None:
    token = issuer.token(kid="first", secret_claim="cucumber")
    assert house.client.post(
        "/v1/answer", json={"question": "refund?"}, headers={"authorization": f"Bearer {token}"}
    ).is_success
    refused(models(house, f"{token}x"))
    written = json.dumps(logged, default=str)
    assert "cucumber" not in written
    assert token.split(".")[1] not in written
    assert token.split(".")[2] not in written
