"""A house per test, served in process by Starlette's client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from starlette.testclient import TestClient

import gateway.telemetry.exposition
from gateway.app import create_app
from tests.gateway.house import REFUND, House, make_house, opening


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[structlog.typing.EventDict]]:
    """What is logged, kept from the terminal."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def every_scrape_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test sees what it has just caused."""
    monkeypatch.setattr(gateway.telemetry.exposition, "_FRESH_SECONDS", 0.0)


@pytest.fixture
def house(tmp_path: Path, logged: list[structlog.typing.EventDict]) -> Iterator[House]:
    """The gateway, whose model answers the refund question with the passage's own words and a marker."""
    made = make_house(tmp_path)
    made.model.says(f"{REFUND[:-1]} [1].")
    made.app = create_app(made.settings, opening(made))
    with TestClient(made.app) as client:
        made.client = client
        logged.clear()  # how it was opened
        yield made
