"""`/openapi.json`: every route as the table of scopes has it, and nothing that it points at is missing."""

import json
import re
from typing import Any

from gateway.scopes import NEEDED
from tests.gateway.house import House

UNDESCRIBED = {"GET /openapi.json", "POST /mcp"}  # the latter describes itself


def described(house: House) -> dict[str, Any]:
    told: dict[str, Any] = house.client.get("/openapi.json").json()
    return told


def test_every_operation_is_described_with_its_scopes(house: House) -> None:
    told = described(house)
    found = {f"{method.upper()} {path}": one for path, ways in told["paths"].items() for method, one in ways.items()}
    assert found.keys() == {name.replace(":path", "") for name in NEEDED.keys() - UNDESCRIBED}
    for name, scopes in NEEDED.items():
        if scopes and name not in UNDESCRIBED:
            assert found[name.replace(":path", "")]["x-scopes"] == list(scopes)
            assert found[name.replace(":path", "")]["security"] == [{"key": []}]


def test_nothing_points_at_what_is_not_there(house: House) -> None:
    told = described(house)
    pointed = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(told)))
    assert pointed >= {"AnswerRequest", "DocumentBody", "Error"}
    assert pointed <= told["components"]["schemas"].keys()


def test_an_error_is_as_it_is_described(house: House) -> None:
    described_as = described(house)["components"]["schemas"]["Error"]["properties"]["error"]
    error = house.ask("").json()["error"]
    assert error.keys() == set(described_as["required"]) == described_as["properties"].keys()
