"""How a parser process is talked to: four bytes of length, then msgpack; never pickle, which can run code."""

from collections.abc import Mapping
from io import RawIOBase

import msgspec

from retrieval.ingest.blocks import Block, Parsed

NOT_CONFINED, OUT_OF_MEMORY = 77, 78
"""Exit codes: the kernel does not let the worker confine itself; the memory ends before a document is even there."""

_STEP = 1 << 20


class Task(msgspec.Struct, array_like=True, frozen=True):
    """One document for the worker, and how many seconds of processor time it may take."""

    name: str
    raw: bytes
    cpu_seconds: int


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """What came of it: the document, a reason to refuse it, or the limit it broke."""

    title: str | None = None
    text: str = ""
    blocks: tuple[Block, ...] = ()
    metadata: Mapping[str, str] = {}
    reason: str | None = None
    broken: str | None = None

    def parsed(self) -> Parsed:
        """The document, if there is one."""
        return Parsed(self.title, self.text, self.blocks, self.metadata)


def read_frame(source: RawIOBase, limit: int | None) -> bytes | None:
    """The next frame; None where the source has ended. OverflowError when it announces more than `limit` bytes."""
    head = _exactly(source, 4)
    length = int.from_bytes(head or b"", "big")
    if limit is not None and length > limit:
        raise OverflowError(length)
    return _exactly(source, length) if head is not None else None


def _exactly(source: RawIOBase, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        part = source.read(min(length - len(parts), _STEP))
        if not part:
            return None
        parts += part
    return bytes(parts)


def write_frame(sink: RawIOBase, body: bytes) -> None:
    """Write a frame; BrokenPipeError when nobody reads."""
    for part in (len(body).to_bytes(4, "big"), body):
        rest = memoryview(part)
        while rest:
            rest = rest[sink.write(rest) or 0 :]
