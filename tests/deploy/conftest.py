"""The command line in this process, with its data in a folder of the test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import structlog
import yaml

from deploy.__main__ import main
from tests.deploy.commandline import RECIPE, ROOT, Cli, Said, serving
from tests.gateway.house import House, make_house
from tests.gateway.librarians import hire


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Settings of the test and no others."""
    for name in ("URL", "API_KEY", "CATALOG_URL", "QDRANT_URL", "PORT"):
        monkeypatch.delenv(f"TWINPIN_{name}", raising=False)
    monkeypatch.setenv("TWINPIN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TWINPIN_RELEASES", str(tmp_path / "releases.yaml"))
    monkeypatch.setenv("COLUMNS", "300")
    return monkeypatch


@pytest.fixture
def cli(tmp_path: Path, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `twinpin` with one index version pinned."""
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / f"{RECIPE.name}.yaml").write_text(yaml.safe_dump(msgspec.to_builtins(RECIPE)))
    model = next((ROOT / "deploy" / "versions").glob("mdl-*.yaml"))
    (versions / model.name).write_bytes(model.read_bytes())
    pins = {"index": {"stable": RECIPE.name}, "model": {"stable": model.stem}}
    (tmp_path / "releases.yaml").write_text(yaml.safe_dump(pins))

    def run(*arguments: str) -> Said:
        environment.setattr(sys, "argv", ["twinpin", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Said(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one document that staff of acme may read."""
    made = tmp_path / "docs"
    made.mkdir()
    rules = 'tenant: acme\norigin: docs\nrules: [{match: "*.md", allow: ["group:staff"]}]'
    (made / "twinpin.yaml").write_text(rules)
    (made / "a.md").write_text("# Refunds\n\nWithin 45 days.")
    return made


@pytest.fixture
def served(tmp_path: Path, environment: pytest.MonkeyPatch) -> Iterator[House]:
    """A gateway on fakes, at an address that commands are told."""
    house = hire(make_house(tmp_path / "house"))
    with structlog.testing.capture_logs(), serving(house) as url:
        environment.setenv("TWINPIN_URL", url)
        yield house
