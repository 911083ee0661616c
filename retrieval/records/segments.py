"""The spool's files: frames in segments, written to the disk before they count, and read back after any crash."""

import errno
import os
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_FRAME = struct.Struct(">II")  # length and CRC of what follows
FRAME_BYTES = _FRAME.size
SUFFIX, DAMAGED = ".spool", ".damaged"


@dataclass(slots=True)
class Segment:
    """One file. Up to `size` all is written; up to `read` all has been moved on."""

    path: Path
    size: int = 0
    read: int = 0


@dataclass(frozen=True, slots=True)
class Frames:
    """What was read: payloads, and where the next one would begin. `damaged` when what stands there is none."""

    payloads: tuple[bytes, ...]
    upto: int
    damaged: bool


def new_segment(folder: Path) -> Segment:
    """A file that later ones sort behind, and that is in its folder for good."""
    path = folder / f"{time.time_ns():020}-{os.getpid()}{SUFFIX}"
    path.touch(0o600, exist_ok=False)
    sync_folder(folder)
    return Segment(path)


def segments_in(folder: Path) -> list[Segment]:
    """Those that are there, oldest first."""
    return [Segment(path, path.stat().st_size) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def append(segment: Segment, payloads: Sequence[bytes]) -> None:
    """Add frames; on the disk when this returns. OSError leaves the segment as it was, as far as it is read."""
    frames = b"".join(framed(payload) for payload in payloads)
    with segment.path.open("r+b", buffering=0) as file:
        file.truncate(segment.size)  # nothing of a write that failed is left behind this one
        file.seek(segment.size)
        if file.write(frames) != len(frames):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(file.fileno())
    segment.size += len(frames)


def empty(segment: Segment) -> None:
    """Give the space back and go on with the same file."""
    os.truncate(segment.path, 0)
    segment.size = segment.read = 0


def read(segment: Segment, most: int) -> Frames:
    """The next frames, `most` at most. A torn end was never acknowledged and is left out."""
    payloads: list[bytes] = []
    upto = segment.read
    with segment.path.open("rb") as file:
        file.seek(upto)
        content = file.read(segment.size - upto)
    at, damaged = 0, False
    for payload in _frames(content):
        if payload is None:
            damaged = True
            break
        payloads.append(payload)
        at += FRAME_BYTES + len(payload)
        if len(payloads) == most:
            return Frames(tuple(payloads), upto + at, damaged=False)
    return Frames(tuple(payloads), upto + at if damaged else segment.size, damaged)


def framed(payload: bytes) -> bytes:
    """A frame."""
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def sync_folder(folder: Path) -> None:
    """What was made, renamed or removed in it is so after a power failure too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _frames(content: bytes) -> Iterator[bytes | None]:
    """Payloads one after the other; None for a whole frame that is not what was written."""
    at = 0
    while at + FRAME_BYTES <= len(content):
        length, crc = _FRAME.unpack_from(content, at)
        start = at + FRAME_BYTES
        if not length or start + length > len(content):
            return
        payload = content[start : start + length]
        if zlib.crc32(payload) != crc:
            yield None
            return
        yield payload
        at = start + length
