"""`twinpin gates`: an operator sees which paths a leak probe closed, and opens them."""

import json

import pytest

from gateway.parts import Parts
from tests.deploy.commandline import Cli, refused
from tests.gateway.house import House


@pytest.fixture
def closed(served: House, environment: pytest.MonkeyPatch) -> House:
    """A gateway that has closed two paths, and its operator's key."""
    environment.setenv("TWINPIN_API_KEY", served.keys["root"])
    parts: Parts = served.app.state.parts
    for path in ("POST /v1/search", "POST /mcp"):
        parts.gates.close(path)
    return served


def test_a_closed_path_is_shown_and_opened(cli: Cli, closed: House, environment: pytest.MonkeyPatch) -> None:
    assert list(json.loads(cli("gates", "list", "--json").out)) == ["POST /v1/search", "POST /mcp"]
    assert cli("gates", "open", "POST /v1/search").out == "POST /v1/search is open; still closed: POST /mcp\n"
    assert "POST /mcp" in cli("gates", "list").out
    assert cli("gates", "open", "POST /mcp").out == "POST /mcp is open\n"
    assert cli("gates", "list").out == "no path is closed\n"
    environment.setenv("TWINPIN_API_KEY", closed.keys["ana"])
    assert cli("search", "refund").code == 0


def test_who_asks_is_told_that_a_path_is_closed(cli: Cli, closed: House, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TWINPIN_API_KEY", closed.keys["ana"])
    assert "POST /v1/search is closed" in refused(cli("search", "refund"))


def test_what_is_not_closed_is_not_opened(cli: Cli, closed: House) -> None:
    assert "'POST /v1/answer' is not closed" in refused(cli("gates", "open", "POST /v1/answer"))


def test_only_an_operator_opens(cli: Cli, closed: House, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TWINPIN_API_KEY", closed.keys["ana"])
    assert "admin" in refused(cli("gates", "open", "POST /mcp"))
