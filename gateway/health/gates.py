"""Paths that a leak probe closed: kept in a file, so that no restart opens one, and opened by an operator alone."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import structlog

from gateway.errors import NotFound, Unavailable
from gateway.telemetry.metrics import Metrics
from retrieval.durable import replace_file

PROBED: Final = "POST /v1/search", "POST /v1/answer", "POST /v1/chat/completions", "POST /mcp"
PROBES_TENANT: Final = "twinpin-probes"
_log = structlog.get_logger()


class Gates:
    """What is closed since when, by operation. A file that cannot be read closes everything that is probed."""

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._path = path
        self._metrics = metrics
        self._closed = self._read()
        metrics.probes(PROBED)
        self._tell()

    def require_open(self, operation: str, tenant: str) -> None:
        """Unavailable where it is closed, but to the probes themselves: they say whether it is whole again."""
        if operation in self._closed and tenant != PROBES_TENANT:
            gone = f"{operation} is closed, as it may show what it should not: try again later"
            raise Unavailable(gone, code="path_closed", retry_after=60.0)

    def close(self, operation: str) -> None:
        """Until it is opened."""
        if operation not in self._closed:
            self._closed[operation] = datetime.now(UTC).isoformat(timespec="seconds")
            _log.critical("path_closed", operation=operation)
            self._keep()

    def open(self, operation: str) -> None:
        """NotFound where it is not closed."""
        if self._closed.pop(operation, None) is None:
            raise NotFound(f"{operation[:64]!r} is not closed", param="open")
        _log.warning("path_opened", operation=operation)
        self._keep()

    @property
    def closed(self) -> Mapping[str, str]:
        """Since when, by operation."""
        return self._closed

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            _log.error("closed_paths_unreadable", file=self._path.name, reason=str(error))
            return dict.fromkeys(PROBED, datetime.now(UTC).isoformat(timespec="seconds"))

    def _keep(self) -> None:
        self._tell()
        replace_file(self._path, msgspec.json.format(msgspec.json.encode(self._closed), indent=2))

    def _tell(self) -> None:
        for operation in PROBED:
            self._metrics.path_closed(operation, operation in self._closed)
