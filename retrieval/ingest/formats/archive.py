"""Whether a zip archive is safe to hand to a library that unpacks it into memory."""

import io
import zipfile
import zlib
from dataclasses import dataclass

from retrieval.ingest.blocks import ParseError

_ENTITIES = tuple("<!DOCTYPE".encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be", "utf-32-le"))
_STEP = 64 * 1024
_XML = (".xml", ".rels")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bounds on an archive; `ratio` counts once more than `free_bytes` come out of it."""

    entries: int = 4096
    expanded_bytes: int = 128 * 1024 * 1024
    ratio: int = 100
    free_bytes: int = 8 * 1024 * 1024


def names_in(raw: bytes) -> frozenset[str]:
    """What an archive says that it holds, unchecked; nothing where it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return frozenset(archive.namelist())
    except _BROKEN:
        return frozenset()


def check_archive(
    raw: bytes, limits: ArchiveLimits = ArchiveLimits(), *, xml: tuple[str, ...] = _XML
) -> frozenset[str]:
    """The names in it; ParseError when it is broken, encrypted or a bomb. Archives inside it stay shut.

    Files whose names end in `xml` may declare no document type.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = _check_declared(archive, len(raw), limits)
            _check_real(archive, len(raw), limits, xml)
    except _BROKEN as error:
        raise ParseError("the archive is damaged") from error
    return names


def _check_declared(archive: zipfile.ZipFile, packed: int, limits: ArchiveLimits) -> frozenset[str]:
    entries = archive.infolist()
    names = frozenset(entry.filename for entry in entries)
    if len(entries) > limits.entries:
        raise ParseError(f"the archive has more than {limits.entries} entries")
    if len(names) < len(entries):
        raise ParseError("the archive holds two files of one name")
    if any(entry.flag_bits & 1 for entry in entries):
        raise ParseError("the archive is encrypted")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise ParseError("the archive is packed in a way that no document is: save it anew")
    _check_size(sum(entry.file_size for entry in entries), packed, limits)
    return names


def _check_real(archive: zipfile.ZipFile, packed: int, limits: ArchiveLimits, xml: tuple[str, ...]) -> None:
    """Unpack piece by piece: declared sizes and checksums are the sender's word."""
    total = 0
    for entry in archive.infolist():
        with archive.open(entry) as stream:
            tail = b""
            while piece := stream.read(_STEP):
                total += len(piece)
                _check_size(total, packed, limits)
                if entry.filename.lower().endswith(xml):
                    _check_xml(tail + piece)
                    tail = piece[-64:]


def _check_size(size: int, packed: int, limits: ArchiveLimits) -> None:
    if size > limits.expanded_bytes:
        raise ParseError(f"the archive expands to more than {limits.expanded_bytes >> 20} MiB")
    if size > limits.free_bytes and size > packed * limits.ratio:
        raise ParseError(f"the archive expands to more than {limits.ratio} times its size")


def _check_xml(piece: bytes) -> None:
    if any(mark in piece for mark in _ENTITIES):
        raise ParseError("an XML part of the archive declares a document type")
