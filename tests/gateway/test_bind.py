"""Where nobody can prove who they are, the gateway listens to its own machine alone, and says so."""

from pathlib import Path

import pytest
from structlog.typing import EventDict

import gateway.__main__
from deploy.keys import create_key, revoke_key


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[EventDict]) -> "Start":
    """Starts end at `releases.yaml`, which is not there: only what was said before differs."""
    monkeypatch.setattr(gateway.__main__, "configure_logs", lambda *told, **named: None)
    for name, value in (("DATA", tmp_path), ("RELEASES", tmp_path / "none.yaml"), ("PORT", 0)):
        monkeypatch.setenv(f"TWINPIN_{name}", str(value))
    return Start(tmp_path, monkeypatch, logged)


class Start:
    """A start at a host, and what it says."""

    def __init__(self, folder: Path, environment: pytest.MonkeyPatch, logged: list[EventDict]) -> None:
        self.keys, self._environment, self._logged = folder / "keys.yaml", environment, logged

    def key(self) -> str:
        return create_key(self.keys, tenant="acme", subject="ana", groups=[], scopes=["ask"])

    def at(self, host: str) -> tuple[int, str]:
        self._environment.setenv("TWINPIN_HOST", host)
        code = gateway.__main__.main()
        return code, " ".join(f"{line['event']}: {line['reason']}" for line in self._logged)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_another_host_needs_a_key_or_an_issuer(start: Start, host: str) -> None:
    code, said = start.at(host)
    assert code == 2
    assert "cannot_start" in said
    assert "neither an API key" in said
    assert "none.yaml" not in said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.9.9"])
def test_on_loopback_it_is_said(start: Start, host: str) -> None:
    assert "no_authentication: there is neither an API key" in start.at(host)[1]


def test_with_a_key_any_host_will_do(start: Start) -> None:
    key = start.key()
    assert "none.yaml" in start.at("0.0.0.0")[1]
    assert "neither" not in start.at("0.0.0.0")[1]
    revoke_key(start.keys, key[:10])
    assert "neither" in start.at("0.0.0.0")[1]


def test_with_an_identity_file_any_host_will_do(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TWINPIN_IDENTITY", str(tmp_path / "identity.yaml"))
    said = start.at("0.0.0.0")[1]
    assert "neither" not in said
    assert "none.yaml" in said


def test_a_host_that_does_not_exist_is_told(start: Start) -> None:
    assert "nowhere.invalid:0 cannot be listened on" in start.at("nowhere.invalid")[1]
