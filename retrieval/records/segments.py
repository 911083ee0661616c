"""The spool's files: frames in segments, written to the disk before they count, and read back after any crash."""

import errno
import os
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.durable import sync_folder

_FRAME = struct.Struct(">II")  # length and CRC of what follows
FRAME_BYTES = _FRAME.size
SUFFIX, DAMAGED = ".spool", ".damaged"


@dataclass(slots=True)
class Segment:
    """One file. Up to `size` all is written; up to `read` all has been moved on.

    Nothing is added to one that is `closed`: whoever wrote it is gone, and its end may be torn.
    """

    path: Path
    size: int = 0
    read: int = 0
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Frames:
    """What was read: payloads, and where the next one would begin. `damaged` when something else stands there."""

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
    return [Segment(path, path.stat().st_size, closed=True) for path in sorted(folder.glob(f"*{SUFFIX}"))]


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
    """The next frames, `most` at most. Zeros up to the end are no damage: a power failure leaves them of a write."""
    payloads: list[bytes] = []
    content, at = _rest(segment), 0
    while len(payloads) < most and (payload := _frame_at(content, at)) is not None:
        payloads.append(payload)
        at += FRAME_BYTES + len(payload)
    damaged = len(payloads) < most and content.count(0, at) < len(content) - at
    return Frames(tuple(payloads), segment.read + at, damaged)


def set_aside(segment: Segment) -> Path:
    """Keep in another file what was not moved on, and only that: an erasure does not reach it any more."""
    aside = segment.path.with_suffix(DAMAGED)
    with aside.open("wb") as file:
        file.write(_rest(segment))
        file.flush()
        os.fsync(file.fileno())
    segment.path.unlink()
    sync_folder(aside.parent)
    return aside


def framed(payload: bytes) -> bytes:
    """A frame."""
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _rest(segment: Segment) -> bytes:
    with segment.path.open("rb") as file:
        file.seek(segment.read)
        return file.read(segment.size - segment.read)


def _frame_at(content: bytes, at: int) -> bytes | None:
    """The payload that was written there; None at the end, and for anything else."""
    if at + FRAME_BYTES > len(content):
        return None
    length, crc = _FRAME.unpack_from(content, at)
    start = at + FRAME_BYTES
    payload = content[start : start + length]
    return payload if 0 < length == len(payload) and zlib.crc32(payload) == crc else None
