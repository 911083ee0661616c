"""Records in a file: JSON lines as the API shows them, or Parquet with a column for each field and JSON in parts."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

from deploy.desk import Shown
from retrieval.records.record import PARTS

_AT_ONCE = 1_000
_TEXTS = ("id", "kind", "created", "tenant", "subject", "of", "digest")


class CannotExport(Exception):
    """The file cannot be written; the text says why."""


async def export_records(records: AsyncIterator[Shown], file: Path, format: Literal["jsonl", "parquet"]) -> int:
    """Write them as they come, for their owner's eyes only; how many. CannotExport when the file is there already."""
    try:
        await asyncio.to_thread(file.touch, 0o600, exist_ok=False)
        if format == "parquet":
            return await _parquet(_pages(records), file)
        with file.open("w", encoding="utf-8") as opened:
            return await _lines(_pages(records), opened)
    except OSError as error:
        raise CannotExport(f"{file.name!r} cannot be written: {error.strerror}") from error


async def _lines(pages: AsyncIterator[Sequence[Shown]], file: TextIO) -> int:
    count = 0
    async for page in pages:
        file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in page)
        count += len(page)
    return count


async def _parquet(pages: AsyncIterator[Sequence[Shown]], file: Path) -> int:
    """All of it is held, in columns, before the first byte is written."""
    from arro3.core import DataType, Table
    from arro3.io import write_parquet

    numbers = {"batch": DataType.int64(), "n": DataType.int64(), "review": DataType.bool()}
    columns = {**dict.fromkeys((*_TEXTS, *PARTS, "erased"), DataType.utf8()), **numbers}
    batches = [_batch((), columns)] + [_batch(page, columns) async for page in pages]
    table = Table.from_batches(batches)
    await asyncio.to_thread(write_parquet, table, file)
    return table.num_rows


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
