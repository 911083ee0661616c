"""Every role and every route: what a credential may do is in one table, and no route is without a line in it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from httpx2 import Response
from starlette.testclient import TestClient

from deploy.keys import SCOPES, create_key
from gateway.app import create_app
from gateway.auth import Authenticator
from gateway.caller import Caller
from gateway.scopes import NEEDED
from tests.gateway.house import REFUND_QUESTION, House, make_house, opening

BODIES: dict[str, Any] = {
    "POST /v1/answer": {"question": REFUND_QUESTION},
    "POST /v1/chat/completions": {"model": "twinpin", "messages": [{"role": "user", "content": REFUND_QUESTION}]},
    "POST /v1/search": {"query": REFUND_QUESTION},
}
ROLES: dict[str, frozenset[str]] = {
    "no scope": frozenset(),
    **{scope: frozenset({scope}) for scope in sorted(SCOPES)},
    "all but what is needed": SCOPES,
}


def routes(house: House) -> Iterator[str]:
    for route in iter_route_contexts(house.app.routes):
        yield from (f"{method} {route.path}" for method in (route.methods or ()) if method != "HEAD")


def do(house: House, operation: str, headers: dict[str, str]) -> Response:
    method, path = operation.split()
    return house.client.request(
        method,
        path.replace("{id:path}", "none.md").replace("{id}", "none"),
        json=BODIES.get(operation),
        headers=headers,
    )


def test_every_route_has_its_line_and_every_line_its_route(house: House) -> None:
    assert sorted(routes(house)) == sorted(NEEDED)
    assert {scope for needed in NEEDED.values() for scope in needed} <= SCOPES


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_table_says_and_nothing_else(house: House, role: str) -> None:
    for operation, needed in NEEDED.items():
        scopes = ROLES[role] - set(needed) if role == "all but what is needed" else ROLES[role]
        key = create_key(house.settings.keys, tenant="acme", subject=role, groups=["staff"], scopes=scopes)
        response = do(house, operation, {"authorization": f"Bearer {key}"})
        refused = bool(needed) and scopes.isdisjoint(needed)
        assert (response.status_code == 403) is refused, (operation, response.text)
        assert response.status_code != 401
        if refused:
            error = response.json()["error"]
            assert (error["code"], repr(needed[0]) in error["message"]) == ("missing_scope", True)


def test_nobody_may_do_what_needs_a_scope(house: House) -> None:
    got = {operation: do(house, operation, {}).status_code for operation in NEEDED}
    assert got == {operation: 401 if needed else 200 for operation, needed in NEEDED.items()}


def test_what_is_wrong_with_a_body_is_told_to_those_who_may_send_it(house: House) -> None:
    for caller, status in (("searcher", 403), ("asker", 422)):
        assert house.post("/v1/answer", {"nonsense": 1}, caller).status_code == status


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "127.0.0.1", "metrics_open": False}, False),
        ({"host": "0.0.0.0"}, False),
        ({"host": "gateway.internal"}, False),
        ({"host": "0.0.0.0", "metrics_open": True}, True),
    ],
)
def test_metrics_are_for_everybody_on_loopback_only_unless_it_is_said(
    tmp_path: Path, settings: dict[str, Any], shown: bool
) -> None:
    house = make_house(tmp_path, **settings)
    fields: dict[str, Any] = {"tenant": "acme", "subject": "s", "groups": []}
    made = {scope: create_key(house.settings.keys, scopes=[scope], **fields) for scope in SCOPES}
    with TestClient(create_app(house.settings, opening(house))) as client:
        assert client.get("/metrics").status_code == (200 if shown else 401)
        for scope, key in made.items():
            response = client.get("/metrics", headers={"authorization": f"Bearer {key}"})
            assert response.status_code == (200 if shown or scope in ("metrics", "admin") else 403), scope


def test_a_caller_is_verified_once_a_request(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who admits a request asks who sends it, and so does what handles it."""
    verified: list[object] = []
    verify = Authenticator.caller

    async def counted(self: Authenticator, headers: Mapping[str, str], deadline: float | None = None) -> Caller:
        verified.append(headers)
        return await verify(self, headers, deadline)

    monkeypatch.setattr(Authenticator, "caller", counted)
    secret = create_key(house.settings.keys, tenant="acme", subject="ana", groups=["staff"], scopes=SCOPES)
    for operation in sorted(NEEDED):
        verified.clear()
        do(house, operation, {"authorization": f"Bearer {secret}"})
        assert len(verified) <= 1, operation
