"""Bytes that can be had only once are put aside on disk until somebody asks for them."""

import os
import tempfile
import weakref
from dataclasses import dataclass

from retrieval.errors import SourceError
from retrieval.ingest.sources.document import LARGEST, too_large, version_of


class Spool:
    """A file without a name; it goes with the last document that refers to it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when nobody holds the spool any more
        weakref.finalize(self, self._file.close)
        self._end = 0

    def add(self, document: str, raw: bytes) -> "Spooled":
        """Put one document's bytes aside; those that are too many are forgotten."""
        place = Spooled(document, self, self._end, len(raw), version_of(raw))
        if len(raw) <= LARGEST:
            try:
                self._file.write(raw)
            except OSError as error:
                raise SourceError(f"{document!r} cannot be put aside on disk: {error.strerror}") from error
            self._end += len(raw)
        return place

    def take(self, start: int, length: int) -> bytes:
        """Bytes that were put aside."""
        self._file.flush()
        return os.pread(self._file.fileno(), length, start)


@dataclass(frozen=True, slots=True)
class Spooled:
    """Where one document's bytes are."""

    document: str
    spool: Spool
    start: int
    length: int
    digest: str

    def version(self) -> str:
        """As Content's."""
        if self.length > LARGEST:
            raise too_large(self.document)
        return self.digest

    def read(self) -> bytes:
        """As Content's."""
        self.version()
        return self.spool.take(self.start, self.length)


@dataclass(frozen=True, slots=True)
class Nothing:
    """In place of bytes that a source does not give."""

    reason: str

    def version(self) -> str:
        """As Content's."""
        raise SourceError(self.reason)

    def read(self) -> bytes:
        """As Content's."""
        raise SourceError(self.reason)
