"""The bounded spool on disk: a record is durable here before it is anywhere else, and leaves when SQL has it."""

import asyncio
import fcntl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

import msgspec
import structlog

from retrieval.errors import SpoolError
from retrieval.records.record import Record
from retrieval.records.segments import (
    DAMAGED,
    FRAME_BYTES,
    SUFFIX,
    Segment,
    append,
    empty,
    new_segment,
    read,
    segments_in,
    set_aside,
)

_log = structlog.get_logger()
_SLOTS = 64
_SEGMENT_BYTES = 8 << 20
_LINGER_SECONDS = 0.02  # what nobody waits for is written together with what comes meanwhile
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Taken:
    """Records that are on their way from one segment into SQL."""

    records: tuple[Record, ...]
    segment: Segment
    upto: int


@dataclass(slots=True)
class Spool:
    """Belongs to one event loop; its files are touched by one thread of its own.

    `alone` when no other process had a spool here as this one was opened. `trouble` says why the disk takes nothing;
    until `mend` finds that it does again, everything is refused at once. `passed` are the bytes that have left.
    `on_lost` is told of each record that was put, and that the disk then did not take.
    """

    folder: Path
    limit: int
    alone: bool = True
    on_durable: Callable[[], None] = field(default=lambda: None)
    on_lost: Callable[[Record, SpoolError], None] = field(default=lambda record, error: None)
    trouble: str | None = None
    passed: int = 0
    _segments: list[Segment] = field(default_factory=list)
    _pending: int = 0
    _waiting: list[tuple[bytes, asyncio.Future[None] | None]] = field(default_factory=list)
    _committing: asyncio.Task[None] | None = None
    _disk: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "record-spool"))

    @classmethod
    @contextmanager
    def open(cls, root: Path, limit: int) -> Iterator["Spool"]:
        """A folder of this process's own below `root`, with what processes that died left in theirs.

        Errors: SpoolError when the folder cannot be used.
        """
        with ExitStack() as claimed:
            with _mapped():
                folder = claimed.enter_context(_claimed(root))
                alone = _take_over(root, folder)
                segments = segments_in(folder)
            spool = cls(folder, limit, alone, _segments=segments)
            try:
                yield spool
            finally:
                spool._disk.shutdown()

    @property
    def used(self) -> int:
        """Bytes on the disk and on their way there."""
        return self._pending + sum(one.size for one in self._segments)

    def has_room(self, reserved: int = 0) -> bool:
        """Whether so many bytes more would be taken."""
        return self.trouble is None and self.used + reserved <= self.limit

    def check(self) -> None:
        """SpoolError while the disk takes nothing, or the spool is full."""
        if not self.has_room():
            raise SpoolError(self.trouble or f"the record spool is full with {self.used} bytes: SQL takes none of them")

    async def keep(self, record: Record) -> None:
        """Durable when this returns; SpoolError when it cannot be."""
        durable = asyncio.get_running_loop().create_future()
        self._add(record, durable)
        await durable

    def put(self, record: Record) -> None:
        """Durable soon, as far as the disk allows; SpoolError when it is already known that it cannot be."""
        self._add(record, None)

    async def take(self, most: int) -> Taken | None:
        """The oldest records that are not in SQL yet; they stay until `release`. SpoolError for a disk that fails."""
        with _mapped():
            return await self._apart(self._take, most)

    async def release(self, taken: Taken) -> None:
        """SQL has them."""
        with _mapped():
            await self._apart(self._release, taken)

    async def settled(self) -> None:
        """What was put until now is on the disk, or lost; what comes meanwhile is not waited for."""
        if self._committing is not None:
            written = asyncio.get_running_loop().create_future()
            self._waiting.append((b"", written))
            await asyncio.wait([written, self._committing], return_when=asyncio.FIRST_COMPLETED)

    async def end(self) -> int:
        """What `passed` is at least when all that was put until now has left."""
        await self.settled()
        return await self._apart(self._end)

    async def mend(self) -> None:
        """Find out whether the disk takes something again."""
        if self.trouble is None:
            return
        try:
            await self._apart(self._begin_anew)
        except OSError as error:
            self.trouble = _told(error)
            return
        self.trouble = None
        _log.warning("record_spool_mended")

    def files(self) -> list[Path]:
        """All files that may hold a record's bytes, damaged ones too."""
        return [path for path in sorted(self.folder.iterdir()) if path.suffix in (SUFFIX, DAMAGED)]

    def _add(self, record: Record, durable: asyncio.Future[None] | None) -> None:
        payload = _encode(record)
        if not self.has_room(FRAME_BYTES + len(payload)):
            raise SpoolError(self.trouble or f"the record spool holds {self.used} bytes: SQL takes none of them")
        self._pending += FRAME_BYTES + len(payload)
        self._waiting.append((payload, durable))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())

    async def _commit(self) -> None:
        """Write all that waits, in one go; and again what came meanwhile."""
        try:
            while self._waiting:
                if all(durable is None for _, durable in self._waiting):
                    await asyncio.sleep(_LINGER_SECONDS)
                batch, self._waiting = self._waiting, []
                payloads = [payload for payload, _ in batch if payload]
                error = await self._written(payloads) if payloads else None
                for payload, durable in batch:
                    if durable is None and error:
                        self.on_lost(_decode(payload), error)
                    elif durable is not None and not durable.done():
                        durable.set_exception(error) if error and payload else durable.set_result(None)
        finally:
            self._committing = None

    async def _written(self, payloads: list[bytes]) -> SpoolError | None:
        try:
            await self._apart(self._write, payloads)
        except OSError as error:
            self.trouble = _told(error)
            _log.error("record_spool_failed", reason=self.trouble, records=len(payloads))
            return SpoolError(self.trouble)
        finally:
            self._pending -= sum(FRAME_BYTES + len(payload) for payload in payloads)
        self.on_durable()
        return None

    def _write(self, payloads: list[bytes]) -> None:
        if not self._segments or self._segments[-1].closed or self._segments[-1].size >= _SEGMENT_BYTES:
            self._segments.append(new_segment(self.folder))
        append(self._segments[-1], payloads)

    def _begin_anew(self) -> None:
        """Behind what may be torn."""
        self._segments.append(new_segment(self.folder))

    def _end(self) -> int:
        return self.passed + sum(one.size - one.read for one in self._segments)

    def _take(self, most: int) -> Taken | None:
        while self._segments:
            segment = self._segments[0]
            frames = read(segment, most)
            records = _decoded(frames.payloads)
            if records and len(records) == len(frames.payloads):
                return Taken(records, segment, frames.upto)
            if records:
                lengths = (FRAME_BYTES + len(payload) for payload in frames.payloads[: len(records)])
                return Taken(records, segment, segment.read + sum(lengths))
            if frames.payloads or frames.damaged:
                self._set_aside(segment)
            elif not self._let_go(segment):
                return None
        return None

    def _release(self, taken: Taken) -> None:
        self._pass(taken.segment, taken.upto)
        if taken.segment.read == taken.segment.size:
            self._let_go(taken.segment)

    def _pass(self, segment: Segment, upto: int) -> None:
        self.passed += upto - segment.read
        segment.read = upto

    def _let_go(self, segment: Segment) -> bool:
        """Whether there may be another segment behind it; the one that is written to is used again."""
        if zeros := segment.size - segment.read:
            _log.warning("record_segment_ends_in_zeros", file=segment.path.name, bytes=zeros)
        self._pass(segment, segment.size)
        if segment is self._segments[-1] and not segment.closed:
            if segment.size:
                empty(segment)
            return False
        segment.path.unlink()
        self._segments.remove(segment)
        return True

    def _set_aside(self, segment: Segment) -> None:
        """For somebody to look at: it may hold what was acknowledged."""
        aside = set_aside(segment)
        self._segments.remove(segment)
        _log.critical("record_segment_damaged", file=aside.name, bytes=segment.size - segment.read)
        self._pass(segment, segment.size)

    async def _apart(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)


def _decoded(payloads: Sequence[bytes]) -> tuple[Record, ...]:
    """Those before the first that is no record as this release knows them."""
    records: list[Record] = []
    for payload in payloads:
        try:
            records.append(_decode(payload))
        except msgspec.DecodeError:
            break
    return tuple(records)


@contextmanager
def _claimed(root: Path) -> Iterator[Path]:
    """The first folder below `root` that no other process has; it is let go with the process, however that ends."""
    root.mkdir(parents=True, exist_ok=True)
    for slot in range(_SLOTS):
        folder = root / str(slot)
        folder.mkdir(0o700, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            if _locked(lock):
                yield folder
                return
    raise SpoolError(f"{_SLOTS} processes have record spools in {root.name!r}: give some another data folder")


def _take_over(root: Path, own: Path) -> bool:
    """Have the segments of processes that are gone; whether there are no others."""
    alone = True
    for folder in sorted(root.iterdir()):
        if folder != own and folder.is_dir():
            with (folder / "lock").open("w") as lock:
                if _locked(lock):
                    for path in sorted(folder.glob(f"*{SUFFIX}")):
                        path.rename(own / path.name)
                else:
                    alone = False
    return alone


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(f"the record spool cannot be used: {_told(error)}") from error


def _told(error: OSError) -> str:
    return f"the disk of the record spool does not take records: {error.strerror or type(error).__name__}"
