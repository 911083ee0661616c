"""Documents in every format, made when asked for."""

import io
import unicodedata
import zipfile
from collections.abc import Callable

import docx
import pytest
from reportlab.lib import colors
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Table

from retrieval.ingest.blocks import Parsed

Check = Callable[[Parsed], None]
Rezip = Callable[[bytes, dict[str, bytes]], bytes]


@pytest.fixture(scope="session")
def check() -> Check:
    """Asserts what every parsed document promises."""
    return _check


def _check(parsed: Parsed) -> None:
    place = 0
    for block in parsed.blocks:
        piece = parsed.text[block.start : block.end]
        assert block.start == place
        assert piece.strip("\n") == piece != ""
        assert block.kind != "heading" or block.heading[-1] == piece
        place = block.end + len("\n\n")
    assert place == len(parsed.text) + 2
    assert unicodedata.is_normalized("NFC", parsed.text)
    assert not {c for c in parsed.text if unicodedata.category(c) in ("Cc", "Cs")} - {"\n"}


@pytest.fixture(scope="session")
def refunds_pdf() -> bytes:
    """Two pages: a title, sections, a ruled table, an em-marked sentence."""
    style, out = getSampleStyleSheet(), io.BytesIO()
    grid = [("GRID", (0, 0), (-1, -1), 1, colors.black)]
    story: list[Flowable] = [
        Paragraph("Refund policy", style["Title"]),
        Paragraph("Enterprise", style["Heading1"]),
        Paragraph("Enterprise customers may ask for a <b>refund</b> within 45 days * of purchase.", style["Normal"]),
        Table([["Region", "Days"], ["Europe", "45"], ["Asia", "30 working days"]], style=grid),
        PageBreak(),
        Paragraph("Consumers", style["Heading1"]),
        Paragraph("Consumers may ask for a refund within 14 days of purchase, in any caf\u00e9.", style["Normal"]),
        Paragraph("Abroad", style["Heading2"]),
        Paragraph("Abroad the period is 21 days, and the customer pays for the return.", style["Normal"]),
    ]
    SimpleDocTemplate(out, title="Refunds at Tallis").build(story)
    return out.getvalue()


@pytest.fixture(scope="session")
def canvas_pdf() -> Callable[..., bytes]:
    """A one-page PDF with a line of text, or without any; `encrypt` takes a password."""

    def make(text: str | None, encrypt: str | None = None) -> bytes:
        out = io.BytesIO()
        canvas = Canvas(out, encrypt=encrypt)
        if text:
            canvas.drawString(72, 700, text)
        canvas.rect(100, 100, 300, 300, fill=1)
        canvas.showPage()
        canvas.save()
        return out.getvalue()

    return make


@pytest.fixture(scope="session")
def refunds_docx() -> bytes:
    """Headings, numbered and nested lists, a table between paragraphs."""
    document, out = docx.Document(), io.BytesIO()
    document.core_properties.title = "Core title"
    document.add_heading("Refund policy", 0)
    document.add_paragraph("Who may ask for a refund.")
    document.add_heading("Enterprise", 1)
    document.add_paragraph("Ask within 45 days", style="List Number")
    document.add_paragraph("Name the order", style="List Number")
    document.add_paragraph("by number", style="List Bullet 2")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ["Region", "Days", "Europe", "45"], strict=True):
        cell.text = text
    document.add_paragraph("After the table.")
    document.add_paragraph("Send it", style="List Number")
    document.add_heading("Fees", 2)
    document.add_paragraph("There are none.")
    document.save(out)
    return out.getvalue()


@pytest.fixture(scope="session")
def rezip() -> Rezip:
    """The archive with some parts replaced or added."""

    def change(raw: bytes, parts: dict[str, bytes]) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            for name in dict.fromkeys((*old.namelist(), *parts)):
                new.writestr(name, parts[name] if name in parts else old.read(name))
        return out.getvalue()

    return change
