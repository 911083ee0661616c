"""What the proofs share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proofs.world import scratch


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory, where the system has that: these tests write more than they compute."""
    with scratch() as folder:
        yield folder
