"""PDF: layout blocks with their pages; where the layout engine finds nothing, the bare text of the page."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pypdfium2
from liteparse.parser import LiteParse
from liteparse.types import LayoutBlock, ParsedPage
from liteparse.types import ParseError as LayoutError

from retrieval.ingest.blocks import BlockWriter, Parsed, ParseError, normalise
from retrieval.ingest.formats import pdfgrid, pdfheadings
from retrieval.ingest.formats.pdfheadings import Line

_MOST_PAGES = 5000
_PASSWORD = 4
_NO_TITLE = re.compile(
    r"(untitled.*|anonymous|title|\(.*\)|microsoft \w+ - .*|.*\.(docx?|pdf|indd|rtf|odt|xlsx?|pptx?|tex))$",
    re.IGNORECASE,
)
_MARKS = re.compile(r"\\([\\*])|\*{1,3}")
_COLUMN_GAP = re.compile(r"\s{2,}")
_GAP = re.compile(r"\n\s*\n")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block of the layout engine; `lines` for headings, `rows` for tables, `text` for all else."""

    kind: str
    page: int
    text: str = ""
    lines: Sequence[Line] = ()
    rows: Sequence[Sequence[str]] = ()
    number: int | None = None
    depth: int = 0


def read(raw: bytes) -> Parsed:
    """A .pdf, without OCR; called by its metadata, else by its first heading of the highest level."""
    if b"%PDF-" not in raw[:1024]:
        raise ParseError("not a PDF: its content is something else")
    title, plain = _bare(raw)
    laid_out = {page.page_num: list(_pieces(page)) for page in _layout(raw)}
    pieces = [
        piece for number, text in enumerate(plain, 1) for piece in laid_out.get(number) or _paragraphs(number, text)
    ]
    out = BlockWriter()
    _write(out, pieces)
    if out.is_empty:
        raise ParseError("no text in the PDF: its pages are images and would need OCR")
    return out.finish(title=title or out.largest_heading())


def _bare(raw: bytes) -> tuple[str | None, list[str]]:
    """The title of the metadata, and the text of each page."""
    try:
        with pypdfium2.PdfDocument(raw) as document:
            if len(document) > _MOST_PAGES:
                raise ParseError(f"the PDF has more than {_MOST_PAGES} pages")
            title = document.get_metadata_value("Title").strip()
            return (None if _NO_TITLE.match(title) else title), [_page_text(page) for page in document]
    except pypdfium2.PdfiumError as error:
        raise ParseError(_reason(error)) from error


def _reason(error: pypdfium2.PdfiumError) -> str:
    return "the PDF is encrypted" if error.err_code == _PASSWORD else "the PDF is damaged"


def _page_text(page: pypdfium2.PdfPage) -> str:
    return str(page.get_textpage().get_text_bounded())


def _layout(raw: bytes) -> list[ParsedPage]:
    """Pages with blocks; none where the layout engine gives up, so that the bare text stands in."""
    engine = LiteParse(
        ocr_enabled=False,
        output_format="markdown",
        image_mode="off",
        extract_links=False,
        extract_blocks=True,
        extract_vector_graphics=True,
        continue_on_page_error=True,
        max_pages=_MOST_PAGES,
        num_workers=1,
        quiet=True,
    )
    try:
        return engine.parse(raw).pages
    except LayoutError:
        return []


def _paragraphs(page: int, text: str) -> Iterator[_Piece]:
    return (_Piece("paragraph", page, part) for part in _GAP.split(normalise(text)) if part.strip())


def _pieces(page: ParsedPage) -> Iterator[_Piece]:
    for block in page.blocks or ():
        text = _MARKS.sub(r"\1", block.text or "")
        if block.kind == "heading":
            yield from _headings(page, block, text)
        elif block.kind == "table":
            yield _Piece("table", page.page_num, rows=pdfgrid.ruled_rows(page, block.bbox) or _rows(block))
        elif block.kind == "grid_fallback":
            yield _Piece("table", page.page_num, rows=[_COLUMN_GAP.split(line.strip()) for line in block.lines or ()])
        elif block.kind == "list_item":
            yield _Piece("list", page.page_num, text, number=_number(block.marker), depth=block.level or 0)
        elif block.kind == "code":
            yield _Piece("code", page.page_num, "\n".join(block.lines or ()))
        elif text.strip():
            yield _Piece("paragraph", page.page_num, text)


def _headings(page: ParsedPage, block: LayoutBlock, text: str) -> Iterator[_Piece]:
    lines = pdfheadings.split(page, block, text)
    if pdfheadings.is_list(lines):
        yield _Piece("paragraph", page.page_num, "\n".join(line.text for line in lines))
    else:
        yield _Piece("heading", page.page_num, text, lines)


def _rows(block: LayoutBlock) -> list[list[str]]:
    return [[_MARKS.sub(r"\1", cell.text) for cell in row] for row in ([block.header or []] + (block.rows or []))]


def _number(marker: str | None) -> int | None:
    digits = (marker or "").strip("().")
    return int(digits) if digits.isdecimal() and len(digits) < 6 else None


def _write(out: BlockWriter, pieces: Iterable[_Piece]) -> None:
    pieces = list(pieces)
    levels = pdfheadings.levels(line for piece in pieces for line in piece.lines)
    for piece in pieces:
        if piece.kind != "list" or piece.page != out.page:
            out.close_lists()
        out.page = piece.page
        _write_piece(out, piece, levels)
    out.close_lists()


def _write_piece(out: BlockWriter, piece: _Piece, levels: dict[float, int]) -> None:
    if piece.kind == "list":
        out.item_at(piece.depth, piece.number, piece.text)
    elif piece.kind == "table":
        out.table(piece.rows)
    elif piece.kind == "code":
        out.code(piece.text)
    elif piece.kind == "paragraph":
        out.paragraph(piece.text)
    for line in piece.lines:
        out.heading(levels[line.size], line.text)
