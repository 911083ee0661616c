"""Presentations, workbooks, books and notebooks give the same kind of text and blocks as every other format."""

import io
import json
import zipfile
from collections.abc import Callable

import pytest

from retrieval.ingest.blocks import Parsed, ParseError
from retrieval.ingest.parse import parse

Outline = list[tuple[str, str, tuple[str, ...]]]
Check = Callable[[Parsed], None]
Rezip = Callable[..., bytes]
EMPTY_SHEET = b"<worksheet xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'><sheetData>%s</sheetData></worksheet>"


def outline(parsed: Parsed) -> Outline:
    return [(block.kind, parsed.text[block.start : block.end], block.heading) for block in parsed.blocks]


def refusal(name: str, raw: bytes) -> str:
    with pytest.raises(ParseError) as caught:
        parse(name, raw)
    return caught.value.reason


def test_pptx(refunds_pptx: bytes, check: Check) -> None:
    parsed = parse("refunds.pptx", refunds_pptx)
    check(parsed)
    assert outline(parsed) == [
        ("heading", "Refund policy", ("Refund policy",)),
        ("paragraph", "For all staff", ("Refund policy",)),
        ("heading", "Enterprise", ("Enterprise",)),
        ("list", "- Ask within 45 days\n- Name the order\n  - by number", ("Enterprise",)),
        ("heading", "Notes", ("Enterprise", "Notes")),
        ("paragraph", "Tell them about the pilot.", ("Enterprise", "Notes")),
        ("heading", "Figures", ("Figures",)),
        ("table", "Region | Days\nEurope | 45", ("Figures",)),
        ("paragraph", "left", ("Figures",)),
        ("paragraph", "right", ("Figures",)),
        ("paragraph", "Below the table", ("Figures",)),
        ("table", "| Refunds\n2025 | 12\n2026 | 30.5", ("Figures",)),
        ("paragraph", "Thank you", ()),
    ]
    assert [block.page for block in parsed.blocks] == [1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 5]
    assert parsed.title == "Refund policy"


def test_text_of_a_slide_that_only_newer_programs_show(refunds_pptx: bytes, rezip: Rezip) -> None:
    """Equations stand in a choice whose other half is a picture."""
    spaces = (
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
        'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
        'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    )
    properties = "<p:nvSpPr><p:cNvPr id='2' name='x'/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>"
    shape = f"<p:sp>{properties}<p:txBody>{{}}</p:txBody></p:sp>"
    new = shape.format("<a:p><a:r><a:t>where </a:t></a:r><m:oMath><m:r><m:t>x=1</m:t></m:r></m:oMath></a:p>")
    old = shape.format("<a:p><a:r><a:t>picture</a:t></a:r></a:p>")
    tree = f"<mc:AlternateContent><mc:Choice>{new}</mc:Choice><mc:Fallback>{old}</mc:Fallback></mc:AlternateContent>"
    head = "<p:nvGrpSpPr><p:cNvPr id='1' name=''/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>"
    slide = f"<p:sld {spaces}><p:cSld><p:spTree>{head}{tree}</p:spTree></p:cSld></p:sld>"
    parsed = parse("x.pptx", rezip(refunds_pptx, {"ppt/slides/slide1.xml": slide.encode()}))
    assert parsed.text.startswith("where x=1\n\nEnterprise")


def test_xlsx(refunds_xlsx: bytes, check: Check) -> None:
    parsed = parse("refunds.xlsx", refunds_xlsx)
    check(parsed)
    fees = "Region | Days | Since | At | Open | Share\nEurope | 45 | 2026-03-01 | 14:30 | TRUE | 0.3"
    assert outline(parsed) == [
        ("heading", "Fees", ("Fees",)),
        ("table", fees, ("Fees",)),
        ("table", "Total | 1234567.5", ("Fees",)),
        ("heading", "People", ("People",)),
        ("table", "Femi", ("People",)),
    ]
    assert parsed.title is None, "a sheet's name is no title"


def test_a_long_sheet_is_cut_and_a_sparse_one_refused(refunds_xlsx: bytes, rezip: Rezip) -> None:
    rows = b"".join(b"<row r='%d'><c r='A%d'><v>%d</v></c></row>" % (n, n, n) for n in range(1, 1201))
    parsed = parse("x.xlsx", rezip(refunds_xlsx, {"xl/worksheets/sheet1.xml": EMPTY_SHEET % rows}))
    assert [text.count("\n") + 1 for kind, text, path in outline(parsed) if path == ("Fees",)][1:] == [500, 500, 200]
    corners = b"<row r='1'><c r='A1'><v>1</v></c></row><row r='1048576'><c r='XFD1048576'><v>1</v></c></row>"
    sparse = rezip(refunds_xlsx, {"xl/worksheets/sheet1.xml": EMPTY_SHEET % corners})
    assert "over 1048576 rows and 16384 columns: clear" in refusal("x.xlsx", sparse)


def test_epub(refunds_epub: bytes, check: Check) -> None:
    parsed = parse("refunds.epub", refunds_epub)
    check(parsed)
    assert outline(parsed) == [
        ("heading", "Periods", ("Periods",)),
        ("paragraph", "45 days.", ("Periods",)),
        ("paragraph", "Fees: none.", ()),
    ]
    assert parsed.title == "Refunds at Tallis"


def test_a_protected_epub_is_refused(refunds_epub: bytes, rezip: Rezip) -> None:
    protection = "<encryption><CipherReference URI='OEBPS/text/one%20x.xhtml'/></encryption>"
    assert "copy-protected" in refusal("x.epub", rezip(refunds_epub, {"META-INF/encryption.xml": protection.encode()}))
    fonts = protection.replace("text/one%20x.xhtml", "fonts/a.otf").encode()
    assert parse("x.epub", rezip(refunds_epub, {"META-INF/encryption.xml": fonts})).title == "Refunds at Tallis"


def test_a_book_names_files_of_its_own_archive_only(refunds_epub: bytes, rezip: Rezip) -> None:
    outside = (
        b"<package><manifest><item id='a' href='../../../../etc/passwd' media-type='text/html'/>"
        b"<item id='b' href='file:///etc/passwd' media-type='text/html'/></manifest>"
        b"<spine><itemref idref='a'/><itemref idref='b'/></spine></package>"
    )
    assert "no text" in refusal("x.epub", rezip(refunds_epub, {"OEBPS/book.opf": outside}))


def test_ipynb(refunds_ipynb: bytes, check: Check) -> None:
    parsed = parse("refunds.ipynb", refunds_ipynb)
    check(parsed)
    top = ("Refunds",)
    assert outline(parsed) == [
        ("heading", "Refunds", top),
        ("paragraph", "By region.", top),
        ("code", "print(days)\ndays", top),
        ("code", "45 days", top),
        ("code", "45", top),
    ]


@pytest.mark.parametrize("fixture", ["refunds_docx", "refunds_pptx", "refunds_xlsx", "refunds_epub"])
def test_what_a_package_holds_decides_before_its_name(fixture: str, request: pytest.FixtureRequest) -> None:
    raw, suffix = request.getfixturevalue(fixture), fixture.rpartition("_")[2]
    right = parse(f"x.{suffix}", raw)
    assert all(parse(name, raw) == right for name in ("x", "x.txt", "x.docx", "x.pptx", "x.xlsx", "x.epub"))


def test_a_docx_whose_main_part_has_another_name(refunds_docx: bytes, rezip: Rezip) -> None:

    with zipfile.ZipFile(io.BytesIO(refunds_docx)) as old:
        parts = {name: old.read(name).replace(b"document.xml", b"document2.xml") for name in old.namelist()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, part in parts.items():
            new.writestr(name.replace("document.xml", "document2.xml"), part)
    assert parse("x.docx", out.getvalue()).title == "Refund policy"


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("x.msg", OLE, "an Outlook message: save it"),
        ("x.xlsx", OLE, "encrypted or older"),
        ("x.pptx", b"Dear all", "no PPTX file"),
        ("x.epub", b"Dear all", "no EPUB file"),
        ("x.xlsx", b"PK\x03\x04" + b"\x99" * 500, "damaged"),
        ("x.json", b"{}", "data rather than a text"),
        ("x.xml", b"<a>b</a>", "data rather than a text"),
        ("x.zip", b"PK\x03\x04" + b"\x99" * 500, "one by one"),
        ("x.txt", b"PK\x03\x04" + b"\x99" * 500, "one by one"),
        ("x.ipynb", json.dumps({"worksheets": []}).encode(), "format 4"),
        ("x.ipynb", b'{"cells":' + b"[" * 100_000, "format 4"),
        ("x.ipynb", b'{"cells":[]}', "no text"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(name: str, raw: bytes, reason: str) -> None:
    assert reason in refusal(name, raw)
