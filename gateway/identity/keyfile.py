"""The key file as the gateway follows it: a key that is created or revoked counts from the next request on."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import structlog

from deploy.keys import ApiKey, KeyFileError, KeyRing, read_keys

_LOOK_SECONDS = 1.0
_log = structlog.get_logger()


def holds_keys(path: Path) -> bool:
    """Whether there is a key, or a file that cannot be read and so may hold one."""
    try:
        return bool(read_keys(path).keys)
    except KeyFileError:
        return True


class KeyFile:
    """Reread when the file changed, off the event loop; a broken file leaves the last good keys in force."""

    def __init__(self, path: Path, heard: Callable[[bool], None]) -> None:
        """`heard` is told whether the file as it stands is in force."""
        self._path = path
        self._heard = heard
        self._stamp: tuple[int, int] | None = None
        self._ring = KeyRing({})
        self._reading = asyncio.Lock()
        heard(True)

    async def find(self, secret: str) -> ApiKey | None:
        """The key for a presented secret, by the file as it is now."""
        await self._look()
        return self._ring.find(secret)

    async def run(self) -> NoReturn:
        """Look now and then, for those who measure and never ask."""
        while True:
            await self._look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        if self._stat() != self._stamp:
            async with self._reading:
                await self._read()

    async def _read(self) -> None:
        stamp = self._stat()
        if stamp == self._stamp:
            return
        try:
            self._ring = await asyncio.to_thread(read_keys, self._path)
        except KeyFileError as error:
            _log.error("key_file_refused", reason=str(error))
            self._heard(False)
        else:
            self._heard(True)
        self._stamp = stamp

    def _stat(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError:  # reading it says why
            return 0, 0
        return found.st_mtime_ns, found.st_ino
