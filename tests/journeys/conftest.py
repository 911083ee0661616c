"""The journeys' product, and their order: what takes the engine away comes after all else that is tested."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.conftest import RunningStack
from tests.journeys.product import PATIENCE, Product


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The session's engine serves other suites too."""
    items.sort(key=lambda item: "test_engine_lost" in item.nodeid)


@pytest.fixture
def product(running_stack: RunningStack) -> Iterator[Product]:
    """The session's stack through a client of its own."""
    with httpx2.Client(base_url=running_stack.url, timeout=PATIENCE) as client:
        yield Product(running_stack, client)
