"""What the contracts are kept on besides the parts that come with Python."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from retrieval.catalog import Catalog


@pytest.fixture
async def catalog(where: Path | str) -> AsyncIterator[Catalog]:
    """A new catalog, open."""
    async with Catalog.open(where) as opened:
        yield opened
