"""Leak probes: clean where all is well, and a path that shows a marker is closed until an operator opens it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from deploy.keys import create_key
from gateway.app import create_app
from gateway.health.gates import PROBED, PROBES_TENANT, Gates
from gateway.health.probes import Probes
from gateway.parts import Parts
from gateway.telemetry.metrics import Metrics
from retrieval.acl import Access
from retrieval.documents import Documents
from retrieval.newdocument import NewDocument
from retrieval.outcome import Outcome
from tests.gateway.house import REFUND, REFUND_QUESTION, House, make_house, opening

BODIES = {"/v1/search": {"query": REFUND_QUESTION}, "/v1/answer": {"question": REFUND_QUESTION}}


@asynccontextmanager
async def probed(house: House) -> AsyncIterator[tuple[FastAPI, Parts, Probes]]:
    app = create_app(house.settings, opening(house))
    async with app.router.lifespan_context(app):
        parts: Parts = app.state.parts
        yield app, parts, Probes(app, parts, parts.gates, seconds=1.0)


@asynccontextmanager
async def client_of(house: House, app: FastAPI, caller: str = "ana") -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://t", headers=house.headers(caller)) as client:
        yield client


def seen(parts: Parts) -> dict[tuple[str, str], float]:
    samples = [one for family in parts.metrics.registry.collect() for one in family.samples]
    return {
        (one.labels["path"], one.labels["seen"]): one.value
        for one in samples
        if one.name == "twinpin_probes_total" and one.value
    }


@pytest.fixture
def leaking() -> Iterator[pytest.MonkeyPatch]:
    """Everybody is let in to the markers, as if nothing looked at who may read what."""
    put = Documents.put

    async def put_for_all(documents: Documents, new: Sequence[NewDocument]) -> list[Outcome]:
        readers = Access(PROBES_TENANT, frozenset({"group:north", "group:south"}))
        return await put(documents, [replace(one, access=readers) for one in new])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Documents, "put", put_for_all)
        yield patch


async def test_all_paths_are_clean_where_all_is_well(tmp_path: Path) -> None:
    house = make_house(tmp_path)
    house.model.says(REFUND)
    async with probed(house) as (_, parts, probes):
        await probes.round()
        await probes.round()
        assert seen(parts) == {
            ("POST /v1/search", "clean"): 8,
            ("POST /v1/answer", "clean"): 16,
            ("POST /v1/chat/completions", "clean"): 16,
            ("POST /mcp", "clean"): 16,
        }
        assert parts.gates.closed == {}


async def test_a_leak_closes_its_paths_until_they_are_opened(tmp_path: Path, leaking: pytest.MonkeyPatch) -> None:
    house = make_house(tmp_path)
    house.model.says(REFUND)
    admin = create_key(house.settings.keys, tenant="acme", subject="root", groups=[], scopes=["admin"])
    async with probed(house) as (app, parts, probes):
        await probes.round()
        assert set(parts.gates.closed) >= {"POST /v1/search", "POST /v1/answer", "POST /mcp"}
        async with client_of(house, app) as client:
            for path, body in BODIES.items():
                refused = await client.post(path, json=body)
                assert (refused.status_code, refused.json()["error"]["code"]) == (503, "path_closed")
                assert refused.headers["retry-after"] == "60"
    leaking.undo()
    async with probed(house) as (app, parts, probes):  # a restart opens nothing
        await probes.round()
        assert ("POST /v1/search", "leak") not in seen(parts)
        async with client_of(house, app) as client, client_of(house, app) as operator:
            operator.headers["authorization"] = f"Bearer {admin}"
            assert (await client.post("/v1/search", json={"query": REFUND_QUESTION})).status_code == 503
            assert (await client.post("/v1/gates", json={"open": "POST /v1/search"})).status_code == 403
            closed = (await operator.get("/v1/gates")).json()["closed"]
            assert "POST /v1/search" in closed
            told = (await operator.post("/v1/gates", json={"open": "POST /v1/search"})).json()
            assert told["closed"].keys() == closed.keys() - {"POST /v1/search"}
            assert (await operator.post("/v1/gates", json={"open": "POST /v1/search"})).status_code == 404
            assert (await client.post("/v1/search", json={"query": REFUND_QUESTION})).status_code == 200
            assert (await client.post("/v1/answer", json={"question": REFUND_QUESTION})).status_code == 503


async def test_a_marker_that_its_readers_do_not_find_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(documents: Documents, new: Sequence[NewDocument]) -> list[Outcome]:
        return []

    monkeypatch.setattr(Documents, "put", lost)
    async with probed(make_house(tmp_path)) as (_, parts, probes):
        await probes.round()
        assert seen(parts)["POST /v1/search", "blind"] == 2


async def test_they_go_round_while_the_gateway_runs(tmp_path: Path) -> None:
    house = make_house(tmp_path, probe_seconds=0.05)
    house.model.says(REFUND)
    async with probed(house) as (_, parts, _):
        for _ in range(400):
            if seen(parts).get(("POST /v1/search", "clean"), 0) > 4:
                break
            await asyncio.sleep(0.05)
        assert seen(parts)["POST /v1/search", "clean"] > 4


@pytest.mark.parametrize("content", ["{", '["x"]'])
def test_a_file_that_cannot_be_read_closes_all_that_is_probed(tmp_path: Path, content: str) -> None:
    path = tmp_path / "closed-paths.json"
    path.write_text(content)
    assert set(Gates(path, Metrics()).closed) == set(PROBED)
