"""No secret of a key or a token stands anywhere that the gateway writes."""

import json
import sqlite3
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from structlog.typing import EventDict

from gateway.app import create_app
from tests.gateway.house import REFUND, make_house, opening
from tests.gateway.issuer import Issuer, entry, write_identity
from tests.gateway.librarians import hire, put
from tests.postgres import TEMPLATE, Postgres


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_issued_key_and_no_token_is_in_a_dump_of_any_store(
    tmp_path: Path, logged: list[EventDict], database: str, request: pytest.FixtureRequest
) -> None:
    server: Postgres | None = request.getfixturevalue("postgres") if database == "postgresql" else None
    url = server and server.create(TEMPLATE)
    issuer = Issuer()
    (tmp_path / "jwks.json").write_bytes(issuer.jwks())
    identity = write_identity(tmp_path / "identity.yaml", entry(issuer, jwks_file="jwks.json"))
    house = make_house(tmp_path, identity=identity, catalog_url=url)
    house.model.says(f"{REFUND[:-1]} [1].")
    house.app = create_app(house.settings, opening(house))
    token, mistyped = issuer.token(), f"{house.keys['ana'][:-1]}!"
    with TestClient(house.app) as house.client:
        hire(house)
        assert put(house, "a.md", "Something new.").status_code == 201
        for caller in ("ana", "hanneke", "eve", "oscar"):
            assert house.ask(caller=caller).status_code == 200
            assert house.ask(caller=caller, stream=True).status_code == 200
            assert house.search(caller=caller).status_code == 200
        answered = {"authorization": f"Bearer {token}"}
        assert house.client.post("/v1/answer", json={"question": "refund?"}, headers=answered).status_code == 200
        by_app = {"x-twinpin-user-token": token}
        assert house.post("/v1/answer", {"question": "refund?"}, "ana", **by_app).status_code == 200
        for bad in (mistyped, f"{token}x"):
            assert house.client.get("/v1/models", headers={"authorization": f"Bearer {bad}"}).status_code == 401
        assert house.client.post("/v1/answer", json={"bad": 1}, headers=house.headers("ana")).status_code == 422
        shown = house.client.get("/metrics").text
    secrets = [secret.encode() for secret in (*house.keys.values(), mistyped)]
    secrets += [secret[10:] for secret in secrets] + [part.encode() for part in token.split(".")[1:]]
    held = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    held[Path("log")], held[Path("metrics")] = json.dumps(logged, default=str).encode(), shown.encode()
    dump = held[Path("dump")] = server.dump(url) if server and url else dumped(tmp_path / "catalog.db")
    assert b"policies/refunds.md" in dump, "the control: it has what was stored"
    assert b"sha256:" in held[Path("keys.yaml")], "the control: there is something of each key"
    assert [(path, secret) for path, raw in held.items() for secret in secrets if secret in raw] == []


def dumped(path: Path) -> bytes:
    """Every row of every table, as text."""
    with sqlite3.connect(path) as connection:
        return "\n".join(connection.iterdump()).encode()
