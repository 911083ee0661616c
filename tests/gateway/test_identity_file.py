"""The identity file: whole and valid or refused with the reason, and followed while the gateway runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient
from structlog.typing import EventDict

from gateway.app import create_app
from gateway.errors import Unauthenticated, Unavailable
from gateway.identity.config import IdentityError, parse_identity, read_identity
from gateway.identity.people import People
from tests.gateway.house import House, make_house, opening
from tests.gateway.issuer import Issuer, entry, made, served, until, write_identity, write_raw

GOOD = entry(Issuer())
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a field that does not exist": ({"audiences": ["a"]}, "unknown field `audiences`"),
    "no audience": ({"audience": []}, "issuers[0].audience"),
    "HMAC": ({"algorithms": ["HS256"]}, "issuers[0].algorithms[0]"),
    "none": ({"algorithms": ["none"]}, "issuers[0].algorithms[0]"),
    "no algorithm": ({"algorithms": []}, "issuers[0].algorithms"),
    "a leeway of an hour": ({"leeway": 3600}, "issuers[0].leeway"),
    "keys without a pause": ({"refresh": 1}, "issuers[0].refresh"),
    "no tenant": ({"tenant": {}}, "say whose tenant"),
    "two tenants": ({"tenant": {"fixed": "a", "claim": "org"}}, "say whose tenant"),
    "a tenant that is no name": ({"tenant": {"fixed": " a"}}, "tenant.fixed is one name"),
    "a fixed tenant that is renamed": ({"tenant": {"fixed": "a", "rename": {"a": "b"}}}, "tenant.fixed is one name"),
    "keys from two places": ({"jwks_url": "https://a.example", "jwks_file": "k"}, "jwks_url or jwks_file, not both"),
    "keys by http": ({"jwks_url": "http://login.example/keys"}, "keys come by https"),
    "keys by something else": ({"jwks_url": "file:///etc/keys"}, "keys come by https"),
    "an issuer that has no keys": ({"issuer": "login.example"}, "keys come by https"),
    "a scope that does not exist": ({"scopes": {"default": ["rule"]}}, "scopes has 'rule'"),
    "a scope for apps": ({"scopes": {"groups": {"apps": ["act-as"]}}}, "scopes has 'act-as'"),
    "a scope for apps that a claim may say": ({"scopes": {"among": ["act-as"]}}, "scopes has 'act-as'"),
    "a group that is no name": ({"groups": {"rename": {"a": " b"}}}, "it makes 'group: b'"),
    "a prefix that is no name": ({"groups": {"prefix": "\u200b"}}, "it makes 'group:"),
    "a prefix of subjects that is no name": ({"subject": {"prefix": " a"}}, "it makes 'user: ax'"),
    "a password in the address of keys": ({"jwks_url": "https://a:b@login.example/keys"}, "no password in the URL"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(tmp_path: Path, case: str) -> None:
    fields, told = WRONG[case]
    with pytest.raises(IdentityError) as caught:
        parse_identity(yaml.safe_dump({"issuers": [{**GOOD, **fields}]}).encode(), tmp_path / "identity.yaml")
    assert told in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"issuers: []", b"issuers: [", b"other: 1", b"\xff", b"- a"])
def test_what_is_no_identity_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(IdentityError, match=r"'identity\.yaml' is not valid"):
        parse_identity(raw, tmp_path / "identity.yaml")


def test_an_issuer_has_one_entry(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"the issuer 'https://login\.example' twice"):
        parse_identity(yaml.safe_dump({"issuers": [GOOD, GOOD]}).encode(), tmp_path / "identity.yaml")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"'none\.yaml' cannot be read: No such file"):
        read_identity(tmp_path / "none.yaml")


def test_the_gateway_does_not_start_with_a_file_that_is_not_good(tmp_path: Path, logged: list[EventDict]) -> None:
    house = make_house(tmp_path, identity=tmp_path / "none.yaml")
    with pytest.raises(IdentityError), TestClient(create_app(house.settings, opening(house))):
        pass
    assert logged[-1]["event"] == "cannot_start"
    assert "none.yaml" in logged[-1]["reason"]


def test_readiness_counts_issuers_and_names_none(tmp_path: Path) -> None:
    issuer, gone = Issuer(), Issuer(url="https://gone.example")
    (tmp_path / "keys.json").write_bytes(issuer.jwks())
    identity = tmp_path / "identity.yaml"
    write_identity(identity, entry(issuer, jwks_file="keys.json"), entry(gone, jwks_file="none.json"))
    house = make_house(tmp_path, identity=identity)
    with TestClient(create_app(house.settings, opening(house))) as client:
        assert client.get("/v1/models", headers={"authorization": f"Bearer {issuer.token()}"}).status_code == 200
        response = client.get("/readyz")
        counted = {"ready": 1, "stale": 0, "unavailable": 1}
        assert (response.status_code, response.json()["identity"]) == (200, {"refused": False, "issuers": counted})
        assert "example" not in response.text
        unread = client.get("/v1/models", headers={"authorization": f"Bearer {gone.token()}"})
        assert (unread.status_code, unread.json()["error"]["code"]) == (503, "issuer_unavailable")
        assert unread.headers["retry-after"] == "10"


def test_metrics_tell_how_issuers_are_and_what_was_refused(tmp_path: Path) -> None:
    good, gone, identity = Issuer(), Issuer(url="https://gone.example"), tmp_path / "identity.yaml"
    (tmp_path / "keys.json").write_bytes(good.jwks())
    write_identity(identity, entry(good, jwks_file="keys.json", refresh=10), entry(gone, jwks_file="none.json"))
    house = make_house(tmp_path, identity=identity)
    with TestClient(create_app(house.settings, opening(house))) as client:
        house.client = client
        eventually(lambda: told(house) == {"ready": 1, "stale": 0, "unavailable": 1, "identity": 1, "keys": 1})
        write_raw(identity, b"issuers: [")
        keys = house.settings.keys.read_bytes()
        house.settings.keys.write_bytes(b"keys: [")
        eventually(lambda: (told(house)["identity"], told(house)["keys"]) == (0, 0))
        house.settings.keys.write_bytes(keys)
        write_identity(identity, entry(good, jwks_file="keys.json"))
        eventually(lambda: told(house) == {"ready": 1, "stale": 0, "unavailable": 0, "identity": 1, "keys": 1})


def test_without_an_identity_file_nothing_was_refused(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    with TestClient(create_app(house.settings, opening(house))) as client:
        house.client = client
        assert told(house) == {"identity": 1, "keys": 1}


def told(house: House) -> dict[str, float]:
    """What metrics say of issuers, by state, and of the two files."""
    shown = house.metrics()
    issuers = {state: f'twinpin_identity_issuers{{state="{state}"}}' for state in ("ready", "stale", "unavailable")}
    files = {"identity": "twinpin_identity_config_ok", "keys": "twinpin_keys_config_ok"}
    return {name: shown[series] for name, series in {**issuers, **files}.items() if series in shown}


def eventually(true: Callable[[], bool]) -> None:
    """Within a few looks at a file that is followed."""
    for _ in range(100):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("it never came")


@pytest.fixture
async def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[People]:
    """One issuer with its keys in a file, and somebody who follows both."""
    monkeypatch.setattr("gateway.identity.people._LOOK_SECONDS", 0.01)
    (tmp_path / "keys.json").write_bytes(Issuer().jwks())
    write_identity(tmp_path / "identity.yaml", entry(Issuer(), jwks_file="keys.json"))
    async with People.open(tmp_path / "identity.yaml") as opened:
        following = asyncio.create_task(opened.run())
        yield opened
        following.cancel()
        await asyncio.wait([following])


async def tenant_of(people: People, token: str) -> str | None:
    try:
        return (await people.person(token))[0].tenant
    except Unauthenticated:
        return None


async def becomes(people: People, token: str, tenant: str | None) -> None:
    async with asyncio.timeout(20):
        while await tenant_of(people, token) != tenant:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def test_a_change_is_in_force_at_once_for_tokens_that_are_known_too(people: People, tmp_path: Path) -> None:
    token, identity = Issuer().token(), tmp_path / "identity.yaml"
    assert await tenant_of(people, token) == "acme"
    write_identity(identity, entry(Issuer(), jwks_file="keys.json", tenant={"fixed": "other"}))
    await becomes(people, token, "other")
    write_identity(identity, entry(Issuer(url="https://another.example"), jwks_file="keys.json"))
    await becomes(people, token, None)


async def test_a_file_that_breaks_changes_nothing(people: People, tmp_path: Path, logged: list[EventDict]) -> None:
    token, identity = Issuer().token(), tmp_path / "identity.yaml"
    good = identity.read_bytes()
    for broken in (b"issuers: [", b"issuers: []"):
        write_raw(identity, broken)
        await until(lambda: people.refusal is not None)
        assert await tenant_of(people, token) == "acme"
        write_raw(identity, good)
        await until(lambda: people.refusal is None)
    refusals = [line for line in logged if line["event"] == "identity_refused"]
    assert len(refusals) == 2
    assert "identity.yaml" in refusals[0]["reason"]


async def test_an_issuer_whose_entry_stays_keeps_its_keys(people: People, tmp_path: Path) -> None:
    assert await tenant_of(people, Issuer().token()) == "acme"
    (tmp_path / "keys.json").unlink()
    another = entry(
        Issuer(url="https://another.example", keys={"k": ("ES256", made("P-256", 1))}), jwks_file="more.json"
    )
    write_identity(tmp_path / "identity.yaml", entry(Issuer(), jwks_file="keys.json"), another)
    await until(lambda: people.states() == {"ready": 1, "stale": 0, "unavailable": 1})
    assert await tenant_of(people, Issuer().token(jti="2")) == "acme"


async def test_an_entry_that_changes_keeps_its_keys_too(people: People, tmp_path: Path) -> None:
    assert await tenant_of(people, Issuer().token()) == "acme"
    (tmp_path / "keys.json").unlink()
    fields: dict[str, Any] = {"jwks_file": "keys.json", "tenant": {"fixed": "other"}, "refresh": 60}
    write_identity(tmp_path / "identity.yaml", entry(Issuer(), **fields))
    await becomes(people, Issuer().token(), "other")
    assert people._issuers[Issuer().url].cache.every == 60


async def test_keys_from_another_place_are_read_from_there(people: People, tmp_path: Path) -> None:
    changed = Issuer(keys={"first": ("ES256", made("P-256", 1))})
    assert await tenant_of(people, Issuer().token()) == "acme"
    (tmp_path / "changed.json").write_bytes(changed.jwks())
    write_identity(tmp_path / "identity.yaml", entry(Issuer(), jwks_file="changed.json"))
    await becomes(people, Issuer().token(), None)
    assert await tenant_of(people, changed.token()) == "acme"


async def test_a_request_that_waits_for_an_issuer_whose_entry_goes_is_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.identity.people._LOOK_SECONDS", 0.01)
    with served(Issuer(wait=2.0)) as issuer:
        identity = write_identity(tmp_path / "identity.yaml", entry(issuer))
        async with People.open(identity) as opened:
            waiting = asyncio.create_task(opened.person(issuer.token()))
            await until(lambda: bool(issuer.asked))
            write_identity(identity, entry(Issuer(), jwks_file="none.json"))
            following = asyncio.create_task(opened.run())
            with pytest.raises(Unavailable) as caught:
                await waiting
            assert caught.value.code == "issuer_unavailable"
            following.cancel()
            await asyncio.wait([following])
