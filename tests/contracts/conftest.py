"""What the contracts are kept on besides the parts that come with Python."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from retrieval.catalog import Catalog
from tests.postgres import TEMPLATE, Postgres, running_catalogs


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all, with a database that is a new catalog's."""
    with running_catalogs() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A new catalog of each database: a file, or a URL."""
    if request.param == "sqlite":
        return tmp_path / "catalog.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.create(TEMPLATE)


@pytest.fixture
async def catalog(where: Path | str) -> AsyncIterator[Catalog]:
    """A new catalog, open."""
    async with Catalog.open(where) as opened:
        yield opened
