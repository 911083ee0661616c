"""What the contracts are kept on besides the parts that come with Python."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retrieval.catalog import Catalog
from tests.postgres import Postgres, running_postgres

TEMPLATE = "catalog"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all, with a database that is a new catalog's."""
    with running_postgres() as server:
        server.run(f"CREATE DATABASE {TEMPLATE}")
        with ThreadPoolExecutor(1) as aside:  # where no event loop is
            aside.submit(asyncio.run, _make(server.url(TEMPLATE))).result()
        yield server


async def _make(url: str) -> None:
    async with Catalog.open(url):
        pass


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
