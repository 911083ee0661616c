"""Documents in every format, made when asked for."""

import io
import json
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import datetime, time

import docx
import pptx
import pytest
import xlsxwriter
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.presentation import Presentation
from pptx.util import Inches
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
def refunds_pptx() -> bytes:
    """A title, a list with notes, shapes out of order with a table and a chart, a hidden slide, one without a title."""
    deck, out = pptx.Presentation(), io.BytesIO()
    _titled_slides(deck)
    _figures_slide(deck)
    deck.slides.add_slide(deck.slide_layouts[5]).shapes.title.text = "Hidden"
    deck.slides[-1].element.set("show", "0")
    last = deck.slides.add_slide(deck.slide_layouts[6])
    last.shapes.add_textbox(0, 0, Inches(2), Inches(1)).text_frame.text = "Thank you"
    deck.save(out)
    return out.getvalue()


def _titled_slides(deck: Presentation) -> None:
    first = deck.slides.add_slide(deck.slide_layouts[0])
    first.shapes.title.text, first.placeholders[1].text = "Refund policy", "For all staff"
    second = deck.slides.add_slide(deck.slide_layouts[1])
    second.shapes.title.text = "Enterprise"
    second.placeholders[1].text = "Ask within 45 days\nName the order\nby number"
    second.placeholders[1].text_frame.paragraphs[2].level = 1
    second.notes_slide.notes_text_frame.text = "Tell them about the pilot."


def _figures_slide(deck: Presentation) -> None:
    shapes = deck.slides.add_slide(deck.slide_layouts[5]).shapes
    shapes.title.text = "Figures"
    shapes.add_textbox(Inches(1), Inches(5), Inches(2), Inches(1)).text_frame.text = "Below the table"
    table = shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for number, text in enumerate(["Region", "Days", "Europe", "45"]):
        table.cell(number // 2, number % 2).text = text
    data = CategoryChartData()
    data.categories = ["2025", "2026"]
    data.add_series("Refunds", (12, 30.5))
    shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(6), Inches(4), Inches(1), data)
    group = shapes.add_group_shape()
    group.shapes.add_textbox(Inches(5), Inches(3), Inches(1), Inches(1)).text_frame.text = "right"
    group.shapes.add_textbox(Inches(1), Inches(3), Inches(1), Inches(1)).text_frame.text = "left"


@pytest.fixture(scope="session")
def refunds_xlsx() -> bytes:
    """A sheet with two tables of every kind of value, an empty one, a hidden one, one with a stray formatted cell."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        day, moment = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "hh:mm"})
        fees = book.add_worksheet("Fees")
        fees.write_row(0, 0, ["Region", "Days", "", "Since", "At", "Open", "Share"])
        fees.write_row(1, 0, ["Europe", 45])
        fees.write_datetime(1, 3, datetime(2026, 3, 1), day)
        fees.write_datetime(1, 4, time(14, 30), moment)
        fees.write_row(1, 5, [True, 0.1 + 0.2])
        fees.write_row(4, 1, ["Total", 1234567.5])
        book.add_worksheet("Empty")
        hidden = book.add_worksheet("Hidden")
        hidden.write(0, 0, "secret")
        hidden.hide()
        people = book.add_worksheet("People")
        people.write(0, 0, "Femi")
        people.write_blank(1_000_000, 16_000, None, day)
    return out.getvalue()


@pytest.fixture(scope="session")
def refunds_epub() -> bytes:
    """Two chapters, listed in another order than they are packed in, with elements that close themselves."""
    page = "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><head><title/></head><body>{}</body></html>"
    listed = "<item id='{0}' href='text/{0}%20x.xhtml' media-type='application/xhtml+xml'/>"
    package = (
        "<package xmlns='http://www.idpf.org/2007/opf' xmlns:dc='http://purl.org/dc/elements/1.1/'><metadata>"
        f"<dc:title>Refunds at Tallis</dc:title></metadata><manifest>{listed.format('one')}{listed.format('two')}"
        "<item id='cover' href='cover.png' media-type='image/png'/></manifest><spine><itemref idref='cover'/>"
        "<itemref idref='one'/><itemref idref='two'/><itemref idref='one'/></spine></package>"
    )
    container = (
        "<container xmlns='urn:oasis:names:tc:opendocument:xmlns:container'><rootfiles>"
        "<rootfile full-path='OEBPS/book.opf'/></rootfiles></container>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("OEBPS/text/two x.xhtml", page.format("<p>Fees: <span id='p2'/>none.</p>"))
        archive.writestr("OEBPS/text/one x.xhtml", page.format("<h1>Periods</h1><p><a id='x'/>45 days.</p>"))
        archive.writestr("OEBPS/book.opf", package)
    return out.getvalue()


@pytest.fixture(scope="session")
def refunds_ipynb() -> bytes:
    """Markdown, code, what it printed, a picture."""
    shown = {"image/png": "aGk=", "text/plain": ["45"]}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Refunds\n", "\n", "By *region*."]},
        {
            "cell_type": "code",
            "source": "print(days)\ndays",
            "outputs": [{"output_type": "stream", "text": ["45 days\n"]}, {"output_type": "x", "data": shown}],
        },
        {"cell_type": "raw", "source": "left out"},
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


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
