"""Records in a file: JSON lines as the API shows them, or Parquet with a column for each field and JSON in parts."""

import asyncio
import errno
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

from deploy.desk import Shown
from retrieval.records.record import PARTS

_AT_ONCE = 1_000
_ROW_GROUP = 10_000
_TEXTS = ("id", "kind", "created", "tenant", "subject", "of", "digest")


class CannotExport(Exception):
    """The file cannot be written; the text says why."""


async def export_records(records: AsyncIterator[Shown], file: Path, format: Literal["jsonl", "parquet"]) -> int:
    """Write them as they come, for their owner's eyes only; how many. CannotExport when the file is there already.

    The file has its name when it is whole: an export that fails leaves nothing, and can be asked for again.
    """
    try:
        with _draft_of(file) as draft:
            if format == "parquet":
                return await _parquet(_pages(records), draft)
            with draft.open("w", encoding="utf-8") as opened:
                return await _lines(_pages(records), opened)
    except OSError as error:
        raise CannotExport(f"{file.name!r} cannot be written: {error.strerror}") from error


@contextmanager
def _draft_of(file: Path) -> Iterator[Path]:
    """A file beside it that takes its name at the end, unless another has it by then."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        if file.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        draft.touch(0o600, exist_ok=False)
        yield draft
        file.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


async def _lines(pages: AsyncIterator[Sequence[Shown]], file: TextIO) -> int:
    count = 0
    async for page in pages:
        file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in page)
        count += len(page)
    return count


async def _parquet(pages: AsyncIterator[Sequence[Shown]], file: Path) -> int:
    """A row group at a time is held."""
    from arro3.core import DataType, RecordBatchReader
    from arro3.io import write_parquet

    numbers = {"batch": DataType.int64(), "n": DataType.int64(), "review": DataType.bool()}
    columns = {**dict.fromkeys((*_TEXTS, *PARTS, "erased"), DataType.utf8()), **numbers}
    reading = _Reading(pages, asyncio.get_running_loop())
    batches = (_batch(page, columns) for page in reading)
    reader = RecordBatchReader.from_batches(_batch((), columns).schema, batches)
    try:
        await asyncio.to_thread(write_parquet, reader, file, max_row_group_size=_ROW_GROUP)
    except Exception:
        if reading.failure is not None:  # the writer knows no more of it than its text
            raise reading.failure from None
        raise
    return reading.count


class _Reading:
    """Pages for a thread that is not their loop's."""

    def __init__(self, pages: AsyncIterator[Sequence[Shown]], loop: asyncio.AbstractEventLoop) -> None:
        self._pages = pages
        self._loop = loop
        self.count = 0
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[Sequence[Shown]]:
        try:
            while page := asyncio.run_coroutine_threadsafe(self._next(), self._loop).result():
                self.count += len(page)
                yield page
        except Exception as error:
            self.failure = error
            raise

    async def _next(self) -> Sequence[Shown]:
        async for page in self._pages:
            return page
        return ()


def _batch(page: Sequence[Shown], columns: Mapping[str, Any]) -> Any:
    from arro3.core import Array, RecordBatch

    rows = [{name: _plain(value) for name, value in one.items()} for one in page]
    return RecordBatch.from_pydict(
        {name: Array([row[name] for row in rows], type=kind) for name, kind in columns.items()}
    )


def _plain(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


async def _pages(records: AsyncIterator[Shown]) -> AsyncIterator[Sequence[Shown]]:
    page: list[Shown] = []
    async for one in records:
        page.append(one)
        if len(page) == _AT_ONCE:
            yield page
            page = []
    if page:
        yield page
