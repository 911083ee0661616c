"""Excel workbooks: a heading for each sheet that is not hidden, its rows as tables, parted where rows are empty."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

import python_calamine
from python_calamine import CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from retrieval.ingest.blocks import BlockWriter, Parsed, ParseError
from retrieval.ingest.formats.archive import check_archive
from retrieval.ingest.formats.values import shown

_SHEETS = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
_MOST_SHEETS = 500
_MOST_CELLS = 4_000_000
_ROWS_A_TABLE = 500
# A cell that holds something, by its place; one that is only formatted closes itself and does not count.
_CELL = re.compile(
    rb"<(?:\w{1,20}:)?c\s(?:[^<>]{0,200}?\s)?r\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"'][^<>]{0,200}(?<!/)>"
)
_LEVEL = 2


def read(raw: bytes) -> Parsed:
    """A .xlsx; it has no title of its own."""
    if not any(name.startswith("xl/") for name in check_archive(raw)):
        raise ParseError("a zip archive that is no XLSX file")
    _check_extent(raw)
    out = BlockWriter()
    try:
        with CalamineWorkbook.from_filelike(io.BytesIO(raw)) as workbook:
            for sheet in _visible(workbook):
                _write(out, sheet)
    except python_calamine.PasswordError as error:
        raise ParseError("the workbook is encrypted: save it without a password") from error
    except (python_calamine.CalamineError, ValueError, OverflowError) as error:
        raise ParseError("the XLSX file is malformed") from error
    return out.finish()


def _check_extent(raw: bytes) -> None:
    """The library makes room for every cell between the first and the last of a sheet, so look where those are."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for name in filter(_SHEETS.fullmatch, archive.namelist()):
            rows, columns = _extent(archive.read(name))
            if rows * columns > _MOST_CELLS:
                raise ParseError(
                    f"a sheet spreads over {rows} rows and {columns} columns: clear stray cells, or save it as CSV"
                )


def _extent(sheet: bytes) -> tuple[int, int]:
    """Rows and columns between the outermost cells that hold something."""
    places = [(int(row), _column(letters)) for letters, row in _CELL.findall(sheet)]
    if not places:
        return 0, 0
    rows, columns = zip(*places, strict=True)
    return max(rows) - min(rows) + 1, max(columns) - min(columns) + 1


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _visible(workbook: CalamineWorkbook) -> Iterator[CalamineSheet]:
    sheets = workbook.sheets_metadata
    if len(sheets) > _MOST_SHEETS:
        raise ParseError(f"the workbook has more than {_MOST_SHEETS} sheets")
    for sheet in sheets:
        if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible:
            yield workbook.get_sheet_by_name(sheet.name)


def _write(out: BlockWriter, sheet: CalamineSheet) -> None:
    tables = list(_tables([shown(value).strip() for value in row] for row in sheet.iter_rows()))
    if not tables:
        return
    out.begin_part()
    out.heading(_LEVEL, sheet.name)
    for table in tables:
        out.table(_without_empty_columns(table))


def _without_empty_columns(table: Sequence[Sequence[str]]) -> list[list[str]]:
    kept = [any(cells) for cells in zip_longest(*table, fillvalue="")]
    return [[cell for cell, keep in zip(row, kept, strict=False) if keep] for row in table]


def _tables(rows: Iterable[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Stretches of rows that are not empty, none longer than is good to cut."""
    table: list[Sequence[str]] = []
    for row in rows:
        if any(row) and len(table) < _ROWS_A_TABLE:
            table.append(row)
        elif table:
            yield table
            table = [row] if any(row) else []
    if table:
        yield table
