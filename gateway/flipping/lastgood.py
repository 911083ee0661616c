"""The pins that were last in force, in a file of their own: what a start falls back to, and where generations go on."""

from pathlib import Path

import msgspec
import structlog

from deploy.pinboard import ReleaseConfigError
from deploy.pins import Applied
from retrieval.durable import replace_file

_log = structlog.get_logger()


class LastGood:
    """Readers see the file before a change or after it, never half of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Applied | None:
        """What was in force, None where nothing has been; a damaged file is nothing, and said to be."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Applied)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            _log.error("last_release_unreadable", file=self._path.name, reason=str(error))
            return None

    def write(self, applied: Applied) -> None:
        """Durable when this returns; ReleaseConfigError when it cannot be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, msgspec.json.format(msgspec.json.encode(applied), indent=2))
        except OSError as error:
            raise ReleaseConfigError(f"{self._path.name!r} cannot be written: {error.strerror}") from error
