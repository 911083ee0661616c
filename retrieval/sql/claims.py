"""Locks by name between processes that share a file: each is a byte of a file beside it, and ends with its process."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

_LOOK_AGAIN = 0.02  # seconds


class Claims:
    """Against other processes only: within one, whoever claims has to hold a lock of its own first. Errors: OSError."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._file: IO[str] | None = None

    @asynccontextmanager
    async def held(self, keys: Iterable[int]) -> AsyncIterator[None]:
        """Hold a lock per key, taken in one order; whoever waits looks again many times a second."""
        if self._file is None:
            self._file = self._place.open("w")
        taken: list[int] = []
        try:
            for key in sorted(keys):
                while not _claimed(self._file, key):  # noqa: ASYNC110 - another process lets go, and tells nobody
                    await asyncio.sleep(_LOOK_AGAIN)
                taken.append(key)
            yield
        finally:
            for key in taken:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, key)

    def close(self) -> None:
        """Let go of everything."""
        if self._file is not None:
            self._file.close()


def _claimed(file: IO[str], key: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, key)
    except (BlockingIOError, PermissionError):
        return False
    return True
