"""Writes the PDF and DOCX files of the sample corpus from the Markdown beside it, byte for byte the same each time."""

from __future__ import annotations

import argparse
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path

from docx import Document
from docx.document import Document as DocxDocument
from docx.shared import Pt
from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    ListFlowable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

HERE = Path(__file__).resolve().parent
ZIP_DATE = (2026, 1, 1, 0, 0, 0)
INK = colors.HexColor("#12344d")
MARGIN = 22 * mm
PADDING = 6  # what a page's frame adds to each margin
UNUSED = ("/thumbnail", "/stylesWithEffects", "/customXml")


@dataclass(frozen=True, slots=True)
class Part:
    """`kind`: h1, h2, h3, p, ul, ol, table or page (PDF only); `rows` are list items, one cell each, or table rows."""

    kind: str
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    title: str
    author: str
    day: date
    footer: str
    parts: tuple[Part, ...]


def read_source(text: str) -> Source:
    _, front, body = text.split("---\n", 2)
    meta: Mapping[str, str] = dict(line.split(": ", 1) for line in front.splitlines())
    paragraphs = re.split(r"\n{2,}", body.strip())
    day = date.fromisoformat(meta["date"])
    return Source(meta["title"], meta["author"], day, meta["footer"], tuple(map(read_part, paragraphs)))


def read_part(paragraph: str) -> Part:
    lines = paragraph.splitlines()
    if heading := re.match(r"(#+) (.+)", paragraph):
        return Part(f"h{len(heading[1])}", heading[2])
    if paragraph.startswith("| "):
        return Part("table", rows=tuple(cells(line) for line in lines if not line.startswith("|---")))
    if paragraph.startswith("- "):
        return Part("ul", rows=tuple((line[2:],) for line in lines))
    if re.match(r"\d+\. ", paragraph):
        return Part("ol", rows=tuple((line.split(". ", 1)[1],) for line in lines))
    return Part("page") if paragraph == "<!-- page -->" else Part("p", paragraph)


def cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|"))


# PDF


def style(name: str, size: float, before: float = 0, after: float = 6, bold: bool = False) -> ParagraphStyle:
    font = "Helvetica-Bold" if bold else "Helvetica"
    return ParagraphStyle(
        name, fontName=font, fontSize=size, leading=size * 1.38, spaceBefore=before, spaceAfter=after,
        alignment=TA_LEFT, textColor=INK if bold else colors.black, keepWithNext=bold,
    )  # fmt: skip


BODY = style("p", 10)
ITEM = style("item", 10, after=2)
CELL = style("cell", 9, after=0)
HEAD = style("head", 9, after=0, bold=True)
HEADINGS = {
    "h1": style("h1", 20, after=10, bold=True),
    "h2": style("h2", 14, before=10, bold=True),
    "h3": style("h3", 11.5, before=7, after=4, bold=True),
}
GRID = TableStyle(
    [
        ("GRID", (0, 0), (-1, -1), 0.5, colors.HexColor("#b8c4cc")),
        ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#e4edf3")),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
    ]
)


def pdf(source: Source) -> bytes:
    """Uncompressed, with a fixed date and id: neither the day nor the zlib in use shows in the bytes."""
    out = io.BytesIO()
    template = SimpleDocTemplate(
        out, pagesize=A4, title=source.title, author=source.author, invariant=1, pageCompression=0,
        leftMargin=MARGIN, rightMargin=MARGIN, topMargin=20 * mm, bottomMargin=22 * mm,
    )  # fmt: skip
    foot = partial(draw_footer, source.footer)
    template.build([flow for part in source.parts for flow in pdf_part(part)], onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def draw_footer(text: str, canvas: Canvas, document: SimpleDocTemplate) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.setFillColor(colors.grey)
    canvas.drawString(MARGIN + PADDING, 12 * mm, text)
    canvas.drawRightString(A4[0] - MARGIN - PADDING, 12 * mm, f"Page {document.page}")


def pdf_part(part: Part) -> Iterator[Flowable]:
    match part.kind:
        case "table":
            yield from (pdf_table(part.rows), Spacer(1, 8))
        case "ul" | "ol":
            yield pdf_list(part)
        case "page":
            yield PageBreak()
        case "p":
            yield Paragraph(marked(part.text), BODY)
        case _:
            yield Paragraph(marked(part.text), HEADINGS[part.kind])


def pdf_list(part: Part) -> ListFlowable:
    items = [Paragraph(marked(row[0]), ITEM) for row in part.rows]
    if part.kind == "ul":
        return ListFlowable(items, leftIndent=16, bulletFontSize=10, spaceAfter=6, bulletType="bullet", start="•")
    return ListFlowable(items, leftIndent=16, bulletFontSize=10, spaceAfter=6, bulletType="1", bulletFormat="%s.")


def pdf_table(rows: Sequence[tuple[str, ...]]) -> Table:
    width = A4[0] - 2 * (MARGIN + PADDING)
    shares = [max(8, *(min(len(row[i]), 30) for row in rows)) for i in range(len(rows[0]))]
    content = [[Paragraph(marked(cell), CELL if n else HEAD) for cell in row] for n, row in enumerate(rows)]
    return Table(content, colWidths=[width * share / sum(shares) for share in shares], repeatRows=1, style=GRID)


def marked(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escaped)


# DOCX


def docx(source: Source) -> bytes:
    document = Document()
    describe(document, source)
    slim(document)
    for part in source.parts:
        docx_part(document, part)
    document.sections[0].footer.paragraphs[0].text = source.footer
    out = io.BytesIO()
    document.save(out)
    return repacked(out.getvalue())


def describe(document: DocxDocument, source: Source) -> None:
    about = document.core_properties
    about.title, about.author, about.last_modified_by, about.comments = source.title, source.author, source.author, ""
    about.created = about.modified = datetime(source.day.year, source.day.month, source.day.day, 9)
    about.revision = 1


def slim(document: DocxDocument) -> None:
    """Drop what the template brings and nobody uses, which would be nine tenths of the file."""
    document.styles["Normal"].font.size = Pt(10.5)
    for look in list(document.styles):
        if look.type is not None and look.type.name == "TABLE" and look.name not in ("Normal Table", "Table Grid"):
            look.delete()
    for latent in document.styles.element.xpath("w:latentStyles"):
        document.styles.element.remove(latent)
    for relations in (document.part.package.rels, document.part.rels):
        for key in [key for key, relation in relations.items() if relation.reltype.endswith(UNUSED)]:
            relations.pop(key)


def docx_part(document: DocxDocument, part: Part) -> None:
    match part.kind:
        case "table":
            docx_table(document, part.rows)
        case "ul" | "ol":
            for (item,) in part.rows:
                write(document, item, "List Bullet" if part.kind == "ul" else "List Number")
        case "p":
            write(document, part.text, "Normal")
        case _:
            document.add_heading(part.text, level=int(part.kind[1]))


def write(document: DocxDocument, text: str, style_name: str) -> None:
    paragraph = document.add_paragraph(style=style_name)
    for n, piece in enumerate(text.split("**")):
        paragraph.add_run(piece).bold = True if n % 2 else None


def docx_table(document: DocxDocument, rows: Sequence[tuple[str, ...]]) -> None:
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Table Grid")
    for line, row in zip(table.rows, rows, strict=True):
        for cell, text in zip(line.cells, row, strict=True):
            cell.text = text
    for cell in table.rows[0].cells:
        cell.paragraphs[0].runs[0].bold = True
    document.add_paragraph()


def repacked(raw: bytes) -> bytes:
    """The same archive with a fixed date and no compression: deflated bytes differ between builds of zlib."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for name in sorted(old.namelist(), key=lambda name: (name != "[Content_Types].xml", name)):
            new.writestr(zipfile.ZipInfo(name, ZIP_DATE), old.read(name))
    return out.getvalue()


WRITERS: Mapping[str, Callable[[Source], bytes]] = {".pdf": pdf, ".docx": docx}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE / "documents", help="folder to write to")
    target: Path = parser.parse_args().out
    for path in sorted((HERE / "sources").rglob("*.md")):
        written = target / path.relative_to(HERE / "sources").with_suffix("")
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_bytes(WRITERS[written.suffix](read_source(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
